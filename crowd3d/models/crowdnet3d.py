"""3DCrowdNet: one person's SMPL parameters from a crop and that person's own 2D pose (Choi et al., CVPR 2022).

The 2D pose tells the network whom of several overlapping people it is asked about. `crowdnet3d_input` makes the
inputs; `maths.crop_camera` turns the result into the scene's camera.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d.maths.rotation import rotation_from_6d
from crowd3d.models.backbones.resnet import RESNET_CHANNELS, ResNet50
from crowd3d.models.backbones.volumes import soft_argmax

INPUT_PX = 256
HEATMAPS = 30  # SMPL's 24, nose, eyes, ears, top of the head
HEATMAP_CELLS = 64
VOLUME_CELLS = 8
LATENT = 32

GRAPH_JOINTS = (
    "pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "neck",
    "head_top", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
_BONES = (
    (0, 1), (1, 3), (3, 5), (0, 2), (2, 4), (4, 6), (0, 7), (7, 8), (7, 9), (9, 11), (11, 13), (7, 10),
    (10, 12), (12, 14),
)  # fmt: skip
_PAIRS = ((1, 2), (3, 4), (5, 6), (9, 10), (11, 12), (13, 14))  # left and right know of each other
_GRAPH_CHANNELS = 128
_RESIDUALS = 4
_SIGMA_CELLS = 2.5


class Crop(NamedTuple):
    """Output of 3DCrowdNet.

    Attributes:
        orient_6d: (B, 6) root orientation, see `rotation_from_6d`.
        latent: (B, 32) VPoser's code of the 21 body joints.
        betas: (B, 10).
        camera: (B, 3) x, y in metres and t: the depth is 48.8 m * sigmoid(t), for a focal length of 5000 px.
        joints: (B, 15, 3) x, y, z of GRAPH_JOINTS in cells of the 8x8x8 volume, 0..7.
        joint_score: (B, 15, 1) probability at the estimate.
        features: (B, 2048, 8, 8).
    """

    orient_6d: Tensor
    latent: Tensor
    betas: Tensor
    camera: Tensor
    joints: Tensor
    joint_score: Tensor
    features: Tensor


def pose_heatmaps(joints: Tensor, amplitude: Tensor) -> Tensor:
    """One Gaussian a joint, not normalised.

    Args:
        joints: (B, J, 2) x, y in cells of the 64x64 map.
        amplitude: (B, J, 1) peak; 0 or 1 as published, a keypoint's score where the network was trained for it.

    Returns:
        (B, J, 64, 64).
    """
    cell = torch.arange(HEATMAP_CELLS, dtype=joints.dtype, device=joints.device)
    along = torch.exp(-((cell - joints[..., None]) ** 2) / (2 * _SIGMA_CELLS**2))
    return along[:, :, 1, :, None] * along[:, :, 0, None, :] * amplitude[..., None]


class _GraphConv(nn.Module):
    """Each joint has its own linear map; then joints mix along the fixed graph."""

    adjacency: Tensor

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        joints = len(GRAPH_JOINTS)
        self.linear = nn.ModuleList(nn.Linear(channels_in, _GRAPH_CHANNELS) for _ in range(joints))
        self.norm = nn.ModuleList(nn.BatchNorm1d(_GRAPH_CHANNELS) for _ in range(joints))
        self.register_buffer("adjacency", _normalised_adjacency(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        own = [
            norm(linear(joint))
            for linear, norm, joint in zip(self.linear, self.norm, x.unbind(1), strict=True)
        ]
        return F.relu(self.adjacency @ torch.stack(own, dim=1))


class _GraphResidual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = _GraphConv(_GRAPH_CHANNELS)
        self.second = _GraphConv(_GRAPH_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(x))
        return out


def _normalised_adjacency() -> Tensor:
    """D^-1/2 (A + I) D^-1/2 (Kipf & Welling 2017)."""
    A = torch.eye(len(GRAPH_JOINTS))
    for i, j in _BONES + _PAIRS:
        A[i, j] = A[j, i] = 1
    scale = A.sum(1).rsqrt()
    return scale[:, None] * A * scale


class CrowdNet3D(nn.Module):
    """RGB crops (B, 3, 256, 256) in 0..1 and 2D poses -> Crop."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = ResNet50()
        self.blend = nn.Conv2d(64 + HEATMAPS, 64, 3, padding=1)
        self.blend_norm = nn.BatchNorm2d(64)
        joints = len(GRAPH_JOINTS)
        self.volumes = nn.Conv2d(RESNET_CHANNELS, joints * VOLUME_CELLS, 1)
        self.graph_entry = _GraphConv(RESNET_CHANNELS + 4)
        self.graph = nn.Sequential(*(_GraphResidual() for _ in range(_RESIDUALS)))
        flat = joints * _GRAPH_CHANNELS
        self.orient = nn.Linear(flat, 6)
        self.latent = nn.Linear(flat, LATENT)
        self.betas = nn.Linear(flat, 10)
        self.camera = nn.Linear(flat, 3)

    def forward(self, image: Tensor, joints: Tensor, amplitude: Tensor) -> Crop:
        """`joints` (B, 30, 2) and `amplitude` (B, 30, 1) as `pose_heatmaps` takes them."""
        with torch.no_grad():
            heat = pose_heatmaps(joints, amplitude)
        early = self.blend(torch.cat([self.trunk.stem(image), heat], dim=1))
        features = self.trunk.stages(F.relu(self.blend_norm(early)))
        logits = self.volumes(features).unflatten(1, (-1, VOLUME_CELLS))
        cells = soft_argmax(logits)
        score = _sample(logits.flatten(2).softmax(-1).reshape(logits.shape), cells)
        # The pose must not be improved by moving the joints away from where they are.
        place = torch.cat([cells, score], dim=-1).detach()
        found = torch.cat([_sample_map(features, place[..., :2]), place], dim=-1)
        state = self.graph(self.graph_entry(found)).flatten(1)
        return Crop(
            orient_6d=self.orient(state),
            latent=self.latent(state),
            betas=self.betas(state),
            camera=self.camera(state),
            joints=cells,
            joint_score=score,
            features=features,
        )


def _sample(volumes: Tensor, cells: Tensor) -> Tensor:
    """Each joint's own volume (B, J, 8, 8, 8) at its own place (B, J, 3) -> (B, J, 1)."""
    where = (cells / (VOLUME_CELLS - 1) * 2 - 1).flatten(0, 1)[:, None, None, None]
    values = F.grid_sample(volumes.flatten(0, 1)[:, None], where, align_corners=True)
    return values.reshape(*cells.shape[:2], 1)


def _sample_map(features: Tensor, cells: Tensor) -> Tensor:
    """A map (B, C, 8, 8) at places (B, J, 2) in cells -> (B, J, C)."""
    where = (cells / (VOLUME_CELLS - 1) * 2 - 1)[:, :, None]
    return F.grid_sample(features, where, align_corners=True)[..., 0].transpose(1, 2)


class PoseDecoder(nn.Module):
    """VPoser v1's decoder (Pavlakos et al., SMPL-X, CVPR 2019): codes (B, 32) -> 21 rotations (B, 21, 3, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(LATENT, 512)
        self.hidden2 = nn.Linear(512, 512)
        self.out = nn.Linear(512, 21 * 6)

    def forward(self, latent: Tensor) -> Tensor:
        state = F.leaky_relu(self.hidden(latent), 0.2)
        state = F.leaky_relu(self.hidden2(state), 0.2)
        return rotation_from_6d(self.out(state).unflatten(1, (21, 6)))


def smpl_rotations(orient_6d: Tensor, body: Tensor) -> Tensor:
    """(B, 24, 3, 3) from the root (B, 6) and 21 body joints (B, 21, 3, 3); the hands stay straight."""
    hands = torch.eye(3, dtype=body.dtype, device=body.device).expand(len(body), 2, 3, 3)
    return torch.cat([rotation_from_6d(orient_6d)[:, None], body, hands], dim=1)
