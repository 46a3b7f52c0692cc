"""What the network finds in tiles, each find beside the truth of whom it shows, in the upright frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation
from torch import Tensor

from crowd3d.camera import Camera
from crowd3d.models.crowd3ds import Crowd3dS, Heads
from crowd3d.models.decode import decode
from crowd3d.models.heads import person_points, sample_levels
from crowd3d.synth import Truth
from crowd3d.training.tiles import Tile
from crowd3d.upright import to_upright
from tiling import box_iou

MIN_SCORE = 0.2  # as in the pipeline
_BORDER_PX = 6.0  # boxes that end there are cut, and the pipeline drops them
_MIN_IOU = 0.35
_MAX_TRUNK = 0.15  # distance of trunk centres, in heights of the box
_MIN_VISIBLE = 0.1
_TRUNK = [5, 6, 11, 12]


@dataclass(frozen=True)
class Targets:
    """N detections and the truth, each in the detection's own upright frame.

    Attributes:
        keypoints: (N, 17, 3) tangents and scores, as detected; elevation_rad: (N,).
        rotations: (N, 24, 3, 3); betas: (N, 10).
        range_statures, torso_height_statures: (N,) in true statures.
        torso_uv, hvip_uv: (N, 2) tangents.
    """

    keypoints: Tensor
    elevation_rad: Tensor
    rotations: Tensor
    betas: Tensor
    range_statures: Tensor
    torso_height_statures: Tensor
    torso_uv: Tensor
    hvip_uv: Tensor

    def __len__(self) -> int:
        return len(self.keypoints)

    @classmethod
    def cat(cls, parts: Sequence[Targets]) -> Targets:
        """All of several, in order."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    def pick(self, rows: Tensor) -> Targets:
        """Some of them."""
        return Targets(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def to(self, device: torch.device | str) -> Targets:
        """The same on a device."""
        return Targets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def matches(
    box_px: npt.NDArray[np.float64],
    keypoints_px: npt.NDArray[np.float64],
    truth: Truth,
    side_px: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which detection shows whom: rows of both, one to one.

    Boxes and trunk centres decide, which do not change where left and right are confused.
    """
    empty = np.zeros(0, np.int64)
    if not len(box_px) or not len(truth):
        return empty, empty
    overlap = np.array([box_iou(np.tile(b, (len(truth), 1)), truth.boxes_px) for b in box_px])
    middle, wanted = (k[:, _TRUNK, :2].mean(axis=1) for k in (keypoints_px, truth.keypoints_px))
    height = np.maximum(box_px[:, 3] - box_px[:, 1], 1.0)
    gap = np.linalg.norm(middle[:, None] - wanted[None], axis=-1) / height[:, None]
    inside = np.all((box_px > _BORDER_PX) & (box_px < side_px - _BORDER_PX), axis=1, keepdims=True)
    fits = (overlap >= _MIN_IOU) & (gap < _MAX_TRUNK) & inside
    fits &= truth.visibility[None] >= _MIN_VISIBLE
    row, column = linear_sum_assignment(np.where(fits, gap - overlap, 10.0))
    good = fits[row, column]
    return row[good], column[good]


def targets_of(
    keypoints_px: npt.NDArray[np.float64], truth: Truth, who: npt.NDArray[np.int64]
) -> Targets:
    """Detected keypoints (N, 17, 3) of people `who` (N,) with their truth."""
    width, height = (int(v) for v in truth.image_size)
    u, v = (float(c) for c in truth.center_px)
    camera = Camera(width, height, float(truth.focal_px), (u, v))
    rays, normal = camera.rays(keypoints_px[..., :2]), truth.normals[truth.plane[who]]
    scores = keypoints_px[..., 2]
    keypoints, elevation, R = to_upright(rays, scores, normal)
    local = Rotation.from_rotvec(truth.pose[who].reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    rotations = torch.from_numpy(local)
    rotations[:, 0] = R @ rotations[:, 0]
    torso, hvip = truth.torso_m[who], truth.hvip_m[who]
    stature = truth.stature_m[who]
    above = (torso * normal).sum(axis=1) + truth.offsets_m[truth.plane[who]]
    values = {
        "keypoints": keypoints,
        "elevation_rad": elevation,
        "rotations": rotations,
        "betas": torch.from_numpy(truth.betas[who]),
        "range_statures": torch.from_numpy(np.linalg.norm(torso, axis=1) / stature),
        "torso_height_statures": torch.from_numpy(above / stature),
        "torso_uv": _tangents(torso, rays, scores, R),
        "hvip_uv": _tangents(hvip, rays, scores, R),
    }
    return Targets(**{name: value.float() for name, value in values.items()})


def _tangents(
    points_m: npt.NDArray[np.float64],
    rays: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    R_upright_cam: Tensor,
) -> Tensor:
    """(N, 2) camera-frame points as each person's virtual camera sees them; its axes as in `to_upright`."""
    unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    central = torch.from_numpy((unit * scores[..., None]).sum(axis=1))
    central = torch.nn.functional.normalize(central, dim=-1)
    right = R_upright_cam[:, 0].to(central)
    axes = torch.stack([right, torch.linalg.cross(central, right), central], dim=1)
    seen = (axes @ torch.from_numpy(points_m)[..., None])[..., 0]
    return seen[:, :2] / seen[:, 2:].clamp_min(1e-3)


def as_input(tiles: Sequence[Tile], device: torch.device | str = "cpu") -> Tensor:
    """(B, 3, H, W) floats 0..255."""
    pixels = torch.from_numpy(np.stack([tile.rgb for tile in tiles]))
    return pixels.to(device).permute(0, 3, 1, 2).float().contiguous()


def look(heads: Heads, levels: tuple[Tensor, ...], tiles: Sequence[Tile]) -> tuple[Tensor, Targets]:
    """Features (N, 18, 144), differentiable in the levels, and targets of all people found."""
    found = decode(heads, MIN_SCORE)
    samples, parts = [], [_none()]
    for index, tile in enumerate(tiles):
        here = found.tile == index
        boxes, keypoints = found.box_px[here].clone(), found.keypoints_px[here].clone()
        box = boxes.double().cpu().numpy()
        points = keypoints.double().cpu().numpy()
        row, who = matches(box, points, tile.truth, tile.rgb.shape[0])
        if not len(row):
            continue
        at = torch.from_numpy(row).to(boxes.device)
        places = person_points(boxes[at], keypoints[at])
        samples.append(sample_levels(levels, torch.full_like(at, index), places))
        parts.append(targets_of(points[row], tile.truth, who))
    width = sum(level.shape[1] for level in levels)
    none = levels[0].new_zeros((0, 18, width))
    return torch.cat([none, *samples]), Targets.cat(parts)


@torch.no_grad()
def look_frozen(network: Crowd3dS, tiles: Sequence[Tile]) -> tuple[Tensor, Targets]:
    """The same by a network that is not trained."""
    heads, levels = network.with_pyramid(as_input(tiles, next(network.parameters()).device))
    return look(heads, levels, tiles)


def _none() -> Targets:
    sizes = ((0, 17, 3), (0,), (0, 24, 3, 3), (0, 10), (0,), (0,), (0, 2), (0, 2))
    return Targets(*(torch.zeros(size) for size in sizes))
