"""From what was seen in a picture to a scene, and what to doubt in it, in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from crowd3d import body as bodies
from crowd3d import lift
from crowd3d.config import Config
from crowd3d.ground.edges import Structure
from crowd3d.ground.fit import assume_camera, fit_camera, typical_camera
from crowd3d.lift.depths import Depths
from crowd3d.lift.people import judged_depths, lift_people
from crowd3d.picture.crops import Crops
from crowd3d.pipeline.find import Seen
from crowd3d.pipeline.requirements import check_crops
from crowd3d.refine.whole_scene import refine_people
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People
from crowd3d.scene.scene import Scene
from crowd3d.version import __version__

BODY, LEVEL = "open", "crowd"
_FEW_PEOPLE = 12  # fewer make a camera that is worth a warning
_UNSURE_FOCAL_SD = 0.20  # of its logarithm


def to_scene(
    image_name: str,
    seen: Seen,
    given: Camera | None,
    config: Config,
    size: tuple[int, int],
    projection: str = "perspective",
    *,
    crops: Crops | None = None,
    free_center: bool | None = None,
) -> Scene:
    """Lifts everybody onto the ground; says what was assumed where the picture was silent.

    Args:
        image_name: for the scene; seen: what was found in the picture.
        given: what the user knew of the camera; size: width and height, pixels.
        projection: of the picture, where `given` does not say it.
        crops: the picture; without it, components that look at people's crops cannot be asked for.
        free_center: whether a camera that is fitted again may correct its principal point; None where none
            is given.

    Raises:
        ConfigError: a component of `config` needs the picture, and there are no crops.
    """
    check_crops(config, crops)
    fitted, warnings = _camera(seen, given, config, size, projection)
    if fitted is None:
        camera = given or typical_camera(size, projection)
        diagnostics = _diagnostics(seen, None, warnings)
        return Scene(camera, [], People.empty(), image_name, BODY, diagnostics)
    is_free = given is None if free_center is None else free_center
    people, fitted = _people(seen, fitted, given, config, crops, is_free)
    if seen.fitted is not None and not seen.is_fixed:
        warnings += doubts(fitted, len(seen.people), given)
    lost = len(seen.people) - len(people)
    if lost:
        warnings.append(
            f"{lost} people were left out, because they cannot stand on the ground where seen"
        )
    diagnostics = _diagnostics(seen, fitted, warnings)
    return Scene(fitted.camera, list(fitted.planes), people, image_name, BODY, diagnostics)


def _camera(
    seen: Seen, given: Camera | None, config: Config, size: tuple[int, int], projection: str
) -> tuple[Fitted | None, list[str]]:
    """Camera and ground, assumed where people did not determine them; None without people."""
    if seen.fitted is not None:
        return seen.fitted, []
    if not len(seen.people):
        return None, ["no people were found, so neither camera nor ground could be determined"]
    fitted = assume_camera(seen.people, size, given, config, projection)
    view = f" with a field of view of {math.degrees(fitted.camera.fov_rad):.0f} degrees"
    return fitted, [
        f"the camera could not be determined from {len(seen.people)} people; a level camera"
        f"{'' if given else view} was assumed, and distances are rough"
    ]


def _people(
    seen: Seen,
    fitted: Fitted,
    given: Camera | None,
    config: Config,
    crops: Crops | None,
    free_center: bool,
) -> tuple[People, Fitted]:
    """Everybody as a body on the ground, and the camera and ground that this ends with."""
    body, lifter = bodies.load(BODY, LEVEL), lift.load()
    depths = judged_depths(seen.people, fitted, body, lifter, config, crops)
    if depths is not None and not seen.is_fixed and seen.fitted is not None:
        fitted = camera_with_depths(
            fitted,
            depths,
            seen.people,
            given,
            config,
            free_center=free_center,
            structure=seen.structure,
            focal_prior=seen.focal_prior,
        )
    people = lift_people(seen.people, fitted, body, lifter, config, crops, depths)
    if config.refine_crops != "none" and crops is not None:
        from crowd3d.refine.crops import refine_crops

        people = refine_crops(people, crops.source, fitted, body, config, config.refine_crops)
    if config.refine_scene:
        return refine_people(people, fitted, body, config)
    return people, fitted


def _diagnostics(seen: Seen, fitted: Fitted | None, warnings: list[str]) -> dict[str, Any]:
    return {
        "warnings": warnings,
        "tiles": seen.n_tiles,
        "detections": seen.n_detections,
        "rounds": seen.rounds,
        "camera_report": fitted.report if fitted else None,
        "covariance_log_focal_pitch_roll_log_height": (
            fitted.covariance.tolist() if fitted else None
        ),
        "versions": {"crowd3d": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }


def doubts(fitted: Fitted, n_people: int, given: Camera | None) -> list[str]:
    """What a reader of the numbers should know of a camera fitted to so many people, in words."""
    found = []
    focal_sd = float(np.sqrt(fitted.covariance[0, 0]))
    if given is None and focal_sd > _UNSURE_FOCAL_SD:
        found.append(
            f"the field of view is uncertain: the people allow a focal length {focal_sd:.0%} shorter or longer "
            "(one standard deviation); give --focal-px or --fov if you know it"
        )
    if n_people < _FEW_PEOPLE:
        found.append(f"only {n_people} people determine camera and ground; distances are rough")
    return found


def camera_with_depths(
    fitted: Fitted,
    depths: Depths,
    people: Detections,
    given: Camera | None,
    config: Config,
    *,
    free_center: bool = True,
    structure: Structure | None = None,
    focal_prior: tuple[float, float] | None = None,
) -> Fitted:
    """Camera and ground fitted again, judged depths among the evidence; those of before where that fails.

    Depths along an optical axis mean nothing in a panorama, which keeps its camera.
    """
    if fitted.camera.is_panorama or len(people) == 0:
        return fitted
    again = fit_camera(
        people,
        fitted.camera,
        given,
        config,
        free_center=free_center,
        structure=structure,
        focal_prior=focal_prior,
        depth_prior=(depths.over_focal, depths.log_sd),
    )
    return again or fitted
