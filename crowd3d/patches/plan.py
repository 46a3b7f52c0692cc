"""Plan the patches that Crowd3DNet sees, and describe where they lie in the camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from crowd3d.config import Config
from crowd3d.models.crowd3dnet import INPUT_PX, PatchView
from crowd3d.picture.windows import FLAT
from crowd3d.scene.camera import Camera
from crowd3d.scene.ground import Ground
from crowd3d.scene.plane import Plane
from crowd3d.scene.standing import standing_height_px
from tiling import Picture, Tile, plan_tiles

FloatArray = npt.NDArray[np.float64]

# Shortest and tallest person as shares of a patch: about half of it, as the network was trained.
_FILL = (0.35, 0.71)
# Overlap of neighbours, in heights of the tallest person: everybody is in about four patches.
_OVERLAP = (0.55, 1.05)
# A box that ends nearer than this share of the patch to an inner border counts as cut.
_BORDER_SHARE = 0.01


def plan_patches(source: Picture, camera: Camera, plane: Plane, config: Config) -> list[Tile]:
    """Plan patches of 512 px in which people who stand on the ground are about half as tall as the patch."""
    return plan_tiles(
        source.width,
        source.height,
        lambda middle_px: standing_height_px(camera, Ground([plane]), middle_px, config.stature_m),
        tile_px=INPUT_PX,
        fill=_FILL,
        overlap=_OVERLAP,
        max_tiles=config.max_tiles,
        max_upscale=config.max_upscale,
    )


def touching(tiles: Sequence[Tile], box_px: FloatArray) -> list[Tile]:
    """The tiles that share a pixel with at least one of the boxes (M, 4)."""
    left, top, right, bottom = box_px.T
    return [
        tile
        for tile in tiles
        if (
            (left < tile.x + tile.side_w)
            & (right > tile.x)
            & (top < tile.y + tile.side_h)
            & (bottom > tile.y)
        ).any()
    ]


def patch_view(tiles: Sequence[Tile], camera: Camera, plane: Plane) -> PatchView:
    """Camera, ground and place of the N tiles, as input of the network; double precision."""
    n = len(tiles)
    ground = np.append(plane.normal, plane.offset_m)
    places = np.array([[t.x, t.y, t.side_w] for t in tiles], dtype=np.float64).reshape(n, 3)
    size = torch.tensor([float(camera.width), float(camera.height)], dtype=torch.float64)
    return PatchView(
        torch.from_numpy(camera.K).expand(n, 3, 3),
        torch.from_numpy(ground).double().expand(n, 4),
        torch.from_numpy(places[:, :2]),
        torch.from_numpy(places[:, 2]),
        size.expand(n, 2),
    )


def is_cut(
    box_px: FloatArray, tile: npt.NDArray[np.int64], tiles: Sequence[Tile], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """(N,) whether a box reaches a border of its patch beyond which the picture continues."""
    if len(box_px) == 0:
        return np.zeros(0, bool)
    corners = np.array([[t.x, t.y, t.x + t.side_w, t.y + t.side_h] for t in tiles])[tile]
    margin = _BORDER_SHARE * (corners[:, 2] - corners[:, 0])[:, None]
    goes_on = np.array([FLAT.continues(t, size) for t in tiles])[tile]
    beyond = np.concatenate(
        [box_px[:, :2] < corners[:, :2] + margin, box_px[:, 2:] > corners[:, 2:] - margin], axis=1
    )
    return np.asarray((beyond & goes_on).any(axis=1))
