"""Crowd3DNet: maps of people's centres, ground points and SMPL parameters of one patch of a huge picture.

HRNet-W32 with four heads; the parameter head also reads where in the scene's camera the patch lies
(Wen et al., Crowd3D, CVPR 2023). `crowd3dnet_decode` turns the maps into people in metres.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d.models.backbones.blocks import BasicBlock, ConvNorm
from crowd3d.models.backbones.hrnet import HRNet

INPUT_PX = 512
MAP_CELLS = 64
CHANNELS = {"hvip": 1, "torso": 2, "delta": 3, "orient": 6, "pose": 126, "betas": 10}

_WIDTH = 32
_HEAD_CHANNELS = 64
_CODE = 8  # numbers that stand for the camera, and again for the ground
_PARAMS = sum(CHANNELS.values()) - CHANNELS["hvip"] - CHANNELS["torso"]


class PatchView(NamedTuple):
    """Where each patch of a batch lies in the scene's camera.

    Attributes:
        intrinsics: (B, 3, 3) of the full picture, pixels.
        plane: (B, 4) ground, n.X + d = 0 with n up; any scale.
        left_top_px: (B, 2) corner of the patch in the full picture.
        side_px: (B,) side of the patch in the full picture.
        scene_px: (B, 2) width and height of the full picture.
    """

    intrinsics: Tensor
    plane: Tensor
    left_top_px: Tensor
    side_px: Tensor
    scene_px: Tensor

    def select(self, index: Tensor) -> PatchView:
        """The views of the patches `index` (N,), one row each."""
        return PatchView(*(values[index] for values in self))


class Maps(NamedTuple):
    """Output of the network.

    Attributes:
        center: (B, 1, 64, 64) body-centre score, not squashed.
        params: (B, 148, 64, 64) in the order of CHANNELS; hvip, torso and delta are in 0..1.
    """

    center: Tensor
    params: Tensor


class _Head(nn.Module):
    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.halve = ConvNorm(channels_in, _HEAD_CHANNELS, 3, 2, bias=True)
        self.blocks = nn.Sequential(*(BasicBlock(_HEAD_CHANNELS, _HEAD_CHANNELS) for _ in range(2)))
        self.out = nn.Conv2d(_HEAD_CHANNELS, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.blocks(F.relu(self.halve(x))))
        return out


def _code(numbers: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(numbers, _CODE),
        nn.ReLU(),
        nn.Linear(_CODE, 2 * _CODE),
        nn.ReLU(),
        nn.Linear(2 * _CODE, _CODE),
    )


class Crowd3DNet(nn.Module):
    """RGB patches (B, 3, 512, 512), 0..255, and their place in the scene -> Maps.

    Args:
        trunk: from (B, 3, H, W), -1..1, to a list whose first item is (B, 32, H/4, W/4); HRNet-W32 by default.
    """

    def __init__(self, trunk: nn.Module | None = None) -> None:
        super().__init__()
        features = _WIDTH + 2
        self.trunk = HRNet(_WIDTH, finest_only=True) if trunk is None else trunk
        self.camera_code = _code(3)
        self.ground_code = _code(4)
        self.params_head = _Head(features + 2 * _CODE, _PARAMS)
        self.center_head = _Head(features, 1)
        self.hvip_head = _Head(features, CHANNELS["hvip"])
        self.torso_head = _Head(features, CHANNELS["torso"])

    def forward(self, image: Tensor, view: PatchView) -> Maps:
        features = self.features(image)
        return self.joined(features, self.person_maps(features, view))

    def features(self, image: Tensor) -> Tensor:
        """(B, 34, 128, 128): what all heads read of the patches, and where each cell is."""
        trunk = self.trunk(image / 255 * 2 - 1)[0]
        return torch.cat([trunk, _position_maps(trunk)], dim=1)

    def person_maps(self, features: Tensor, view: PatchView) -> Tensor:
        """(B, 145, 64, 64): what depends on the scene too: torso correction, SMPL parameters, not squashed."""
        code = self._scene_code(view)[:, :, None, None].expand(-1, -1, *features.shape[-2:])
        maps: Tensor = self.params_head(torch.cat([features, code], dim=1))
        return maps

    def joined(self, features: Tensor, person: Tensor) -> Maps:
        """Both kinds of maps as one output."""
        delta, body = torch.split(person, [CHANNELS["delta"], _PARAMS - CHANNELS["delta"]], dim=1)
        hvip, torso = self.hvip_head(features), self.torso_head(features)
        bounded = torch.cat([hvip, torso, delta], dim=1).sigmoid()
        return Maps(self.center_head(features), torch.cat([bounded, body], dim=1))

    def _scene_code(self, view: PatchView) -> Tensor:
        focal = view.intrinsics[:, 0, 0] / view.scene_px[:, 0]
        principal = (view.intrinsics[:, :2, 2] - view.left_top_px) / view.side_px[:, None]
        camera = torch.cat([focal[:, None], principal], dim=1)
        plane = view.plane / view.plane[:, :3].norm(dim=1, keepdim=True)
        return torch.cat([self.camera_code(camera), self.ground_code(plane)], dim=1)


def _position_maps(like: Tensor) -> Tensor:
    """(B, 2, H, W): x and y of each cell, -1 at the first and 1 at the last (Liu et al. 2018, CoordConv)."""
    height, width = like.shape[-2:]
    y = torch.linspace(-1, 1, height, dtype=like.dtype, device=like.device)
    x = torch.linspace(-1, 1, width, dtype=like.dtype, device=like.device)
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    return grid.expand(len(like), -1, -1, -1)
