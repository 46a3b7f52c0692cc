"""`report.html`: pictures, numbers and a 3D view in one page without network or server."""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.errors import OutputError, printable
from crowd3d.export import tables
from crowd3d.export.bodies import CrowdMesh, LocalBodies
from crowd3d.export.floorplan import SIGMAS_95, FloorPlan, floor_plan
from crowd3d.export.palette import person_colors
from crowd3d.files import atomic, strict_json
from crowd3d.scene.frames import ExportFrame, export_frame
from crowd3d.scene.ground_mesh import ground_meshes
from crowd3d.scene.scene import Scene
from crowd3d.scene.storage import COVARIANCE
from crowd3d.scene.summary import footing_in_words, ground_in_words
from crowd3d.version import __version__

Picture = npt.NDArray[np.uint8]
Tile = tuple[str, str, str]  # a number's name, the number, what more there is to say

_PICTURE_PX = 1920  # longest side of a picture inside the page
# Joined in this order inside one function, whose scope they share.
_SCRIPTS = ("report_table.js", "report_photo.js", "report_mesh.js", "report_view.js")


def write(scene: Scene, mesh: CrowdMesh, overlay: Picture, topview: Picture, path: Path) -> None:
    """Write the page; raises OutputError."""
    parts = html_parts(scene, mesh, overlay, topview)
    atomic.write_parts(path, (part.encode() for part in parts))


def html_parts(scene: Scene, mesh: CrowdMesh, overlay: Picture, topview: Picture) -> Iterator[str]:
    """The page as text, part by part.

    Args:
        mesh: everybody's posed body; coarse bodies keep the page small.
        overlay, topview: (H, W, 3) uint8 RGB.
    """
    frame = export_frame(scene.camera, scene.planes)
    plan = floor_plan(scene, frame)
    bodies = LocalBodies.of(scene, mesh, frame)
    farthest_m = max((float(np.abs(part).max()) for part in bodies.parts()), default=0.0)
    step_m = max(farthest_m / 32767, 1e-6)
    values = {
        "title": html.escape(printable(scene.image_name)),
        "tiles": "".join(_tile_html(*tile) for tile in numbers(scene, plan)),
        "warnings": _warnings_html(scene.diagnostics.get("warnings", [])),
        "overlay": data_uri(overlay, ".jpg"),
        "topview": data_uri(topview, ".png"),
        "version": html.escape(__version__),
        "script": "".join(_resource(name) for name in _SCRIPTS),
        "data": _script_json(view_data(scene, bodies, step_m, plan)),
    }
    # Names and texts of the template take turns.
    for i, text in enumerate(re.split(r"\{\{(\w+)\}\}", _resource("report.html"))):
        if i % 2 == 0:
            yield text
        elif text == "positions":
            yield from _in_steps(bodies, step_m)
        else:
            yield values[text]


def numbers(scene: Scene, plan: FloorPlan) -> list[Tile]:
    """The figures at the top of the page, with one standard deviation where it is known."""
    camera = scene.camera
    n_lost = int((~scene.people.placed).sum())
    lost = f"{n_lost} of them without a place" if n_lost else ""
    who = ", ".join(filter(None, (lost, footing_in_words(scene.people))))
    sd = _deviations(scene)
    half = camera.width / 2 / camera.focal_px
    fov_sd_deg = math.degrees(2 * half / (1 + half * half)) * sd[0]
    tiles = [
        ("People", str(len(scene.people)), who),
        ("Field of view", f"{math.degrees(camera.fov_rad):.1f}°", _plus_minus(fov_sd_deg, "°")),
    ]
    if scene.planes:
        plane = scene.planes[0]
        pitch_deg = math.degrees(math.asin(float(np.clip(-plane.normal[2], -1, 1))))
        direction = "down" if pitch_deg >= 0 else "up"
        tilt = f"{abs(pitch_deg):.1f}° {direction}"
        height_sd = plane.offset_m * sd[3]
        tiles += [
            ("Camera height", f"{plane.offset_m:.2f} m", _plus_minus(height_sd, " m", 2)),
            ("Camera tilt", tilt, _plus_minus(math.degrees(sd[1]), "°")),
            ("Ground", ground_in_words(scene), _how_probable(scene)),
        ]
    distance = np.linalg.norm(plan.position_m[plan.placed, :2], axis=1)
    if len(distance):
        span = f"{distance.min():.0f} to {distance.max():.0f} m"
        tiles.append(("Distance of people", span, "along the ground"))
    tiles.append(("Body", scene.body, "whose shapes these are"))
    return tiles


def view_data(scene: Scene, bodies: LocalBodies, step_m: float, plan: FloorPlan) -> dict[str, Any]:
    """What the page's script needs, y up, besides the vertices; these are in steps of `step_m`."""
    mesh, frame = bodies.mesh, bodies.frame
    index_type = "<u2" if mesh.faces.max(initial=0) < 65536 else "<u4"
    colors = person_colors(scene.people.id)
    camera = scene.camera
    corners = camera.rays(
        [(0, 0), (camera.width, 0), (camera.width, camera.height), (0, camera.height)]
    )
    return {
        "people": tables.rows(scene, plan),
        "colors": np.round(colors, 3),
        "boxes": _boxes(scene),
        "bodies": mesh.index,
        "n_vertices": mesh.vertices_m.shape[1],
        "step_m": step_m,
        "feet": np.round(bodies.feet_m, 4),
        "faces": base64.b64encode(mesh.faces.astype(index_type).tobytes()).decode(),
        "wide_faces": index_type == "<u4",
        "sigmas": SIGMAS_95,
        "has_ground": bool(scene.planes),
        "ground": _ground_parts(scene, frame),
        "camera": {
            "place": np.round(frame.y_up(np.zeros(3)), 4),
            "corners": np.round(corners @ frame.R_yup_cam.T, 5),
            "forward": np.round(frame.R_yup_cam[:, 2], 6),
            "yfov": round(camera.fov_down_rad, 6),
        },
    }


def _in_steps(bodies: LocalBodies, step_m: float) -> Iterator[str]:
    """All vertices in steps, int16, as one base64 text in parts."""
    left = b""
    for part in bodies.parts():
        content = left + np.rint(part / step_m).astype("<i2").tobytes()
        whole = len(content) - len(content) % 3  # only the last part of a base64 text may be padded
        left = content[whole:]
        yield base64.b64encode(content[:whole]).decode()
    yield base64.b64encode(left).decode()


def _boxes(scene: Scene) -> list[list[float] | None]:
    """Everybody's box as fractions of the picture's width and height; None without one."""
    size = np.array([scene.camera.width, scene.camera.height] * 2, dtype=np.float64)
    boxes = np.clip(scene.people.box_px / size, 0.0, 1.0)
    real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # never for NaN
    rounded = np.round(boxes, 5).tolist()
    return [box if good else None for box, good in zip(rounded, real, strict=True)]


def data_uri(picture: Picture, suffix: str) -> str:
    """A picture, made smaller if it is large, as text for an `img` element."""
    scale = _PICTURE_PX / max(picture.shape[:2])
    if scale < 1:
        height, width = picture.shape[:2]
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return f"data:image/{kind};base64," + base64.b64encode(encode(picture, suffix)).decode()


def encode(picture: Picture, suffix: str, quality: int = 88) -> bytes:
    """(H, W, 3) uint8 RGB -> the bytes of a ".jpg" or ".png" file; raises OutputError."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    try:
        good, content = cv2.imencode(suffix, picture[..., ::-1], options)
    except cv2.error as error:
        raise OutputError(f"cannot encode a {suffix} picture: {error.err}") from None
    if not good:
        raise OutputError(f"cannot encode a {suffix} picture of {picture.shape[1::-1]} pixels")
    return bytes(content)


def _deviations(scene: Scene) -> list[float]:
    """Standard deviations of log focal length, pitch, roll, log height; NaN where unknown."""
    covariance = scene.diagnostics.get(COVARIANCE)
    if covariance is None:
        return [math.nan] * 4
    variances = np.diag(np.array(covariance, dtype=np.float64))
    return [math.sqrt(v) if v >= 0 else math.nan for v in variances]


def _how_probable(scene: Scene) -> str:
    """Of the ground's shape among those that were compared."""
    report = scene.diagnostics.get("camera_report") or {}
    chances = report.get("ground_probabilities", {})
    chance = chances.get(scene.ground.kind)
    if chance is None or len(chances) < 2:
        return ""
    return f"{chance:.0%} probable" if chance < 0.995 else "over 99% probable"


def _ground_parts(scene: Scene, frame: ExportFrame) -> list[dict[str, Any]]:
    """Triangles of the ground, y up; none of one level, which the page draws without end."""
    if not scene.planes or scene.ground.kind == "level":
        return []
    return [
        {"points": np.round(frame.y_up(mesh.vertices_m.reshape(-1, 3)), 2), "faces": mesh.faces}
        for mesh in ground_meshes(scene.ground, frame, scene.people).values()
    ]


def _plus_minus(value: float, unit: str, digits: int = 1) -> str:
    return f"± {value:.{digits}f}{unit}" if math.isfinite(value) else ""


def _tile_html(name: str, value: str, note: str) -> str:
    small = f"<small>{html.escape(note)}</small>" if note else ""
    return f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)} {small}</dd></div>"


def _warnings_html(warnings: list[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{html.escape(str(warning))}</li>" for warning in warnings)
    return f'<ul class="warnings" aria-label="Warnings">{items}</ul>'


def _script_json(values: dict[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(strict_json.plain(values), separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _resource(name: str) -> str:
    return resources.files("crowd3d.export").joinpath(name).read_text(encoding="utf-8")
