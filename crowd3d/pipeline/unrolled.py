"""Find the people of pictures in which they do not stand upright: of fisheyes, and of views steeply down.

Such a picture is unrolled into a panorama around the vertical (`crowd3d.picture.unrolled`), people are found in
that, and what was found goes back into the picture.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from crowd3d.config import Config
from crowd3d.detect import selection
from crowd3d.detect.detector import Detector
from crowd3d.ground.fit import fit_camera
from crowd3d.picture.reading import Reading
from crowd3d.picture.unrolled import Unrolled, UnrolledPicture, lies_in_picture
from crowd3d.pipeline.find import Seen, find_people
from crowd3d.pipeline.search import Search
from crowd3d.scene.camera import Camera
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera, KnownGround
from optim.ground.report import MIN_EXPLAINED

FloatArray = npt.NDArray[np.float64]

# How far a fisheye is taken to look down before anybody is found: from a corner, from a ceiling, not at all.
_PITCHES_DEG = (45.0, 90.0, 0.0)
_ROUNDS = 3  # of unrolling about a better vertical
_SCOUTS = 40  # tiles of a first look
_SAME_VERTICAL = math.cos(math.radians(8.0))


def find_everybody(
    reading: Reading,
    detector: Detector,
    known: KnownCamera,
    config: Config,
    fixed: Fitted | None = None,
) -> Seen:
    """`find_people` for pictures in which people stand in any direction; arguments and errors as there."""
    if known.camera is not None and known.camera.is_fisheye:
        up = fixed.normal if fixed is not None else known.ground.normal
        if up is None:
            up = _vertical(reading, detector, known.camera, config)
        around = Unrolled.of(known.camera, up)
        return _found_unrolled(reading, detector, around, known.ground, config, fixed)
    seen = find_people(reading, detector, known, config, fixed)
    if seen.fitted is None or not lies_in_picture(seen.fitted.camera, seen.fitted.planes[0]):
        return seen
    camera = seen.fitted.camera
    if fixed is None and not known.center_is_known:
        # Those who happened to be upright are too few, and too near to each other, to tell it.
        camera = replace(camera, center_px=(camera.width / 2, camera.height / 2))
    around = Unrolled.of(camera, seen.fitted.normal)
    upright = _found_unrolled(reading, detector, around, known.ground, config, fixed)
    if len(upright.people) < len(seen.people):
        return seen
    if fixed is None and (known.camera is None or known.regions is not None):
        told = upright.people.filter(upright.people.found_whole)
        upright = replace(
            upright, fitted=fit_camera(told, known, config, seen.evidence) or upright.fitted
        )
    return upright


def _vertical(reading: Reading, detector: Detector, camera: Camera, config: Config) -> FloatArray:
    """(3,) the direction up in the frame of a fisheye, as the people tell who are found at a first look.

    About a wrong vertical only some are found, those who happen to be upright. They tell a better one.
    """
    few = config.replace(scout_tiles=min(config.scout_tiles, _SCOUTS))
    for pitch in np.radians(_PITCHES_DEG):
        up = np.array([0.0, -math.cos(pitch), -math.sin(pitch)])
        for _ in range(_ROUNDS):
            better = _told_vertical(reading, detector, Unrolled.of(camera, up), few)
            if better is None:
                break
            is_same, up = float(better @ up) > _SAME_VERTICAL, better
            if is_same:
                return up
        else:
            return up
    return np.array([0.0, -1.0, 0.0])


def _told_vertical(
    reading: Reading, detector: Detector, around: Unrolled, config: Config
) -> FloatArray | None:
    """The direction up that the people tell whom a first look finds; None if they tell none."""
    known = KnownCamera.of(around.panorama)
    search = Search.begin(_unrolled(reading, around), detector, known, config)
    people = selection.scout_people(search.found, config, known.turn_px)
    fitted = fit_camera(people, known, config)
    if fitted is None or float(str(fitted.report["share_explained"])) < MIN_EXPLAINED:
        return None
    return np.asarray(around.R_level_cam.T @ fitted.normal)


def _found_unrolled(
    reading: Reading,
    detector: Detector,
    around: Unrolled,
    ground: KnownGround,
    config: Config,
    fixed: Fitted | None,
) -> Seen:
    """`find_people` in the panorama, and back in the picture."""
    if fixed is not None:
        fixed = around.fitted_in_panorama(fixed)
    # The borders of levels do not go back into the picture.
    one_level = config.replace(max_planes=1, ground="level")
    known = replace(KnownCamera.of(around.panorama), ground=around.ground_in_panorama(ground))
    seen = find_people(_unrolled(reading, around), detector, known, one_level, fixed)
    is_shown = around.shows(seen.people)
    return replace(
        seen,
        is_unrolled=True,
        people=around.people_in_picture(seen.people.filter(is_shown)),
        others=around.people_in_picture(seen.others.filter(around.shows(seen.others))),
        as_found=around.people_in_picture(seen.as_found.filter(is_shown)),
        fitted=None if seen.fitted is None else around.fitted_in_picture(seen.fitted),
    )


def _unrolled(reading: Reading, around: Unrolled) -> Reading:
    return replace(reading, source=UnrolledPicture(reading.source, around))
