"""Camera and ground from the people found: the bridge between detections and `optim`."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from shapely import Polygon

import optim
from crowd3d.config import Config
from crowd3d.errors import CameraError
from crowd3d.ground.edges import Structure
from crowd3d.ground.regions import plane_regions
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.levels import feet_px
from crowd3d.scene.plane import Plane

_ASSUMED_FOV_DEG = 55.0  # of a camera of which nothing is known: phones and kit lenses
_ASSUMED_PANORAMA_DEG = 180.0
_LOWEST_CAMERA_M = 0.3
# Of the embedded network: turn photographs by 8 degrees, and the people found in them turn by a tenth less
# (213 people, 0.11 +- 0.02 as a mean, 0.07 as a median); of own renders it takes 0.12 +- 0.02 of the lean.
_LEAN_SHRINKAGE = (0.09, 0.04)
_UPRIGHT_SHRINKAGE = (0.0, 0.04)  # panoramas are shown to it upright, person by person


class HasSize(Protocol):
    """A picture, or a camera: whatever has a width and a height in pixels."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


def fit_camera(
    people: Detections,
    source: HasSize,
    given: Camera | None,
    config: Config,
    *,
    free_center: bool = False,
    projection: str = "perspective",
    structure: Structure | None = None,
    focal_prior: tuple[float, float] | None = None,
    depth_prior: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None,
    repeats: float = 1.0,
) -> Fitted | None:
    """Camera and ground of a picture, or None where its people do not determine them.

    Args:
        people: of one picture, or of many frames of one static camera (`Detections.cat`).
        projection: of the picture; panoramas whose `given` is None get their pixels per radian from the people.
        free_center: estimate the principal point too, instead of taking that of `given` or the centre.
        structure: straight edges of the picture, which tell gravity and the lens.
        focal_prior: pixels and standard deviation of the logarithm, say from EXIF.
        depth_prior: (N,) depths over focal length, NaN where unknown, and standard deviations of their
            logarithms; not of panoramas.
        repeats: how often each person is among joined frames, on average.

    Returns:
        Where `config.max_planes` allows several and people ask for them, each plane has its region.

    Raises:
        CameraError: the given camera contradicts the picture.
    """
    if len(people) < config.min_people:
        return None
    size = (source.width, source.height)
    lens = structure.lens if structure is not None else None
    options: dict[str, Any] = {
        "stature_m": config.stature_m,
        "focal_px": given.focal_px if given else None,
        "distortion": given.distortion if given else (0.0, 0.0),
        "lean_shrinkage": _LEAN_SHRINKAGE,
        "lines_px": structure.lines_px if structure is not None else None,
        "focal_prior": focal_prior,
        "depth_prior": depth_prior,
        "max_planes": config.max_planes,
        "repeats": repeats,
    }
    try:
        if projection != "perspective":
            options |= {"lean_shrinkage": _UPRIGHT_SHRINKAGE, "distortion": (0.0, 0.0)}
            center_px = given.center_px if given else None
            fit = optim.fit_panorama(
                people.keypoints_px, size, projection=projection, center_px=center_px, **options
            )
        elif free_center:
            sd_px = config.principal_point_sd * source.width
            fit = optim.fit_with_free_center(
                people.keypoints_px, size, center_sd_px=sd_px, lens=lens, **options
            )
        else:
            if lens is not None and lens.is_bent:
                options |= {"distortion": (lens.k1, 0.0), "distortion_unit_px": lens.unit_px}
            center_px = given.center_px if given else None
            fit = optim.fit_ground_camera(people.keypoints_px, size, center_px=center_px, **options)
    except (optim.NotEnoughPeople, optim.FitFailed):
        return None
    except optim.OptimError as error:
        raise CameraError(str(error)) from None
    camera = Camera(*size, fit.focal_px, fit.center_px, fit.distortion, projection)
    regions: list[Polygon | None] = [None]
    if len(fit.planes) > 1:
        regions = [*plane_regions(feet_px(people), fit.plane_index, len(fit.planes), size)]
    planes = [
        Plane(np.asarray(normal), float(offset_m), region)
        for (normal, offset_m), region in zip(fit.planes, regions, strict=True)
    ]
    return Fitted(camera, planes, fit.covariance, fit.report, fit.plane_index)


def typical_camera(size: tuple[int, int], projection: str = "perspective") -> Camera:
    """What is assumed where nothing is known."""
    fov_deg = _ASSUMED_FOV_DEG if projection == "perspective" else _ASSUMED_PANORAMA_DEG
    return Camera.from_fov(*size, fov_deg=fov_deg, projection=projection)


def assume_camera(
    people: Detections,
    size: tuple[int, int],
    given: Camera | None,
    config: Config,
    projection: str = "perspective",
) -> Fitted:
    """A level camera for a picture whose people do not determine one; its height makes them of mean stature.

    The camera height is the median vote of the people; the covariance says how little is known.
    """
    camera = given or typical_camera(size, projection)
    up = np.array([0.0, -1.0, 0.0])
    box = people.box_px
    middle_u = box[:, [0, 2]].mean(axis=1)
    bottom, top = (camera.rays(np.stack([middle_u, box[:, i]], axis=1)) for i in (3, 1))
    # A vertical stick at a horizontal distance r spans stature / r between the tangents of its two rays.
    low, high = (ray[:, 1] / np.hypot(ray[:, 0], ray[:, 2]) for ray in (bottom, top))
    distance = config.stature_m / np.maximum(low - high, 1e-6)
    height = float(np.median(distance * low))
    plane = Plane(up, max(height, _LOWEST_CAMERA_M))
    covariance = np.diag([0.4, 0.2, 0.1, 0.5]) ** 2
    return Fitted(camera, [plane], covariance, {"focal": "assumed" if given is None else "given"})
