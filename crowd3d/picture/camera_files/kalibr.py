"""Kalibr's camchain: cam0, cam1, ... each with its model, intrinsics, distortion and resolution.

https://github.com/ethz-asl/kalibr/wiki/supported-models. What it tells of the other sensors (T_cn_cnm1,
T_cam_imu) says nothing of the ground.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crowd3d.errors import CameraError
from crowd3d.picture.camera_files.intrinsics import Intrinsics
from crowd3d.picture.camera_files.numbers import numbers
from crowd3d.picture.camera_files.opencv import of_count, size_of
from crowd3d.scene.camera import PERSPECTIVE
from optim.fisheye import EQUIDISTANT

KIND = "Kalibr"
_NAME = re.compile(r"cam\d+")
_PROJECTIONS = {
    "radtan": PERSPECTIVE,
    "equidistant": EQUIDISTANT,
    "equi": EQUIDISTANT,
    "none": PERSPECTIVE,
}


def is_one(values: Mapping[str, Any]) -> bool:
    """Whether these are the members of a camchain."""
    return any(_NAME.fullmatch(str(name)) and isinstance(values[name], dict) for name in values)


def read(values: Mapping[str, Any]) -> list[Intrinsics]:
    """All cameras of the chain; raises CameraError."""
    chain = [
        name for name in values if _NAME.fullmatch(str(name)) and isinstance(values[name], dict)
    ]
    return [_camera(str(name), values[name]) for name in chain]


def _camera(name: str, said: Mapping[str, Any]) -> Intrinsics:
    model, bend = said.get("camera_model"), said.get("distortion_model", "none")
    if model != "pinhole" or bend not in _PROJECTIONS:
        raise CameraError(
            f"{name} is Kalibr's {model}-{bend}, which is not read; calibrate with pinhole-radtan or "
            "pinhole-equi"
        )
    fu, fv, u, v = numbers(said.get("intrinsics"), f"{name}: intrinsics", 4)
    projection = _PROJECTIONS[bend]
    coefficients = (
        ()
        if bend == "none"
        else numbers(said.get("distortion_coeffs"), f"{name}: distortion_coeffs", 4)
    )
    found = Intrinsics(
        KIND,
        (fu, fv),
        (u, v),
        name=name,
        projection=projection,
        distortion=of_count(coefficients, projection),
    )
    if said.get("resolution") is not None:
        found = replace(found, size_px=size_of(said["resolution"]))
    return found.from_first_pixels_middle()
