"""topview.png: the crowd from above, with a metre grid and people per square metre."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.export.floorplan import FloorPlan, floor_plan
from crowd3d.scene import Scene

Picture = npt.NDArray[np.uint8]

_SIZE_PX = 1600
_MARGIN_PX = 90
_FINE = 2  # drawn so much larger and averaged
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _GREY, _GRID = (40, 40, 40), (120, 120, 120), (225, 225, 225)
_PERSON, _CAMERA, _WEDGE = (24, 60, 110), (190, 60, 30), (232, 240, 247)
_KERNEL_M = 1.0  # standard deviation of the density estimate
_DENSE_PER_M2 = 4.0  # the top of the scale: where crowds become dangerous (Fruin 1993)
_SHOWN = 0.98  # share of the people that decides the extent; the rest is counted, not drawn


def draw_topview(scene: Scene, size_px: int = _SIZE_PX) -> Picture:
    """The ground seen from above: x right, viewing direction up.

    Returns:
        (size_px, size_px, 3) uint8 RGB.
    """
    canvas = np.full((size_px * _FINE, size_px * _FINE, 3), 255, dtype=np.uint8)
    plan = floor_plan(scene)
    if not scene.planes or not plan.placed.any():
        note = "no people" if scene.planes or not len(scene.people) else "camera not determined"
        _text(canvas, note, (size_px // 2 - 90, size_px // 2), 1.2, _GREY)
        return _reduced(canvas, size_px)
    view = _View(plan, size_px)
    _density(canvas, view, plan)
    _wedge(canvas, view, scene)
    _grid(canvas, view)
    _people(canvas, view, plan)
    _camera(canvas, view)
    _legend(canvas, view, scene, plan)
    return _reduced(canvas, size_px)


class _View:
    """Metres on the ground to pixels of the finished picture."""

    def __init__(self, plan: FloorPlan, size_px: int) -> None:
        points = plan.position_m[plan.placed, :2]
        tail = (1 - _SHOWN) / 2 * 100
        low = np.minimum(np.percentile(points, tail, axis=0), 0.0) - 2.0
        high = np.maximum(np.percentile(points, 100 - tail, axis=0), 0.0) + 2.0
        span = float((high - low).max())
        middle = (low + high) / 2
        self.size_px = size_px
        self.px_per_m = (size_px - 2 * _MARGIN_PX) / span
        self.low_m, self.high_m = middle - span / 2, middle + span / 2

    def px(self, points_m: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(..., 2) metres -> (..., 2) pixels."""
        offset = np.asarray(points_m, dtype=np.float64)[..., :2] - self.low_m
        u = _MARGIN_PX + offset[..., 0] * self.px_per_m
        v = self.size_px - _MARGIN_PX - offset[..., 1] * self.px_per_m
        return np.stack([u, v], axis=-1)

    def inside(self, points_m: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """(N,) whether points are within the frame."""
        xy = points_m[:, :2]
        return np.asarray(((xy >= self.low_m) & (xy <= self.high_m)).all(axis=1))


def _reduced(canvas: Picture, size_px: int) -> Picture:
    return np.asarray(
        cv2.resize(canvas, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8
    )


def _fixed(points_px: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Pixels -> the canvas's integers with 4 fractional bits."""
    return np.asarray(np.rint(np.asarray(points_px) * _FINE * 16), dtype=np.int32)


def _point(at_px: npt.ArrayLike) -> tuple[int, int]:
    """One pixel position as OpenCV wants it."""
    u, v = _fixed(at_px)
    return int(u), int(v)


def _text(
    canvas: Picture,
    text: str,
    at_px: tuple[float, float],
    scale: float,
    color: tuple[int, int, int],
) -> None:
    origin = (round(at_px[0] * _FINE), round(at_px[1] * _FINE))
    cv2.putText(canvas, text, origin, _FONT, scale * 0.5 * _FINE, color, _FINE, cv2.LINE_AA)


def density_per_m2(
    points_m: npt.NDArray[np.float64], low_m: npt.NDArray[np.float64], side_m: float, cells: int
) -> npt.NDArray[np.float64]:
    """(cells, cells) people per square metre, by a Gaussian kernel; row 0 is the nearest to the camera."""
    edges = [np.linspace(low, low + side_m, cells + 1) for low in low_m]
    counts = np.histogram2d(points_m[:, 1], points_m[:, 0], bins=[edges[1], edges[0]])[0]
    cell_m = side_m / cells
    smooth = cv2.GaussianBlur(counts, (0, 0), _KERNEL_M / cell_m, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(smooth / cell_m**2)


def _colors(density: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(...,) people per square metre -> (..., 3) RGB from white over yellow and orange to dark red."""
    stops = np.array([0.0, 0.1, 0.3, 0.6, 1.0])
    shades = np.array(
        [[255, 255, 255], [255, 244, 190], [253, 190, 100], [222, 90, 50], [140, 10, 40]]
    )
    share = np.sqrt(
        np.clip(density / _DENSE_PER_M2, 0, 1)
    )  # sparse crowds are common: give them room
    return np.stack([np.interp(share, stops, shades[:, c]) for c in range(3)], axis=-1)


def _density(canvas: Picture, view: _View, plan: FloorPlan) -> None:
    side_m = float(view.high_m[0] - view.low_m[0])
    cells = int(np.clip(side_m / 0.25, 64, 800))
    density = density_per_m2(plan.position_m[plan.placed], view.low_m, side_m, cells)
    inner = (view.size_px - 2 * _MARGIN_PX) * _FINE
    picture = cv2.resize(_colors(density)[::-1], (inner, inner), interpolation=cv2.INTER_LINEAR)
    edge = _MARGIN_PX * _FINE
    canvas[edge : edge + inner, edge : edge + inner] = np.rint(picture)


def _wedge(canvas: Picture, view: _View, scene: Scene) -> None:
    """The borders of what the camera sees, as two lines from below it."""
    from crowd3d.export.transforms import export_frame

    frame = export_frame(scene.camera, scene.planes)
    middle_v = scene.camera.height / 2
    sides = scene.camera.rays([(0.0, middle_v), (scene.camera.width, middle_v)]) @ frame.R_zup_cam.T
    start = _fixed(view.px([0.0, 0.0]))
    for direction in sides[:, :2] / np.linalg.norm(sides[:, :2], axis=1, keepdims=True):
        end = _fixed(view.px(direction * 3 * (view.high_m - view.low_m).max()))
        cv2.line(
            canvas,
            tuple(map(int, start)),
            tuple(map(int, end)),
            (200, 150, 130),
            _FINE,
            cv2.LINE_AA,
            4,
        )
    edge, inner = _MARGIN_PX * _FINE, (view.size_px - 2 * _MARGIN_PX) * _FINE
    frame_mask = np.ones(canvas.shape[:2], dtype=bool)
    frame_mask[edge : edge + inner, edge : edge + inner] = False
    canvas[frame_mask] = 255


def _grid(canvas: Picture, view: _View) -> None:
    step_m = _round_step((view.high_m - view.low_m)[0] / 8)
    for axis in range(2):
        first = math.ceil(view.low_m[axis] / step_m) * step_m
        for value in np.arange(first, view.high_m[axis] + 1e-9, step_m):
            ends = np.array([view.low_m, view.high_m])
            ends[:, axis] = value
            a, b = (tuple(map(int, p)) for p in _fixed(view.px(ends)))
            cv2.line(canvas, a, b, _GRID, _FINE, cv2.LINE_AA, 4)
            u, v = view.px(ends[0])
            where = (
                (u - 10, view.size_px - _MARGIN_PX + 26) if axis == 0 else (_MARGIN_PX - 58, v + 5)
            )
            _text(canvas, f"{value:.0f} m", where, 0.9, _GREY)
    corners = [tuple(map(int, p)) for p in _fixed(view.px([view.low_m, view.high_m]))]
    cv2.rectangle(canvas, corners[0], corners[1], _GREY, _FINE, cv2.LINE_AA, 4)


def _round_step(step_m: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ..."""
    power = 10.0 ** math.floor(math.log10(max(step_m, 1.0)))
    return next(power * k for k in (1, 2, 5, 10) if power * k >= step_m)


def _people(canvas: Picture, view: _View, plan: FloorPlan) -> None:
    """A dot where each one stands, a tick the way they face, an ellipse of one standard deviation."""
    shown = np.flatnonzero(plan.placed & view.inside(np.nan_to_num(plan.position_m)))
    radius_px = float(np.clip(0.22 * view.px_per_m, 3.0, 14.0))
    for i in shown:
        at = view.px(plan.position_m[i])
        axes_px = np.array([plan.sigma_minor_m[i], plan.sigma_major_m[i]]) * view.px_per_m
        if np.isfinite(axes_px).all() and axes_px.max() > radius_px:
            cv2.ellipse(
                canvas, _point(at), _point(axes_px), float(plan.sigma_angle_deg[i]),
                0, 360, (150, 175, 205), _FINE, cv2.LINE_AA, 4,
            )  # fmt: skip
    for i in shown:
        at = view.px(plan.position_m[i])
        cv2.circle(canvas, _point(at), int(radius_px * _FINE * 16), _PERSON, -1, cv2.LINE_AA, 4)
        if np.isfinite(plan.heading_deg[i]):
            heading = math.radians(plan.heading_deg[i])
            tip = at + 2.1 * radius_px * np.array([math.sin(heading), -math.cos(heading)])
            cv2.line(canvas, _point(at), _point(tip), _PERSON, 2 * _FINE, cv2.LINE_AA, 4)


def _camera(canvas: Picture, view: _View) -> None:
    at = view.px([0.0, 0.0])
    triangle = at + np.array([[0, -14], [-10, 10], [10, 10]])
    cv2.fillPoly(canvas, [_fixed(triangle)], _CAMERA, cv2.LINE_AA, 4)


def _legend(canvas: Picture, view: _View, scene: Scene, plan: FloorPlan) -> None:
    n = int(plan.placed.sum())
    hidden = n - int((plan.placed & view.inside(np.nan_to_num(plan.position_m))).sum())
    title = (
        f"{scene.image_name}: {n} people, camera {scene.planes[0].offset_m:.1f} m up, "
        f"field of view {math.degrees(scene.camera.fov_rad):.0f} degrees"
    )
    _text(canvas, title, (_MARGIN_PX, 40), 1.2, _INK)
    note = "triangle: camera   dot: person, tick: facing   ellipse: one standard deviation"
    if hidden:
        note += f"   {hidden} people are outside the frame"
    _text(canvas, note, (_MARGIN_PX, 68), 0.85, _GREY)
    right, top, width, height = view.size_px - _MARGIN_PX - 260, view.size_px - 44, 260, 12
    bar = _colors(np.linspace(0, 1, width * _FINE) ** 2 * _DENSE_PER_M2)
    canvas[top * _FINE : (top + height) * _FINE, right * _FINE : (right + width) * _FINE] = np.rint(
        bar
    )
    for share in (0.0, 0.25, 1.0):
        u = right + math.sqrt(share) * width
        _text(canvas, f"{share * _DENSE_PER_M2:.0f}", (u - 4, top + 28), 0.8, _GREY)
    _text(canvas, "people per square metre", (right - 210, top + 11), 0.85, _GREY)
