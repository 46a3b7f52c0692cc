"""topview.png: the crowd from above, with a metre grid and people per square metre."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from crowd3d.errors import printable
from crowd3d.export.contours import contour, contour_heights, round_step
from crowd3d.export.floorplan import FloorPlan, floor_plan
from crowd3d.export.groundmap import View, density_per_m2, heights_m, seen_ground_m
from crowd3d.scene.frames import export_frame
from crowd3d.scene.scene import Scene
from crowd3d.scene.summary import ground_in_words

Picture = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
Color = tuple[int, int, int]

_WIDTH_PX = 1600
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 84, 36, 92, 108
_FINE = 2  # drawn so much larger and averaged
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PEN = 1 if cv2.__version__ >= "5" else 2  # OpenCV 4 draws letters as thin strokes
_INK, _GREY, _FAINT = (40, 40, 40), (110, 110, 110), (205, 205, 205)
_UNSEEN, _GRID = (238, 238, 236), (221, 221, 219)
_PERSON, _ERROR, _CAMERA = (24, 60, 110), (138, 166, 200), (190, 60, 30)
_CONTOUR = (132, 104, 64)
_LEAST_STEP_M = 0.1  # between contours; ground is hardly known better
_FREE_PX = 40.0  # between a label and people, where there is room
_BODY_M = (0.24, 0.14)  # half the width and half the depth of a person
_DENSE_PER_M2 = 4.0  # the top of the scale: where crowds become dangerous (Fruin 1993)


def draw_topview(scene: Scene, width_px: int = _WIDTH_PX) -> Picture:
    """The ground seen from above: x right, viewing direction up.

    Returns:
        (H, width_px, 3) uint8 RGB; H follows from the extent of the crowd.
    """
    plan = floor_plan(scene)
    if not scene.planes or not plan.placed.any():
        note = "no people"
        if len(scene.people):
            note = "nobody has a place" if scene.planes else "camera not determined"
        canvas = _blank(width_px, width_px // 3)
        left = (width_px - _text_px(note, 1.6)) / 2
        _text(canvas, note, (left, width_px / 6), 1.6, _GREY)
        return _reduced(canvas)
    frame = export_frame(scene.camera, scene.planes)
    view = View(plan.position_m[plan.placed, :2], width_px - _LEFT_PX - _RIGHT_PX)
    canvas = _blank(width_px, view.size_px[1] + _TOP_PX + _BOTTOM_PX)
    plot = np.full((*view.size_px[::-1], 3), _UNSEEN, np.uint8)
    plot = np.repeat(np.repeat(plot, _FINE, axis=0), _FINE, axis=1)
    density = density_per_m2(plan.position_m[plan.placed, :2], view.low_m, view.high_m)
    outline = seen_ground_m(scene.camera, scene.ground, frame, 20 * view.span_m)
    _draw_seen(plot, view, outline)
    _draw_density(plot, density)
    _draw_grid(plot, canvas, view)
    if scene.surface is not None:
        feet = plan.position_m[view.inside(plan.position_m), :2]
        _draw_contours(plot, view, heights_m(scene.ground, frame, view, outline, feet), feet)
    _draw_people(plot, view, plan)
    if len(scene.planes) > 1:
        _draw_levels(plot, view, scene, plan)
    _draw_camera(plot, view)
    left, top = _LEFT_PX * _FINE, _TOP_PX * _FINE
    canvas[top : top + plot.shape[0], left : left + plot.shape[1]] = plot
    _draw_text(canvas, view, scene, plan, float(density.max()))
    return _reduced(canvas)


def _blank(width_px: int, height_px: int) -> Picture:
    return np.full((height_px * _FINE, width_px * _FINE, 3), 255, dtype=np.uint8)


def _reduced(canvas: Picture) -> Picture:
    size = (canvas.shape[1] // _FINE, canvas.shape[0] // _FINE)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fixed(points_px: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Pixels -> integers of the fine canvas with 4 fractional bits, kept where OpenCV can clip them."""
    steps = np.rint(np.clip(np.asarray(points_px), -30000, 30000) * _FINE * 16)
    return np.asarray(steps, dtype=np.int32)


def _point(point_px: npt.ArrayLike) -> tuple[int, int]:
    u, v = _fixed(point_px)
    return int(u), int(v)


def _line(canvas: Picture, a: npt.ArrayLike, b: npt.ArrayLike, color: Color, width: float) -> None:
    cv2.line(canvas, _point(a), _point(b), color, round(width * _FINE), cv2.LINE_AA, 4)


def _text(
    canvas: Picture,
    text: str,
    at_px: tuple[float, float],
    scale: float,
    color: Color,
    bold: int = 1,
) -> None:
    origin = (round(at_px[0] * _FINE), round(at_px[1] * _FINE))
    text = printable(
        text
    )  # half a character, as in a file's name that is not UTF-8, would end the process
    cv2.putText(canvas, text, origin, _FONT, scale * 0.5 * _FINE, color, _PEN * bold, cv2.LINE_AA)


def _text_px(text: str, scale: float) -> float:
    """Width of a text in pixels of the finished picture."""
    return float(cv2.getTextSize(text, _FONT, scale * 0.5 * _FINE, 1)[0][0]) / _FINE


def _colors(density: FloatArray) -> FloatArray:
    """(...,) people per square metre -> (..., 3) RGB from white over yellow to dark red."""
    stops = np.array([0.0, 0.1, 0.3, 0.6, 1.0])
    shades = np.array(
        [[255, 255, 255], [255, 244, 190], [253, 190, 100], [222, 90, 50], [140, 10, 40]]
    )
    share = np.sqrt(np.clip(density / _DENSE_PER_M2, 0, 1))  # most crowds are sparse: room for them
    return np.stack([np.interp(share, stops, shades[:, c]) for c in range(3)], axis=-1)


def _draw_seen(plot: Picture, view: View, outline_m: FloatArray) -> None:
    """White where the photograph shows the ground."""
    corners = [_fixed(view.px(outline_m))]
    cv2.fillPoly(plot, corners, (255, 255, 255), cv2.LINE_AA, 4)
    cv2.polylines(plot, corners, True, _FAINT, _FINE, cv2.LINE_AA, 4)


def _draw_density(plot: Picture, density: FloatArray) -> None:
    size = (plot.shape[1], plot.shape[0])
    colors = _colors(density)[::-1].astype(np.float32)
    for channel in range(3):  # one by one, to save memory
        tint = cv2.resize(colors[..., channel], size, interpolation=cv2.INTER_LINEAR)
        plot[..., channel] = np.rint(plot[..., channel] * (tint / 255.0))


def _draw_grid(plot: Picture, canvas: Picture, view: View) -> None:
    """Labelled lines at a round distance, faint ones between them."""
    step_m = round_step(max(view.span_m / 8, 1.0))
    fine_m = step_m / 5 if step_m / 5 * view.px_per_m > 9 else step_m
    bottom = _TOP_PX + view.size_px[1]
    for size_m, color in ((fine_m, _GRID), (step_m, _FAINT)):
        for axis in range(2):
            first = math.ceil(view.low_m[axis] / size_m)
            for k in range(first, math.floor(view.high_m[axis] / size_m) + 1):
                ends = np.array([view.low_m, view.high_m])
                ends[:, axis] = k * size_m
                start, end = view.px(ends)
                _line(plot, start, end, color, 0.5 if color == _GRID else 1)
                if size_m == step_m:
                    u, v = view.px(ends[0])
                    label = f"{k * size_m:.0f}" + ("" if k else " m")
                    wide = _text_px(label, 1.0)
                    at = (_LEFT_PX + u - wide / 2, bottom + 24)
                    if axis == 1:
                        at = (_LEFT_PX - 12 - wide, _TOP_PX + v + 5)
                    _text(canvas, label, at, 1.0, _GREY)
    cv2.rectangle(plot, (0, 0), (plot.shape[1] - 1, plot.shape[0] - 1), _FAINT, _FINE)


def _draw_contours(plot: Picture, view: View, heights: FloatArray, feet_m: FloatArray) -> None:
    """Lines of equal height, each labelled once, where nobody stands and farthest to the right.

    Args:
        heights: (rows, columns) over the whole view; NaN where no lines shall be.
        feet_m: (N, 2) people whom labels should leave free.
    """
    cell_m = (view.high_m - view.low_m) / (np.array(heights.shape[::-1]) - 1)
    people = cKDTree(view.px(feet_m)) if len(feet_m) else None
    for height in contour_heights(heights, _LEAST_STEP_M):
        ends = view.px(view.low_m + contour(heights, float(height)) * cell_m)
        cv2.polylines(plot, list(_fixed(ends)), False, _CONTOUR, _FINE, cv2.LINE_AA, 4)
        label = f"{height + 0.0:.6g} m"
        middles = ends.mean(axis=1)
        room = np.array(view.size_px) - [_text_px(label, 0.9) + 6, 6]
        middles = middles[((middles > [6, 18]) & (middles < room)).all(axis=1)]
        if len(middles):
            free = np.full(len(middles), _FREE_PX)
            if people is not None:
                free = np.minimum(people.query(middles)[0], _FREE_PX)
            at = middles[np.argmax(free + middles[:, 0] / view.size_px[0])]
            _label(plot, label, at + np.array([3, 4]), _CONTOUR)


def _draw_levels(plot: Picture, view: View, scene: Scene, plan: FloorPlan) -> None:
    """The height of each of several levels, right of the people on it."""
    for k in range(len(scene.planes)):
        standing = view.inside(plan.position_m) & (scene.people.plane == k)
        if standing.any():
            feet = plan.position_m[standing]
            label = f"level {k}: {feet[:, 2].mean() + 0.0:.1f} m"
            at = view.px([feet[:, 0].max(), np.median(feet[:, 1])]) + np.array([14, 4])
            most = np.array(view.size_px) - [_text_px(label, 1.0) + 6, 6]
            _label(plot, label, np.clip(at, [6, 18], most), _INK)


def _label(plot: Picture, text: str, at_px: FloatArray, color: Color) -> None:
    """Small letters with a light rim, so that they can be read on anything."""
    at = (float(at_px[0]), float(at_px[1]))
    _text(plot, text, at, 0.9, (255, 255, 255), 4)
    _text(plot, text, at, 0.9, color)


def _draw_people(plot: Picture, view: View, plan: FloorPlan) -> None:
    """An ellipse where each one stands, a tick the way they face, the error if it is larger."""
    shown = np.flatnonzero(view.inside(plan.position_m))
    body_px = np.maximum(np.array(_BODY_M) * view.px_per_m, (3.6, 3.0))
    for i in shown:
        axes_px = np.array([plan.sigma_minor_m[i], plan.sigma_major_m[i]]) * view.px_per_m
        if np.isfinite(axes_px).all() and axes_px[1] > body_px[0]:
            angle = float(plan.sigma_angle_deg[i])
            _ellipse(plot, view.px(plan.position_m[i, :2]), axes_px, angle, _ERROR, _FINE)
    for i in shown:
        at = view.px(plan.position_m[i, :2])
        heading_deg = float(plan.heading_deg[i])
        if math.isfinite(heading_deg):
            heading = math.radians(heading_deg)
            tip = at + 2.0 * body_px[0] * np.array([math.sin(heading), -math.cos(heading)])
            _line(plot, at, tip, _PERSON, max(1.5, 0.28 * body_px[1]))
            _ellipse(plot, at, body_px, heading_deg, _PERSON, -1)
        else:
            _ellipse(plot, at, body_px[[1, 1]], 0.0, _PERSON, -1)


def _ellipse(
    plot: Picture,
    at_px: FloatArray,
    axes_px: FloatArray,
    angle_deg: float,
    color: Color,
    width: int,
) -> None:
    axes = _point(axes_px)
    cv2.ellipse(plot, _point(at_px), axes, angle_deg, 0, 360, color, width, cv2.LINE_AA, 4)


def _draw_camera(plot: Picture, view: View) -> None:
    """A triangle below the camera, or at the edge an arrow towards it."""
    at = view.px([0.0, 0.0])
    if view.has_camera:
        shape, turn = np.array([[0, -16], [-11, 10], [11, 10]]), 0.0
        label, shift = "camera", np.array([18, 8])
    else:
        middle = np.array(view.size_px) / 2
        away = at - middle
        at = middle + away * float(((middle - 22) / np.maximum(np.abs(away), 1e-9)).min())
        shape, turn = np.array([[0, -16], [-9, 10], [9, 10]]), math.atan2(away[0], -away[1])
        distance_m = np.linalg.norm((view.low_m + view.high_m) / 2)
        label, shift = f"camera, {distance_m:.0f} m from the middle", np.array([24, 6])
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    cv2.fillPoly(plot, [_fixed(at + shape @ rotation.T)], _CAMERA, cv2.LINE_AA, 4)
    if at[0] + shift[0] + _text_px(label, 1.0) > view.size_px[0]:
        shift[0] = -shift[0] - round(_text_px(label, 1.0))
    _text(plot, label, tuple(at + shift), 1.0, _CAMERA)


def _draw_text(canvas: Picture, view: View, scene: Scene, plan: FloorPlan, densest: float) -> None:
    name = scene.image_name if len(scene.image_name) <= 60 else scene.image_name[:57] + "..."
    n = int(plan.placed.sum())
    _text(canvas, name, (_LEFT_PX, 42), 1.5, _INK, 2)
    facts = [
        f"{n} people" if n != 1 else "1 person",
        f"camera {scene.planes[0].offset_m:.1f} m above the ground",
        f"field of view {math.degrees(scene.camera.fov_rad):.0f} degrees",
        f"densest place {densest:.1f} people per square metre",
    ]
    hidden = n - int(view.inside(plan.position_m).sum())
    if hidden:
        facts.append(f"{hidden} outside this frame")
    if n < len(scene.people):
        facts.append(f"{len(scene.people) - n} without a place")
    _text(canvas, "   |   ".join(facts), (_LEFT_PX, 72), 1.05, _GREY)
    if scene.ground.kind != "level":
        ground = f"ground: {ground_in_words(scene)}"
        right = _LEFT_PX + view.size_px[0]
        _text(canvas, ground, (right - _text_px(ground, 1.05), 42), 1.05, _GREY)
    base = view.size_px[1] + _TOP_PX + _BOTTOM_PX - 38
    note = "metres; body with its facing, ring = one standard deviation, white = ground in the photograph"
    _text(canvas, note, (_LEFT_PX, base + 10), 1.0, _GREY)
    width, height = 260, 14
    left = view.size_px[0] + _LEFT_PX - width
    bar = _colors(np.linspace(0, 1, width * _FINE) ** 2 * _DENSE_PER_M2)
    canvas[base * _FINE : (base + height) * _FINE, left * _FINE : (left + width) * _FINE] = np.rint(
        bar
    )
    for value in (0.0, 0.25, 1.0, 2.0, 4.0):
        u = left + math.sqrt(value / _DENSE_PER_M2) * width
        label = f"{value:g}" + ("+" if value == _DENSE_PER_M2 else "")
        _text(canvas, label, (u - _text_px(label, 0.9) / 2, base + height + 17), 0.9, _GREY)
    unit = "people / square metre"
    _text(canvas, unit, (left - 16 - _text_px(unit, 1.0), base + 12), 1.0, _GREY)
