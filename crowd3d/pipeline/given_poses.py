"""Use the user's own 2D poses instead of the detector, and fit camera and ground to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crowd3d.config import Config
from crowd3d.errors import DataError
from crowd3d.ground.edges import find_structure
from crowd3d.ground.fit import Evidence, fit_again, fit_camera
from crowd3d.pipeline.find import Seen
from crowd3d.scene.detections import Detections
from crowd3d.scene.known import KnownCamera
from tiling import Picture


def people_of_poses(found: Detections, source: Picture, known: KnownCamera, config: Config) -> Seen:
    """Fit camera and ground to the given people. All of them are kept, because the user chose them.

    Args:
        found: one row per person, see `crowd3d.data.keypoint_files`.
        source: the picture.
        known: what is known about its camera.

    Raises:
        CameraError: the given camera contradicts the picture.
        DataError: most people are outside the picture, so the poses belong to another one.
    """
    _check_place(found, source)
    people = found.filter(np.lexsort((found.box_px[:, 0], found.box_px[:, 1])))
    people = replace(people, is_cut=np.zeros(len(people), bool))
    evidence = Evidence(find_structure(source, people.box_px, known, config))
    fitted = fit_camera(people, known, config, evidence)
    if fitted is not None:
        fitted = fit_again(fitted, people, known, config, evidence)
    return Seen(people, fitted, 0, len(people), 1, evidence=evidence)


def _check_place(found: Detections, source: Picture) -> None:
    middle = found.middle_px
    size = np.array([source.width, source.height])
    outside = ((middle < 0) | (middle > size)).any(axis=1)
    if outside.sum() > len(found) / 2:
        raise DataError(
            f"{outside.sum()} of {len(found)} given people are outside the picture of {source.width} x"
            f" {source.height} px; are the poses in pixels, and of this picture in this size?"
        )
