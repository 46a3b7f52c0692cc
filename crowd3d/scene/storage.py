"""Save and load a scene: `people.npz` has the arrays of the people, `scene.json` everything else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, Polygon

from crowd3d.errors import CameraError, DataError, SceneError
from crowd3d.files import atomic, strict_json
from crowd3d.files.arrays import LARGEST, FloatArray, checked, load_arrays
from crowd3d.files.strict_json import typed
from crowd3d.scene.camera import Camera
from crowd3d.scene.frames import export_frame
from crowd3d.scene.ground import Ground
from crowd3d.scene.people import DEFAULTS, FOOTINGS, ROW_LAYOUT, SEEN, UNPLACED, People
from crowd3d.scene.plane import Plane
from crowd3d.scene.stored_ground import ground_to_dict, surface_from_dict
from crowd3d.version import __version__
from optim.ground.surface import Surface

SCHEMA = "crowd3d-scene/2"
_WITHOUT_GROUND = "crowd3d-scene/1"  # of 0.4 and before: every ground is levels
SCENE_FILE, _PEOPLE = "scene.json", "people.npz"
COVARIANCE = "covariance_log_focal_pitch_roll_log_height"  # of the camera, among the diagnostics
_FRAMES = {
    "camera": "x right, y down, z forward, metres, origin in the camera; planes, ground and people.npz",
    "z_up": "x right, y forward, z up, metres, origin on the ground below the camera",
    "y_up": "x right, y up, z backward, metres, origin on the ground below the camera",
    "pixels": "u right, v down, origin at the top-left corner of the full picture",
    "plane": "normal . X + offset_m = 0, unit normal pointing up",
    "ground": "height over the first plane: tilt, hinges and bumps, added up, in heights of the camera",
}
_MOST_BYTES = {SCENE_FILE: 200_000_000, _PEOPLE: 500_000_000}  # of 150,000 people
_MOST_M = 1e7  # metres, or square metres, of anything in a photograph
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
    surface: Surface | None


def save(scene: Storable, folder: Path) -> None:
    """Write both files into a folder, which is created if needed; either both files appear or none.

    Raises:
        OutputError: the folder cannot be written to.
    """
    with atomic.staged(folder, last=SCENE_FILE) as stage:
        write(scene, stage)


def write(scene: Storable, folder: Path) -> list[Path]:
    """Write both files into an existing folder, without the guarantee of `save`."""
    text = strict_json.dumps(to_dict(scene), indent=1)
    atomic.write_text(folder / SCENE_FILE, text)
    atomic.write_bytes(folder / _PEOPLE, people_bytes(scene.people))
    return [folder / SCENE_FILE, folder / _PEOPLE]


def to_dict(scene: Storable) -> dict[str, Any]:
    """The content of `scene.json`; it also names units and frames."""
    frame = export_frame(scene.camera, scene.planes)
    ground = Ground(scene.planes, scene.surface)
    return {
        "schema": SCHEMA,
        "software": {"crowd3d": __version__},
        "image_name": scene.image_name,
        "body": scene.body,
        "counts": {"people": len(scene.people), "planes": len(scene.planes)},
        "frames": _FRAMES,
        "camera": scene.camera.to_dict(),
        "planes": [_plane_to_dict(plane) for plane in scene.planes],
        "ground": ground_to_dict(ground, frame, scene.people) if scene.planes else None,
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
    values = _read_json(folder / SCENE_FILE)
    schema = values.get("schema")
    if schema not in (SCHEMA, _WITHOUT_GROUND):
        raise SceneError(
            f"{folder / SCENE_FILE} has the schema {schema!r}; this version of crowd3d reads {SCHEMA!r} "
            f"and {_WITHOUT_GROUND!r}"
        )
    try:
        planes = [_plane_from_dict(plane) for plane in typed(values["planes"], list)]
        parts = {
            "camera": Camera.from_dict(typed(values["camera"], dict)),
            "planes": planes,
            "surface": surface_from_dict(values["ground"], planes) if schema == SCHEMA else None,
            "people": _read_people(folder / _PEOPLE, len(planes)),
            "image_name": typed(values["image_name"], str),
            "body": typed(values["body"], str),
            "diagnostics": _with_diagnostics(typed(values["diagnostics"], dict)),
        }
        n_people = values["counts"]["people"]
    except KeyError as error:
        raise SceneError(f"{folder / SCENE_FILE} has no {error.args[0]!r}") from None
    except (TypeError, ValueError, OverflowError, CameraError, DataError, ShapelyError) as error:
        raise SceneError(f"{folder / SCENE_FILE} is malformed: {error}") from None
    n_stored = len(parts["people"])
    if n_people != n_stored:
        raise SceneError(
            f"{folder / SCENE_FILE} speaks of {n_people} people, but {_PEOPLE} holds {n_stored}; "
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
        first, *others = getattr(plane.region, "geoms", [plane.region])
        values |= _region_to_dict(first)
        if others:
            values["more_regions"] = [_region_to_dict(part) for part in others]
    return values


def _region_to_dict(region: Polygon) -> dict[str, Any]:
    values = {"region": [list(point[:2]) for point in region.exterior.coords]}
    if region.interiors:
        values["region_holes"] = [[list(p[:2]) for p in r.coords] for r in region.interiors]
    return values


def _plane_from_dict(values: dict[str, Any]) -> Plane:
    normal = checked(typed(values, dict)["normal"], (3,), "the normal of a plane")
    offset_m = float(checked(values["offset_m"], (), "offset_m of a plane"))
    if abs(offset_m) > _MOST_M:
        raise ValueError(f"offset_m of a plane is beyond {_MOST_M:g}")
    if abs(np.linalg.norm(normal) - 1) > 1e-6:
        raise ValueError(f"the plane's normal has the length {np.linalg.norm(normal):.6g}, not 1")
    if values.get("region") is None:
        return Plane(normal, offset_m)
    parts = [values, *typed(values.get("more_regions", []), list)]
    polygons = [_region_from_dict(typed(part, dict)) for part in parts]
    return Plane(normal, offset_m, polygons[0] if len(polygons) == 1 else MultiPolygon(polygons))


def _region_from_dict(values: dict[str, Any]) -> Polygon:
    if values["region"] == []:
        return Polygon()
    holes = [_points(hole) for hole in values.get("region_holes", [])]
    return Polygon(_points(values["region"]), holes)


def _points(values: Any) -> FloatArray:
    return checked(values, (-1, 2), "a region, a list of [u, v] pixels,")


def _read_json(path: Path) -> dict[str, Any]:
    _must_be_there(path)
    return strict_json.read_object(path, SceneError, _MOST_BYTES[SCENE_FILE])


def _read_people(path: Path, n_planes: int) -> People:
    _must_be_there(path)
    arrays = load_arrays(path, SceneError, ROW_LAYOUT, _MOST_BYTES[_PEOPLE])
    missing = [name for name in ROW_LAYOUT if name not in arrays and name not in DEFAULTS]
    if missing:
        raise SceneError(f"{path} has no {missing[0]!r}")
    try:
        people = People(**arrays)
        _check_people(people, n_planes)
    except (TypeError, ValueError, OverflowError) as error:
        raise SceneError(f"{path} is malformed: {error}") from None
    return _with_places(people, path)


def _must_be_there(path: Path) -> None:
    if not path.exists():
        raise SceneError(f"there is no {path}; give the folder that a run wrote")


def _check_people(people: People, n_planes: int) -> None:
    """Raises ValueError for numbers that name something that is not there, or that nobody can have.

    NaN stands for what is unknown, and `_with_places` says where a place may be missing.
    """
    # Of people on the ground without a camera there is no plane either.
    for name, low, end in (
        ("plane", UNPLACED, max(n_planes, 1)),
        ("seen", 0, len(SEEN)),
        ("footing", 0, len(FOOTINGS)),
    ):
        values = getattr(people, name)
        if ((values < low) | (values >= end)).any():
            raise ValueError(f"{name} is not in {low}..{end - 1}")
    for name, (_, kind) in ROW_LAYOUT.items():
        most = _MOST_M if "_m" in name else LARGEST
        if kind is np.float64 and (np.abs(getattr(people, name)) > most).any():
            raise ValueError(f"{name} holds numbers beyond {most:g}")


def _with_places(people: People, path: Path) -> People:
    """The same people; raises SceneError unless just those on a plane have a position."""
    position_m = np.concatenate([people.transl_m, people.torso_m, people.hvip_m], axis=1)
    known = np.isfinite(position_m)
    odd = np.where(people.placed, ~known.all(axis=1), known.any(axis=1))
    if odd.any():
        i = int(np.argmax(odd))
        raise SceneError(
            f"{path}: person {people.id[i]} has the plane {people.plane[i]} and the position "
            f"{people.hvip_m[i].tolist()}; a plane of {UNPLACED} and a position of NaN, which mean "
            "that somebody has no place, come together or not at all"
        )
    return people


def _with_diagnostics(diagnostics: dict[str, Any]) -> dict[str, Any]:
    """The same diagnostics; raises TypeError or KeyError unless what others read of them is whole."""
    for warning in typed(diagnostics.get("warnings", []), list):
        typed(warning, str)
    for seconds in typed(diagnostics.get("seconds", {}), dict).values():
        typed(seconds, (int, float))
    report = typed(diagnostics.get("camera_report") or {}, dict)
    for level in typed(report.get("levels", []), list):
        typed(typed(level, dict)["name"], str)
    for chance in typed(report.get("ground_probabilities", {}), dict).values():
        typed(chance, (int, float))
    covariance = diagnostics.get(COVARIANCE)
    if covariance is not None:
        checked(
            [[np.nan if v is None else v for v in row] for row in covariance],
            (4, 4),
            COVARIANCE,
            finite=False,
        )
    for group in typed(diagnostics.get("unplaced", []), list):
        typed(typed(group, dict)["reason"], str)
        for id_ in typed(group["ids"], list):
            typed(id_, int)
    return diagnostics
