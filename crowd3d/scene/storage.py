"""Save and load a scene: `people.npz` has the arrays of the people, `scene.json` everything else."""

from __future__ import annotations

import io
import json
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
from shapely.errors import ShapelyError
from shapely.geometry import Polygon

from crowd3d.errors import CameraError, SceneError
from crowd3d.files import atomic, strict_json
from crowd3d.scene.camera import Camera
from crowd3d.scene.frames import export_frame
from crowd3d.scene.people import DEFAULTS, ROW_LAYOUT, UNPLACED, People
from crowd3d.scene.plane import Plane
from crowd3d.version import __version__

SCHEMA = "crowd3d-scene/1"
_SCENE, _PEOPLE = "scene.json", "people.npz"
_FRAMES = {
    "camera": "x right, y down, z forward, metres, origin in the camera; planes and people.npz",
    "z_up": "x right, y forward, z up, metres, origin on the ground below the camera",
    "y_up": "x right, y up, z backward, metres, origin on the ground below the camera",
    "pixels": "u right, v down, origin at the top-left corner of the full picture",
    "plane": "normal . X + offset_m = 0, unit normal pointing up",
}
# What numpy and zipfile raise for damaged or wrong files.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
    OverflowError,
    SyntaxError,
    zipfile.BadZipFile,
    tokenize.TokenError,
    zlib.error,
)
# Fixed date of the zip entries, so that the bytes do not depend on the clock.
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Storable(Protocol):
    """Any object with the parts of a scene. `Scene` has them; it is not imported here, to avoid a circle."""

    camera: Camera
    planes: list[Plane]
    people: People
    image_name: str
    body: str
    diagnostics: dict[str, Any]


def save(scene: Storable, folder: Path) -> None:
    """Write both files into a folder, which is created if needed; either both files appear or none.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with atomic.staged(folder) as stage:
        write(scene, stage)


def write(scene: Storable, folder: Path) -> list[Path]:
    """Write both files into an existing folder, without the guarantee of `save`."""
    text = strict_json.dumps(to_dict(scene), indent=1)
    atomic.write_text(folder / _SCENE, text)
    atomic.write_bytes(folder / _PEOPLE, people_bytes(scene.people))
    return [folder / _SCENE, folder / _PEOPLE]


def to_dict(scene: Storable) -> dict[str, Any]:
    """The content of `scene.json`; it also names units and frames."""
    frame = export_frame(scene.camera, scene.planes)
    return {
        "schema": SCHEMA,
        "software": {"crowd3d": __version__},
        "image_name": scene.image_name,
        "body": scene.body,
        "counts": {"people": len(scene.people), "planes": len(scene.planes)},
        "frames": _FRAMES,
        "camera": scene.camera.to_dict(),
        "planes": [_plane_to_dict(plane) for plane in scene.planes],
        "export_transforms": {
            "z_up_from_camera": frame.matrix("z"),
            "y_up_from_camera": frame.matrix("y"),
        },
        "diagnostics": scene.diagnostics,
    }


def people_bytes(people: People) -> bytes:
    """All arrays as an uncompressed `.npz`, whose bytes depend only on the arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, (_, dtype) in ROW_LAYOUT.items():
            array = io.BytesIO()
            little = np.ascontiguousarray(getattr(people, name), np.dtype(dtype).newbyteorder("<"))
            np.lib.format.write_array(array, little, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), array.getvalue())
    return buffer.getvalue()


def read(folder: Path) -> dict[str, Any]:
    """Read the two files that `save` wrote; the fields of a `Scene` by name.

    Raises:
        SceneError: a file is missing, damaged or of another version, or the two do not match.
    """
    values = _read_json(folder / _SCENE)
    schema = values.get("schema")
    if schema != SCHEMA:
        raise SceneError(
            f"{folder / _SCENE} has the schema {schema!r}; this version of crowd3d reads {SCHEMA!r}"
        )
    try:
        parts = {
            "camera": Camera.from_dict(_typed(values["camera"], dict)),
            "planes": [_plane_from_dict(plane) for plane in _typed(values["planes"], list)],
            "people": _with_places(_read_people(folder / _PEOPLE), folder / _PEOPLE),
            "image_name": _typed(values["image_name"], str),
            "body": _typed(values["body"], str),
            "diagnostics": _with_groups(_typed(values["diagnostics"], dict)),
        }
        n_people = values["counts"]["people"]
    except KeyError as error:
        raise SceneError(f"{folder / _SCENE} has no {error.args[0]!r}") from None
    except (TypeError, ValueError, OverflowError, CameraError, ShapelyError) as error:
        raise SceneError(f"{folder / _SCENE} is malformed: {error}") from None
    n_stored = len(parts["people"])
    if n_people != n_stored:
        raise SceneError(
            f"{folder / _SCENE} speaks of {n_people} people, but {_PEOPLE} holds {n_stored}; "
            "the two files come from different runs"
        )
    return parts


def _plane_to_dict(plane: Plane) -> dict[str, Any]:
    values: dict[str, Any] = {
        "normal": np.asarray(plane.normal),
        "offset_m": plane.offset_m,
        "region": None,
    }
    if plane.region is not None:
        values["region"] = [list(point[:2]) for point in plane.region.exterior.coords]
        if plane.region.interiors:
            values["region_holes"] = [
                [list(p[:2]) for p in r.coords] for r in plane.region.interiors
            ]
    return values


def _plane_from_dict(values: dict[str, Any]) -> Plane:
    normal = np.array(_typed(values, dict)["normal"], dtype=np.float64)
    offset_m = float(values["offset_m"])
    if normal.shape != (3,) or not np.isfinite([*normal, offset_m]).all():
        raise ValueError("a plane needs three finite numbers as its normal and a finite offset_m")
    if abs(np.linalg.norm(normal) - 1) > 1e-6:
        raise ValueError(f"the plane's normal has the length {np.linalg.norm(normal):.6g}, not 1")
    region = values.get("region")
    if region is not None:
        region = Polygon(
            _points(region), [_points(hole) for hole in values.get("region_holes", [])]
        )
    return Plane(normal, offset_m, region)


def _points(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    points = np.array(values, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("a region must be a list of [u, v] pixels")
    return points


def _read_json(path: Path) -> dict[str, Any]:
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON number")

    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except FileNotFoundError:
        raise SceneError(f"there is no {path}; give the folder that a run wrote") from None
    except OSError as error:
        raise SceneError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise SceneError(f"{path} must hold one JSON object")
    return values


def _read_people(path: Path) -> People:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = [name for name in ROW_LAYOUT if name in archive or name not in DEFAULTS]
            return People(**{name: archive[name] for name in names})
    except FileNotFoundError:
        raise SceneError(f"there is no {path}; give the folder that a run wrote") from None
    except KeyError as error:
        raise SceneError(f"{path}: {error.args[0]}") from None
    except _DAMAGED as error:
        raise SceneError(f"{path} is damaged: {error}") from None


def _with_places(people: People, path: Path) -> People:
    """The same people; raises SceneError unless just those on a plane have a position."""
    position_m = np.concatenate([people.transl_m, people.torso_m, people.hvip_m], axis=1)
    known = np.isfinite(position_m)
    odd = np.where(people.placed, ~known.all(axis=1), known.any(axis=1))
    odd |= people.plane < UNPLACED
    if odd.any():
        i = int(np.argmax(odd))
        raise SceneError(
            f"{path}: person {people.id[i]} has the plane {people.plane[i]} and the position "
            f"{people.hvip_m[i].tolist()}; a plane of {UNPLACED} and a position of NaN, which mean "
            "that somebody has no place, come together or not at all"
        )
    return people


def _with_groups(diagnostics: dict[str, Any]) -> dict[str, Any]:
    """The same diagnostics; raises TypeError or KeyError unless the groups of "unplaced" are whole."""
    for group in _typed(diagnostics.get("unplaced", []), list):
        _typed(_typed(group, dict)["reason"], str)
        for id_ in _typed(group["ids"], list):
            _typed(id_, int)
    return diagnostics


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"found {type(value).__name__} where {kind.__name__} belongs")
    return value
