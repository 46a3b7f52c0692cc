"""COLMAP's cameras.txt: CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]; one line a camera.

Pixels count from the picture's corner, as ours do. Models: https://colmap.github.io/cameras.html
"""

from __future__ import annotations

from crowd3d.errors import CameraError
from crowd3d.picture.camera_files.intrinsics import Intrinsics
from crowd3d.picture.camera_files.numbers import numbers
from crowd3d.picture.camera_files.opencv import size_of
from crowd3d.scene.camera import COUNTS, PERSPECTIVE
from optim.fisheye import EQUIDISTANT

KIND = "COLMAP"
# Name -> (how many focal lengths, projection, how many coefficients); cx, cy follow the focal lengths.
_MODELS = {
    "SIMPLE_PINHOLE": (1, PERSPECTIVE, 0),
    "PINHOLE": (2, PERSPECTIVE, 0),
    "SIMPLE_RADIAL": (1, PERSPECTIVE, 1),
    "RADIAL": (1, PERSPECTIVE, 2),
    "OPENCV": (2, PERSPECTIVE, 4),
    "FULL_OPENCV": (2, PERSPECTIVE, 8),
    "SIMPLE_RADIAL_FISHEYE": (1, EQUIDISTANT, 1),
    "RADIAL_FISHEYE": (1, EQUIDISTANT, 2),
    "OPENCV_FISHEYE": (2, EQUIDISTANT, 4),
}


def is_one(text: str) -> bool:
    """Whether a text looks like cameras.txt: an id and a model's name in capitals come first."""
    words = next((line.split() for line in _lines(text)), [])
    return len(words) > 3 and words[0].isascii() and words[0].isdigit() and words[1].isupper()


def read(text: str) -> list[Intrinsics]:
    """All cameras of the file; raises CameraError."""
    return [_camera(line.split()) for line in _lines(text)]


def _lines(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _camera(words: list[str]) -> Intrinsics:
    name, model = words[0], words[1] if len(words) > 1 else ""
    if model not in _MODELS:
        known = ", ".join(_MODELS)
        raise CameraError(
            f"COLMAP's model {model!r} is not read; undistort the pictures with `colmap image_undistorter`, or "
            f"calibrate with one of {known}"
        )
    try:
        values = [float(word) for word in words[2:]]
    except ValueError:
        raise CameraError(f"camera {name}: a parameter is not a number") from None
    n_focal, projection, n_bend = _MODELS[model]
    numbers(values, f"camera {name}: {model} with width and height", 2 + n_focal + 2 + n_bend)
    focal, center = values[2 : 2 + n_focal], values[2 + n_focal : 4 + n_focal]
    bend = values[4 + n_focal :]
    wanted = next(count for count in COUNTS[projection] if count >= n_bend)
    return Intrinsics(
        KIND,
        (focal[0], focal[-1]),
        (center[0], center[1]),
        size_of(values[:2]),
        (*bend, *[0.0] * (wanted - n_bend)),
        projection,
        name=f"camera {name}",
    )
