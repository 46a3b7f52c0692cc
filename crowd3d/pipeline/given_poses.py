"""Use the user's own 2D poses instead of the detector, and fit camera and ground to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crowd3d.config import Config
from crowd3d.data.poses.given import GivenPoses
from crowd3d.data.poses.in_picture import in_picture
from crowd3d.ground.edges import find_structure
from crowd3d.ground.fit import Evidence, fit_again, fit_camera, given_ground
from crowd3d.pipeline.find import Seen
from crowd3d.scene.known import KnownCamera
from tiling import Picture


def people_of_poses(given: GivenPoses, source: Picture, known: KnownCamera, config: Config) -> Seen:
    """Fit camera and ground to the given people. Everybody in the picture is kept, because the user chose them.

    Args:
        given: what a file says, see `crowd3d.data.keypoint_files`.
        source: the picture.
        known: what is known about its camera.

    Raises:
        CameraError: the given camera contradicts the picture.
        DataError: the poses cannot be of this picture in this size.
    """
    found, said = in_picture(given, (source.width, source.height))
    people = found.filter(np.lexsort((found.box_px[:, 0], found.box_px[:, 1])))
    people = replace(people, is_cut=np.zeros(len(people), bool))
    if (fixed := given_ground(known, config)) is not None:
        return Seen(people, fixed, 0, len(people), 1, is_fixed=True, warnings=tuple(said))
    evidence = Evidence(find_structure(source, people.box_px, known, config))
    fitted = fit_camera(people, known, config, evidence)
    if fitted is not None:
        fitted = fit_again(fitted, people, known, config, evidence)
    return Seen(people, fitted, 0, len(people), 1, evidence=evidence, warnings=tuple(said))
