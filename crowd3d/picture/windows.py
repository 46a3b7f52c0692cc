"""Windows: the pixels of a tile that a network is shown, and the way back to picture pixels.

From a perspective picture, a tile is cut as it is (`Flat`). From a panorama or a fisheye, a tile is shown as a
virtual perspective camera would see it (`Upright`). That camera looks along the tile's central ray, has no roll
against gravity and has the tile's scale. So the network never sees the bending of such a picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from tiling import Picture, Tile

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_PLUMB = 1e-6  # sine of the angle to the vertical
_MARGIN_PX = 2.0  # read around a region, so that interpolation has its neighbours


@dataclass(frozen=True)
class Flat:
    """Windows of a perspective picture."""

    def read(self, source: Picture, tile: Tile) -> Pixels:
        """(out_h, out_w, 3) RGB of the tile."""
        return source.read(tile.x, tile.y, tile.side_w, tile.side_h, (tile.out_w, tile.out_h))

    def to_picture(self, tile: Tile, points_px: FloatArray) -> FloatArray:
        """(..., 2) network pixels -> picture pixels."""
        return tile.to_scene(points_px)

    def continues(self, tile: Tile, size: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
        """Whether the picture continues beyond the tile's left, top, right and bottom border."""
        return (
            tile.x > 0.5,
            tile.y > 0.5,
            tile.x + tile.side_w < size[0] - 0.5,
            tile.y + tile.side_h < size[1] - 0.5,
        )

    def facts(self) -> dict[str, Any]:
        """Everything that the pixels of a window depend on besides picture and tile, as plain JSON."""
        return {}


@dataclass(frozen=True)
class Upright:
    """Windows of a panorama, or of a fisheye picture.

    Attributes:
        camera: of the picture; up: (3,) unit vector against gravity, camera frame.
    """

    camera: Camera
    up: tuple[float, float, float]

    def read(self, source: Picture, tile: Tile) -> Pixels:
        """(out_h, out_w, 3) RGB as the virtual camera sees it."""
        u, v = np.meshgrid(np.arange(tile.out_w) + 0.5, np.arange(tile.out_h) + 0.5)
        places = self.to_picture(tile, np.stack([u, v], axis=-1))
        left, top = places.min(axis=(0, 1)) - _MARGIN_PX
        right, bottom = places.max(axis=(0, 1)) + _MARGIN_PX
        top, bottom = max(top, -1.0), min(bottom, source.height + 1.0)
        scale = min(tile.scale, 1.0)
        pixels = _read_around(
            source, self.camera.turn_px, left, top, right - left, bottom - top, scale
        )
        at = (places - (left, top)) * (
            pixels.shape[1] / (right - left),
            pixels.shape[0] / (bottom - top),
        )
        at = at.astype(np.float32) - 0.5
        return np.asarray(
            cv2.remap(
                pixels, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        )

    def to_picture(self, tile: Tile, points_px: FloatArray) -> FloatArray:
        """(..., 2) pixels of the virtual camera -> picture pixels, without a jump at the seam."""
        center, axes, focal = self._virtual(tile)
        tangent = (points_px - (tile.out_w / 2, tile.out_h / 2)) / focal
        rays = np.concatenate([tangent, np.ones_like(tangent[..., :1])], axis=-1) @ axes
        return self.camera.unwrapped(self.camera.project(rays), center)

    def continues(self, tile: Tile, size: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
        """As `Flat.continues`; the left and right border of a whole turn continue at the other end."""
        left, top, right, bottom = FLAT.continues(tile, size)
        turns = self.camera.turn_px is not None
        return left or turns, top, right or turns, bottom

    def facts(self) -> dict[str, Any]:
        return {"camera": self.camera.to_dict(), "up": list(self.up)}

    def _virtual(self, tile: Tile) -> tuple[FloatArray, FloatArray, float]:
        """Centre in picture pixels, axes (right, down, forward as rows) and focal length in window pixels."""
        center = np.array([tile.x + tile.side_w / 2, tile.y + tile.side_h / 2])
        forward = self.camera.rays(center)
        right = np.cross(forward, self.up)
        if np.linalg.norm(right) < _PLUMB:  # straight up or down every direction is as good
            right = np.array([1.0, 0.0, 0.0]) - forward[0] * forward
        right /= max(float(np.linalg.norm(right)), 1e-9)
        down = np.cross(forward, right)
        # The angle of one picture pixel, measured up and down at the centre.
        step = self.camera.rays(center + np.array([[0.0, -0.5], [0.0, 0.5]]))
        angle = float(np.linalg.norm(step[1] - step[0]))
        return center, np.stack([right, down, forward]), tile.scale / angle


Windows = Flat | Upright
FLAT = Flat()


def windows(camera: Camera | None, up: npt.ArrayLike = (0.0, -1.0, 0.0)) -> Windows:
    """The kind of windows that a camera's picture needs; None stands for an unknown perspective camera."""
    if camera is None or camera.is_perspective:
        return FLAT
    x, y, z = (float(value) for value in np.asarray(up))
    return Upright(camera, (x, y, z))


def _read_around(
    source: Picture, turn_px: float | None, x: float, y: float, w: float, h: float, scale: float
) -> Pixels:
    """Read a region at a scale; in a whole turn, columns beyond one border come from the other end."""
    out_h = max(2, round(h * scale))
    if turn_px is None:
        return source.read(x, y, w, h, (max(2, round(w * scale)), out_h))
    width = source.width
    start = math.floor(x / width) * width
    parts = []
    while start < x + w:
        low, high = max(x, start), min(x + w, start + width)
        if high - low > 1e-6:
            out_w = max(1, round((high - low) * scale))
            parts.append(source.read(low - start, y, high - low, h, (out_w, out_h)))
        start += width
    return np.concatenate(parts, axis=1)
