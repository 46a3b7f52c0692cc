"""Which format a camera's file has, by what is in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crowd3d.errors import CameraError, DataError
from crowd3d.files import strict_json, strict_yaml
from crowd3d.files.arrays import load_array
from crowd3d.files.reading import read_text
from crowd3d.picture.camera_files import colmap, kalibr, opencv, own
from crowd3d.picture.camera_files.intrinsics import Intrinsics
from crowd3d.picture.camera_files.numbers import numbers

_KINDS = (
    "camera.json, OpenCV's JSON or YAML, COLMAP's cameras.txt, Kalibr's camchain, or a 3 x 3 matrix"
)

# OpenCV's YAML has a head that looks like a directive and is none, and names the kind of its mappings.
_OF_OPENCV = re.compile(r"^%YAML:?\s*\d.*\n|!!opencv-(nd-)?matrix")


def read(path: Path) -> list[Intrinsics]:
    """Every camera that a file holds.

    Args:
        path: camera.json, cv2.FileStorage's JSON or YAML, ROS's camera_info, COLMAP's cameras.txt, Kalibr's
            camchain, or a 3 x 3 matrix as JSON, text or .npy.

    Raises:
        CameraError: the file cannot be read, is of none of these formats, or holds what is not read.
    """
    if path.suffix.lower() == ".npy":
        return [_of_array(path)]
    if path.suffix.lower() == ".bin":
        raise CameraError(
            f"{path} is no text; of COLMAP's binary files make text by `colmap model_converter "
            "--output_type TXT`"
        )
    text = read_text(path, CameraError)
    try:
        return _of_text(text)
    except CameraError as error:
        raise CameraError(f"{path}: {error}") from None


def _of_text(text: str) -> list[Intrinsics]:
    start = text.lstrip()
    if start.startswith("<"):
        raise CameraError(
            "XML is not read; write the calibration as YAML or JSON with cv2.FileStorage"
        )
    if start.startswith(("{", "[")):
        return _of_values(_parsed(text, "JSON", strict_json.loads))
    if colmap.is_one(text):
        return colmap.read(text)
    rows = _rows(text)
    return (
        [_of_matrix(rows)]
        if rows
        else _of_values(_parsed(_OF_OPENCV.sub("", text), "YAML", strict_yaml.loads))
    )


def _parsed(text: str, kind: str, loads: Callable[[str], Any]) -> Any:
    try:
        return loads(text)
    except ValueError as error:
        raise CameraError(f"is not {kind}: {error}") from None


def _of_values(values: Any) -> list[Intrinsics]:
    if isinstance(values, list):
        return [_of_matrix(values)]
    if not isinstance(values, dict):
        raise CameraError(f"is none of {_KINDS}")
    if kalibr.is_one(values):
        return kalibr.read(values)
    if any(name in values for name in opencv.MATRIX):
        return [opencv.read(values)]
    return [own.read(values)]


def _of_matrix(rows: Any) -> Intrinsics:
    """A bare matrix. Those of data sets as 3DPW have their middle at half the size: from the corner."""
    return Intrinsics.of_matrix("a 3 x 3 matrix", numbers(rows, "the matrix", 9))


def _rows(text: str) -> list[list[float]]:
    """The lines of a text of three numbers a line; empty if it is none."""
    try:
        rows = [
            [float(word) for word in line.replace(",", " ").split()] for line in text.splitlines()
        ]
    except ValueError:
        return []
    rows = [row for row in rows if row]
    return rows if [len(row) for row in rows] == [3, 3, 3] else []


def _of_array(path: Path) -> Intrinsics:
    try:
        return _of_matrix(load_array(path, (3, 3), "the camera matrix").tolist())
    except DataError as error:
        raise CameraError(str(error)) from None
    except CameraError as error:
        raise CameraError(f"{path}: {error}") from None
