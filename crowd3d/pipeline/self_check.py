"""Does the result make sense? What is doubtful or absurd about a scene, in words, with what to do about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import FEW_PEOPLE, Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.scene.sizes import AGREES, agreement_of
from optim.ground.report import MIN_EXPLAINED, SHAPE

FloatArray = npt.NDArray[np.float64]

_UNSURE_FOCAL_SD = 0.20  # of log focal
_WIDE_FOV_DEG = 120.0  # hardly any lens draws straight lines straight beyond it
_LINES_APART_SD = 10.0
# Statures of adults are about N(1.70 m, 0.09 m), both sexes together (NCD-RisC 2016): one in ten thousand is
# taller than 2.05 m; nobody who stands is under 0.8 m but infants.
_STATURES_M = (0.8, 2.05)
_ODD, _ODD_SHARE = 2, 0.03  # as many people of such statures are no chance
# Crowds differ in their mean by a few centimetres, and by more with many children; nine tenths of a crowd with
# children, and with the error of single statures, are within half a metre.
_MEDIANS_M = (1.45, 1.87)
_MOST_SPREAD_M = 0.55  # from the shortest tenth to the tallest
_JUDGED = 8  # people at least, for what concerns all of them
_PEOPLE_OF_LEVEL = 3
_CAMERA_HEIGHTS_M = (0.3, 200.0)
_UNPLACED, _MOST_UNPLACED = (
    5,
    0.25,
)  # as many, and as large a share, are not things that were taken for people


def doubts(
    people: People, fitted: Fitted, known: KnownCamera, n_fitted_to: int | None = None
) -> list[str]:
    """Everything about a scene that should not be trusted; each sentence says what to do.

    Args:
        people: everybody in the scene, those without a place included.
        known: what was known about the camera before.
        n_fitted_to: number of people to whom camera and ground were fitted; None if both were known.
    """
    found = []
    if n_fitted_to is not None:
        found += doubts_of_fit(fitted, n_fitted_to, known)
    found += _of_camera(fitted.camera, fitted.planes)
    placed = people.filter(people.placed)
    found += _of_statures(placed.stature_m, fitted.camera, known)
    return found + _of_unplaced(len(people) - len(placed), len(people))


def contradictions(
    everybody: Detections, fitted: Fitted, known: KnownCamera, stature_m: float
) -> list[str]:
    """A warning if most people are not of the size that the given camera and ground predict."""
    told = {
        "camera": known.camera is not None,
        "gravity": known.ground.gravity is not None,
        "height": known.ground.height_m is not None,
    }
    if not (told["gravity"] or told["height"]) or not len(everybody):
        return []
    agree = agreement_of(everybody, fitted, stature_m) >= AGREES
    if agree.mean() >= MIN_EXPLAINED:
        return []
    given = [name for name, is_given in told.items() if is_given]
    return [
        f"only {agree.sum()} of {len(agree)} people have the size that the given {' and '.join(given)} "
        "predict; check their units and signs, and that the camera is this picture's"
    ]


def doubts_of_fit(fitted: Fitted, n_people: int, known: KnownCamera) -> list[str]:
    """What is doubtful about a camera and a ground that were fitted to so many people."""
    found = []
    focal_sd = float(np.sqrt(fitted.covariance[0, 0]))
    if known.camera is None and focal_sd > _UNSURE_FOCAL_SD:
        found.append(
            f"the field of view is uncertain: the people allow a focal length {focal_sd:.0%} shorter or longer "
            "(one standard deviation), and all distances with it; give --focal-px or --fov if you know it"
        )
    if SHAPE in list(fitted.report.get("undetermined", [])):  # type: ignore[call-overload]
        found.append(_of_shape(fitted, is_focal_open=focal_sd > _UNSURE_FOCAL_SD))
    if n_people < FEW_PEOPLE:
        found.append(f"only {n_people} people determine camera and ground; distances are rough")
    found += _of_levels(fitted)
    explained = float(str(fitted.report.get("share_explained", 1.0)))
    if explained < MIN_EXPLAINED:
        found.append(
            f"only {explained:.0%} of the people fit one ground, so camera and ground may be wrong and the "
            "error bars too small; if the place has several levels, draw them and give --regions"
        )
    apart = float(str(fitted.report.get("lines_apart_sd", 0.0)))
    if apart > _LINES_APART_SD:
        found.append(
            f"straight edges in the picture contradict the people about what is upright, by {apart:.0f} "
            "standard deviations, and were not used: the ground may slope, or the lens bend straight lines; "
            "check the overlay"
        )
    return found


def _of_levels(fitted: Fitted) -> list[str]:
    """Which of the levels that the user drew have too few people to tell how high they are."""
    levels: Any = fitted.report.get("levels", [])
    few = [level for level in levels if level["people"] < _PEOPLE_OF_LEVEL]
    if not few or len(levels) < 2:
        return []
    named = ", ".join(f"{level['people']} on {level['name']!r}" for level in few)
    return [
        f"few people of the given regions stand there to tell how high the level is: {named}; without "
        "anybody it is taken to be as high as the first"
    ]


def _of_shape(fitted: Fitted, is_focal_open: bool) -> str:
    likely = dict(fitted.report["ground_probabilities"])  # type: ignore[call-overload]
    order = sorted(likely, key=lambda kind: -likely[kind])[:2]
    shapes = " or ".join(f"{kind} ({likely[kind]:.0%})" for kind in order)
    too = ", or what the focal length is, which looks alike" if is_focal_open else ""
    return (
        f"the people do not tell whether the ground is {shapes}{too}; heights and distances across the slope "
        "are rough: give --ground if you know it"
    )


def doubts_of_steep_view(camera: Camera, known: KnownCamera) -> list[str]:
    """What is doubtful about a camera that looks down so steeply that people lie in the picture."""
    if known.camera is not None:
        return []
    return [
        "the camera looks steeply down, and people seen from above hardly tell its field of view "
        f"({math.degrees(camera.fov_rad):.0f} degrees fit best); give --fov or --focal-px, or distances are "
        "rough"
    ]


def _of_camera(camera: Camera, planes: Sequence[Plane]) -> list[str]:
    found = []
    fov_deg = math.degrees(camera.fov_rad)
    if camera.is_perspective and fov_deg > _WIDE_FOV_DEG:
        found.append(
            f"the field of view of {fov_deg:.0f} degrees is wider than ordinary lenses have: if the picture "
            "is from a fisheye lens or stitched, give --projection"
        )
    height_m = planes[0].offset_m
    low_m, high_m = _CAMERA_HEIGHTS_M
    if not low_m <= height_m <= high_m:
        found.append(
            f"the camera would be {height_m:.3g} m above the ground, which is hardly possible; give --fov or "
            "--camera if you know them"
        )
    return found


def _of_statures(stature_m: FloatArray, camera: Camera, known: KnownCamera) -> list[str]:
    n = len(stature_m)
    found = []
    low_m, high_m = _STATURES_M
    for odd, name, far_m in (
        (stature_m > high_m, f"taller than {high_m:g} m", stature_m.max(initial=0.0)),
        (stature_m < low_m, f"shorter than {low_m:g} m", stature_m.min(initial=np.inf)),
    ):
        if odd.sum() >= max(_ODD, _ODD_SHARE * n):
            found.append(f"{odd.sum()} of {n} people are {name} ({far_m:.2f} m)")
    if n >= _JUDGED:
        low, middle, high = np.quantile(stature_m, [0.1, 0.5, 0.9])
        if not _MEDIANS_M[0] <= middle <= _MEDIANS_M[1]:
            found.append(f"half of the people are taller than {middle:.2f} m, half shorter")
        if high - low > _MOST_SPREAD_M:
            found.append(
                f"the people differ too much: a tenth are under {low:.2f} m, a tenth over {high:.2f} m"
            )
    if not found:
        return []
    view = f"the field of view of {math.degrees(camera.fov_rad):.0f} degrees"
    blamed = (
        f"{view} is wrong"
        if known.camera is None
        else "the given camera is not that of this picture"
    )
    return [
        f"{'; '.join(found)}: either the ground has another shape than was found (give --ground, or draw "
        f"levels and give --regions), or {blamed}"
    ]


def _of_unplaced(n_unplaced: int, n_people: int) -> list[str]:
    if n_unplaced < max(_UNPLACED, _MOST_UNPLACED * n_people):
        return []
    return [
        f"{n_unplaced / n_people:.0%} of the people do not fit the ground: if the place has several levels, "
        "draw them and give --regions; if the picture is a collage, cut it"
    ]
