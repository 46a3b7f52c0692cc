"""Labels to adapt Crowd3DNet by: people of the patches, as the default network and the ground have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.models.crowd3dnet import MAP_CELLS
from crowd3d.scene.scene import Scene
from tiling import Tile

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Of somebody's box that must be in the patch, and keypoints in it of somebody who is not whole; as published.
_BOX_SHARE, _KEYPOINTS_INSIDE = 0.4, 5


@dataclass(frozen=True)
class Labels:
    """One row a person and patch; points in patch units, -1..1 across the patch.

    Attributes:
        patch: (N,) index of the patch.
        cell: (N, 2) of the torso centre in the 64 x 64 map.
        keypoints: (N, 17, 2); is_seen: (N, 17); hvip: (N, 2).
    """

    patch: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int64]
    keypoints: FloatArray
    is_seen: BoolArray
    hvip: FloatArray

    def __len__(self) -> int:
        return len(self.patch)


def label_patches(
    scene: Scene, tiles: Sequence[Tile], min_score: float, max_patches: int
) -> tuple[list[Tile], Labels]:
    """Who is to be learnt in which patch; patches without anybody whole are left out.

    Args:
        scene: of the default network.
        min_score: of a keypoint that counts as seen.
        max_patches: those with most people are kept, in the order of `tiles`.
    """
    rows = [_rows_of(scene, tile, min_score) for tile in tiles]
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    kept = np.sort(np.argsort(-counts, kind="stable")[:max_patches])
    kept = kept[counts[kept] > 0]
    parts = [_labels(scene, tiles[k], rows[k], min_score) for k in kept]
    patch = np.repeat(np.arange(len(kept)), counts[kept])
    people = scene.people.filter(np.zeros(0, np.int64))
    cells, points, seen, hvip = (
        np.concatenate([empty, *(part[i] for part in parts)])
        for i, empty in enumerate(
            (
                np.zeros((0, 2), np.int64),
                people.keypoints_px[..., :2],
                np.zeros((0, 17), bool),
                people.hvip_px,
            )
        )
    )
    return [tiles[k] for k in kept], Labels(patch, cells, points, seen, hvip)


def _rows_of(scene: Scene, tile: Tile, min_score: float) -> npt.NDArray[np.int64]:
    """People to be learnt in a tile: those who have a place, for that is what is learnt."""
    people = scene.people
    low = np.array([tile.x, tile.y])
    high = low + np.array([tile.side_w, tile.side_h])
    box = people.box_px
    size = np.maximum(box[:, 2:] - box[:, :2], 1e-9)
    shared = np.minimum(box[:, 2:], high) - np.maximum(box[:, :2], low)
    share = np.clip(shared / size, 0, 1).prod(axis=1)
    points = people.keypoints_px
    inside = ((points[..., :2] >= low) & (points[..., :2] < high)).all(axis=-1)
    n_inside = (inside & (points[..., 2] >= min_score)).sum(axis=1)
    whole = ((box[:, :2] >= low) & (box[:, 2:] <= high)).all(axis=1)
    torso = ((people.torso_px >= low) & (people.torso_px < high)).all(axis=1)
    learnt = (
        people.placed & torso & (share > _BOX_SHARE) & (whole | (n_inside >= _KEYPOINTS_INSIDE))
    )
    return np.flatnonzero(learnt) if (learnt & whole).any() else np.zeros(0, np.int64)


def _labels(
    scene: Scene, tile: Tile, rows: npt.NDArray[np.int64], min_score: float
) -> tuple[npt.NDArray[np.int64], FloatArray, BoolArray, FloatArray]:
    people = scene.people.filter(rows)
    origin, side = np.array([tile.x, tile.y]), tile.side_w
    cell = np.floor((people.torso_px - origin) / side * MAP_CELLS).astype(np.int64)
    points = 2 * (people.keypoints_px[..., :2] - origin) / side - 1
    hvip = 2 * (people.hvip_px - origin) / side - 1
    return cell.clip(0, MAP_CELLS - 1), points, people.keypoints_px[..., 2] >= min_score, hvip
