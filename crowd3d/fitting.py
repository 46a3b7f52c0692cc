"""Camera and ground from the people found: the bridge between detections and `optim`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import optim
from crowd3d.camera import Camera
from crowd3d.config import Config
from crowd3d.detections import Detections
from crowd3d.errors import CameraError
from crowd3d.scene import Plane
from tiling import ImageSource

_ASSUMED_FOV_DEG = 55.0  # of a camera of which nothing is known: phones and kit lenses
_LOWEST_CAMERA_M = 0.3


@dataclass(frozen=True)
class Fitted:
    """One solution for camera and ground.

    Attributes:
        planes: at least one.
        covariance: (4, 4) over log focal, pitch, roll, log offset.
        report: what was assumed, who was left out and why; plain JSON values.
    """

    camera: Camera
    planes: list[Plane]
    covariance: npt.NDArray[np.float64]
    report: dict[str, object]


def fit_camera(
    people: Detections,
    source: ImageSource,
    given: Camera | None,
    config: Config,
    *,
    free_center: bool = False,
) -> Fitted | None:
    """Camera and ground of a picture, or None where its people do not determine them.

    Args:
        free_center: estimate the principal point too, instead of taking that of `given` or the centre.

    Raises:
        CameraError: the given camera contradicts the picture.
    """
    if len(people) < config.min_people:
        return None
    size = (source.width, source.height)
    distortion = given.distortion if given else (0.0, 0.0)
    options: dict[str, Any] = {
        "stature_m": config.stature_m,
        "focal_px": given.focal_px if given else None,
        "distortion": distortion,
    }
    try:
        if free_center:
            sd_px = config.principal_point_sd * source.width
            fit = optim.fit_with_free_center(
                people.keypoints_px, size, center_sd_px=sd_px, **options
            )
        else:
            center_px = given.center_px if given else None
            fit = optim.fit_ground_camera(people.keypoints_px, size, center_px=center_px, **options)
    except (optim.NotEnoughPeople, optim.FitFailed):
        return None
    except optim.OptimError as error:
        raise CameraError(str(error)) from None
    camera = Camera(*size, fit.focal_px, fit.center_px, distortion)
    planes = [Plane(np.asarray(normal), float(offset_m)) for normal, offset_m in fit.planes]
    return Fitted(camera, planes, fit.covariance, fit.report)


def assume_camera(
    people: Detections, size: tuple[int, int], given: Camera | None, config: Config
) -> Fitted:
    """A level camera for a picture whose people do not determine one; its height makes them of mean stature.

    The camera height is the median vote of the people; the covariance says how little is known.
    """
    camera = given or Camera.from_fov(*size, fov_deg=_ASSUMED_FOV_DEG)
    up = np.array([0.0, -1.0, 0.0])
    box = people.box_px
    middle_u = box[:, [0, 2]].mean(axis=1)
    bottom, top = (camera.rays(np.stack([middle_u, box[:, i]], axis=1)) for i in (3, 1))
    # A vertical stick at depth z spans stature / z between its two rays.
    spans = bottom[:, 1] / bottom[:, 2] - top[:, 1] / top[:, 2]
    depth = config.stature_m / np.maximum(spans, 1e-6)
    height = float(np.median(depth * bottom[:, 1] / bottom[:, 2]))
    plane = Plane(up, max(height, _LOWEST_CAMERA_M))
    covariance = np.diag([0.4, 0.2, 0.1, 0.5]) ** 2
    return Fitted(camera, [plane], covariance, {"focal": "assumed" if given is None else "given"})
