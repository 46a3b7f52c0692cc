"""A user's own 2D poses in place of the detector."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from crowd3d.config import Config
from crowd3d.errors import DataError
from crowd3d.ground.edges import find_structure
from crowd3d.ground.fit import fit_camera
from crowd3d.pipeline.find import Seen
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from tiling import ImageSource


def people_of_poses(
    found: Detections,
    source: ImageSource,
    given: Camera | None,
    config: Config,
    *,
    free_center: bool = True,
    projection: str = "perspective",
    focal_prior: tuple[float, float] | None = None,
) -> Seen:
    """Camera and ground that the given people agree on; everybody stays, as the user wants it.

    Args:
        found: one row a person, see `crowd3d.data.keypoint_files`.
        given, free_center, projection, focal_prior: as in `pipeline.find_people`.

    Raises:
        DataError: most people are outside the picture, so that the poses are of another one.
    """
    _check_place(found, source)
    people = found.filter(np.lexsort((found.box_px[:, 0], found.box_px[:, 1])))
    people = replace(people, is_cut=np.zeros(len(people), bool))
    structure = find_structure(
        source, people.box_px, config, projection, lens_is_known=not free_center
    )
    fit = partial(
        fit_camera,
        people,
        source,
        given,
        config,
        projection=projection,
        structure=structure,
        focal_prior=focal_prior,
    )
    fitted = fit()
    if fitted is not None and free_center and projection == "perspective":
        fitted = fit(free_center=True) or fitted
    return Seen(people, fitted, 0, len(people), 1, False, structure, focal_prior)


def _check_place(found: Detections, source: ImageSource) -> None:
    middle = (found.box_px[:, :2] + found.box_px[:, 2:]) / 2
    size = np.array([source.width, source.height])
    outside = ((middle < 0) | (middle > size)).any(axis=1)
    if outside.sum() > len(found) / 2:
        raise DataError(
            f"{outside.sum()} of {len(found)} given people are outside the picture of {source.width} x"
            f" {source.height} px; are the poses in pixels, and of this picture in this size?"
        )
