"""Cameras of OpenCV, and of programs that keep its names: matrix and coefficients in JSON or YAML.

`cv2.FileStorage` writes `camera_matrix` and `distortion_coefficients` as mappings with `data`; ROS's
camera_info adds `distortion_model`; others write plain lists under shorter names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crowd3d.errors import CameraError
from crowd3d.picture.camera_files.intrinsics import Intrinsics
from crowd3d.picture.camera_files.numbers import numbers
from crowd3d.scene.camera import COUNTS, PERSPECTIVE
from optim.fisheye import EQUIDISTANT
from optim.lens import NONE

KIND = "OpenCV"
MATRIX = (
    "camera_matrix",
    "K",
    "cameraMatrix",
    "mtx",
    "intrinsic_matrix",
    "cam_intrinsics",
    "intrinsics",
)
_COEFFICIENTS = ("distortion_coefficients", "dist_coeffs", "distCoeffs", "dist", "D", "distortion")
_SIZES = (("image_width", "image_height"), ("width", "height"))
_SIZE = ("image_size", "resolution", "img_size")
_POSES = ("R", "T", "t", "rvec", "tvec", "cam_poses", "extrinsics", "extrinsic_matrix")
_MODELS = ("distortion_model", "camera_model", "model")
_BROWN = ("plumb_bob", "rational_polynomial", "radtan", "pinhole", "opencv", "brown", "none", "")
_FISHEYE = ("fisheye", "equidistant", "equi", "opencv_fisheye", "kannala_brandt4")
_FLAGS = ("fisheye_model", "fisheye", "is_fisheye")
_TILTED = 14  # coefficients with OpenCV's tilted sensor; the last two are the tilt


def read(values: Mapping[str, Any]) -> Intrinsics:
    """One camera; raises CameraError for what is malformed, or tells more than is read."""
    for name in _POSES:
        if values.get(name) is not None:
            raise CameraError(
                f"tells a pose ({name}), and where its world has its ground is not known; leave it out, and "
                "give --gravity and --camera-height instead"
            )
    found = Intrinsics.of_matrix(KIND, numbers(_first(values, MATRIX), "the camera matrix", 9))
    projection = _projection(values)
    coefficients = _first(values, _COEFFICIENTS)
    return replace(
        found.from_first_pixels_middle(),
        distortion=of_count(
            () if coefficients is None else numbers(coefficients, "distortion"), projection
        ),
        projection=projection,
        size_px=_size(values),
    )


def of_count(coefficients: tuple[float, ...], projection: str) -> tuple[float, ...]:
    """As many coefficients as a `Camera` has: OpenCV may leave all out, or add zeros. Raises CameraError."""
    if projection == PERSPECTIVE and len(coefficients) == _TILTED and not any(coefficients[12:]):
        coefficients = coefficients[:12]
    if not coefficients:
        return NONE
    if len(coefficients) not in COUNTS[projection]:
        wanted = " or ".join(map(str, COUNTS[projection]))
        raise CameraError(
            f"has {len(coefficients)} coefficients of distortion; a {projection} picture has {wanted}"
        )
    return coefficients


def _projection(values: Mapping[str, Any]) -> str:
    said = {str(values[name]).lower() for name in _MODELS if values.get(name) is not None}
    if unknown := said - {*_BROWN, *_FISHEYE}:
        raise CameraError(
            f"the model {min(unknown)!r} is not read; OpenCV's pinhole and fisheye models are"
        )
    is_fisheye = any(values.get(flag) not in (None, 0, False) for flag in _FLAGS)
    return EQUIDISTANT if is_fisheye or said & set(_FISHEYE) else PERSPECTIVE


def _size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    pairs = [[values.get(w), values.get(h)] for w, h in _SIZES if values.get(w) is not None]
    pairs += [values[name] for name in _SIZE if values.get(name) is not None]
    if not pairs:
        return None
    return size_of(pairs[0])


def size_of(pair: Any) -> tuple[int, int]:
    """Whole width and height; raises CameraError."""
    width, height = numbers(pair, "width and height", 2)
    if min(width, height) < 1 or width % 1 or height % 1:
        raise CameraError(f"a picture of {width:g} x {height:g} px cannot be")
    return int(width), int(height)


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)
