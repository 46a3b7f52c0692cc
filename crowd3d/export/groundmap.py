"""What part of the ground a top view shows, and how dense the crowd is there. z-up export frame."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.frames import ExportFrame
from crowd3d.scene.ground import Ground
from crowd3d.scene.ground_mesh import level_grid

FloatArray = npt.NDArray[np.float64]

_PLOT_HEIGHT_PX = (520, 1480)  # smallest and largest
_KERNEL_M = 1.0  # standard deviation of the density estimate
_CORE = (10.0, 90.0)  # percentiles of the people who decide the extent
_BEYOND = 1.0  # whoever is farther out than so many extents of the core is counted, not drawn
_SMALL_M = 20.0  # frames smaller than that need not be
_MOST_CELLS, _NEAR_M = 240, 4.0  # along the longer side of a map of heights; around people
_CAMERA_ENLARGES = 1.4  # the camera is drawn unless the crowd would shrink by more than that


class View:
    """Which part of the ground is drawn, and where; pixels count from the plot's corner.

    Args:
        points_m: (N, 2) where people stand, N > 0.
        width_px: of the plot.

    Attributes:
        low_m, high_m: (2,) corners of the ground that is drawn.
        size_px: (width, height) of the plot.
        has_camera: whether the ground below the camera is near enough to be drawn.
    """

    def __init__(self, points_m: FloatArray, width_px: int) -> None:
        low, high = extent_m(points_m)
        with_camera = np.minimum(low, 0.0), np.maximum(high, 0.0)
        spans_m = [float((b - a).max()) + 4.0 for a, b in ((low, high), with_camera)]
        enlarged = spans_m[1] / max(spans_m[0], _SMALL_M)
        self.has_camera = enlarged <= _CAMERA_ENLARGES
        if self.has_camera:
            low, high = with_camera
        low, high = low - 2.0, high + 2.0
        span = high - low
        self.px_per_m = float(min(width_px / span[0], _PLOT_HEIGHT_PX[1] / span[1]))
        height = max(round(span[1] * self.px_per_m), _PLOT_HEIGHT_PX[0])
        self.size_px = (width_px, height)
        half = np.array(self.size_px) / self.px_per_m / 2
        self.low_m, self.high_m = (low + high) / 2 - half, (low + high) / 2 + half

    @property
    def span_m(self) -> float:
        """The longer side of the drawn ground."""
        return float((self.high_m - self.low_m).max())

    def px(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 2) metres -> (..., 2) pixels."""
        points = np.asarray(points_m, dtype=np.float64)
        offset = np.stack(
            [points[..., 0] - self.low_m[0], self.high_m[1] - points[..., 1]], axis=-1
        )
        return np.asarray(offset * self.px_per_m)

    def inside(self, points_m: FloatArray) -> npt.NDArray[np.bool_]:
        """(N,) whether (N, 2+) points are within the frame; never for NaN."""
        xy = points_m[:, :2]
        return np.asarray(((xy >= self.low_m) & (xy <= self.high_m)).all(axis=1))


def extent_m(points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N, 2) points -> low and high corner (2,) of the box around all but far outliers."""
    low, high = np.percentile(points_m, _CORE, axis=0)
    beyond = _BEYOND * (high - low) + 1.0
    low = np.maximum(points_m.min(axis=0), low - beyond)
    return low, np.minimum(points_m.max(axis=0), high + beyond)


def density_per_m2(points_m: FloatArray, low_m: FloatArray, high_m: FloatArray) -> FloatArray:
    """People per square metre by a Gaussian kernel, on square cells of the rectangle from low to high.

    Args:
        points_m: (N, 2); those outside do not count.

    Returns:
        (rows, columns); row 0 is the nearest to the camera.
    """
    span = high_m - low_m
    cell_m = max(0.25, float(span.max()) / 600)
    cells = np.maximum(np.rint(span / cell_m).astype(int), 1)
    edges = [np.linspace(low_m[k], high_m[k], cells[k] + 1) for k in range(2)]
    counts = np.histogram2d(points_m[:, 1], points_m[:, 0], bins=[edges[1], edges[0]])[0]
    sigmas = _KERNEL_M * cells / span
    smooth = cv2.GaussianBlur(
        counts, (0, 0), sigmas[0], sigmaY=sigmas[1], borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(smooth * cells.prod() / span.prod())


def seen_ground_m(
    camera: Camera, ground: Ground, frame: ExportFrame, reach_m: float, n: int = 64
) -> FloatArray:
    """(4 n, 2) outline of the ground that the picture shows, z-up frame, cut off at `reach_m`."""
    t = np.linspace(0.0, 1.0, n, endpoint=False)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) * [camera.width, camera.height]
    border = np.concatenate([a + t[:, None] * (b - a) for a, b in pairwise(corners)])
    rays = camera.rays(border) @ frame.R_zup_cam.T
    flat = np.maximum(np.linalg.norm(rays[:, :2], axis=1), 1e-9)
    met = frame.z_up(ground.points_m(camera, border))[:, :2]
    distance = np.fmin(np.linalg.norm(met, axis=1), reach_m)  # NaN: no ground along this ray
    return np.asarray(rays[:, :2] / flat[:, None] * distance[:, None])


def heights_m(
    ground: Ground, frame: ExportFrame, view: View, outline_m: FloatArray, feet_m: FloatArray
) -> FloatArray:
    """(rows, columns) heights of the ground over a view, its corners included; row 0 is the nearest.

    NaN where the picture, whose ground has the outline (M, 2), does not show it and nobody of (N, 2) is near.
    """
    span = view.high_m - view.low_m
    cells = np.maximum(np.rint(_MOST_CELLS * span / span.max()), 1).astype(int)
    points = level_grid(view.low_m, view.high_m, cells)
    level = frame.from_z_up(points.reshape(-1, 3))
    heights = ground.heights_m(level, np.zeros(len(level), np.int64)).reshape(points.shape[:2])
    is_shown = np.zeros(heights.shape, np.uint8)

    def place(points_m: FloatArray) -> npt.NDArray[np.int32]:
        steps = (points_m - view.low_m) / span * cells
        return np.asarray(np.rint(np.clip(steps, -10_000, 10_000)), np.int32)

    cv2.fillPoly(is_shown, [place(outline_m)], 1)
    radius = max(1, round(_NEAR_M * float(cells[0] / span[0])))
    for u, v in place(feet_m).tolist():
        cv2.circle(is_shown, (u, v), radius, 1, -1)
    return np.where(is_shown > 0, heights, np.nan)
