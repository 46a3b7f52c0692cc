"""Fit camera and ground to the people found: from detections to `optim` and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely import MultiPolygon, Polygon

import optim
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.config import Config
from crowd3d.errors import CameraError
from crowd3d.ground.edges import Structure
from crowd3d.ground.regions import plane_regions
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import FEW_PEOPLE, Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.level_regions import LevelRegions
from crowd3d.scene.levels import feet_px
from crowd3d.scene.plane import Plane
from optim import panorama
from optim.ground.surface import LEVEL

_ASSUMED_FOV_DEG = 55.0  # horizontal, for an unknown camera: typical of phones and kit lenses
_ASSUMED_PANORAMA_DEG = 180.0
_LOWEST_CAMERA_M = 0.3  # height above the ground of an assumed camera
# The embedded network sees people less tilted than they are. This is the share of the tilt that is missing, and
# its standard deviation. Measured by rotating photographs by 8 degrees: 0.11 +- 0.02 of the rotation is missing
# as a mean over 213 people, 0.07 as a median, and 0.12 +- 0.02 in renders. 0.09 lies midway between mean and
# median; 0.04 reaches all three.
_LEAN_SHRINKAGE = (0.09, 0.04)
# In panoramas, each tile is already turned upright for the network.
_UPRIGHT_SHRINKAGE = (0.0, 0.04)
# The network sees people from above too long. Measured on three renders, 92 people: of those seen from 35 to 64
# degrees above, hips, knees and ankles are 3 to 4 cm too low, which is 4 % of the length they show; from still
# farther above 15 to 18 %; from below 30 degrees they are right.
_LENGTHENED = (
    (30.0, 45.0, 60.0, 66.0),
    (0.0, 0.04, 0.04, 0.15),
)  # degrees above, and share of the length
_FROM_ABOVE_DEG = 75.0  # whoever is seen from farther above tells little of the ground
_LEGS = slice(11, 17)


@dataclass(frozen=True)
class Evidence:
    """Evidence about the camera besides the people's keypoints.

    Attributes:
        structure: straight edges of the picture, which show gravity and the lens.
        depths: everybody's depth over the focal length (N,), NaN if unknown, and standard deviations of their
            logarithms (N,). Not for panoramas.
    """

    structure: Structure | None = None
    depths: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None


NOTHING_ELSE = Evidence()


def fit_camera(
    people: Detections,
    known: KnownCamera,
    config: Config,
    evidence: Evidence = NOTHING_ELSE,
    *,
    free_center: bool = False,
    sweeps_focal: bool = False,
) -> Fitted | None:
    """Fit camera and ground of a picture; None if its people do not determine them.

    Args:
        people: people of one picture, or of many frames of one static camera (`Detections.cat`).
        known: what is known about camera and ground, which is kept; for panoramas with unknown camera, the
            pixels per radian are fitted to the people.
        evidence: what else the camera is fitted to.
        free_center: also estimate the principal point, instead of using that of `known` or the picture's
            centre.
        sweeps_focal: see `optim.fit_ground_camera`; how tall people appear is told well enough without it.

    Returns:
        Camera and ground. Several planes, which `config` must permit or `known` tell, each have their region.

    Raises:
        CameraError: the given camera contradicts the picture.
    """
    if len(people) < config.min_people:
        return None
    told = None if known.regions is None else _Told.of(known.regions, people, known)
    try:
        options = _options(known, config, evidence, told) | {"sweeps_focal": sweeps_focal}
        fit = _solve(people, known, config, evidence, options, free_center=free_center)
    except (optim.NotEnoughPeople, optim.FitFailed):
        return None
    except optim.OptimError as error:
        raise CameraError(str(error)) from None
    size_px, given = known.size_px, known.camera or typical_camera(known)
    camera = replace(
        given, focal_px=fit.focal_px, center_px=fit.center_px, distortion=fit.distortion
    )
    regions: Sequence[Polygon | MultiPolygon | None] = [None]
    report, solved = fit.report, fit.planes
    if told is not None:
        regions, report = told.areas, report | {"levels": told.in_words}
        # On those that follow nobody stands.
        solved = solved + solved[:1] * (len(regions) - len(solved))
    elif len(solved) > 1:
        regions = plane_regions(feet_px(people), fit.plane_index, len(solved), size_px)
    planes = [
        Plane(np.asarray(normal), float(offset_m), region)
        for (normal, offset_m), region in zip(solved, regions, strict=True)
    ]
    # Ground that is made of levels is told by its planes, which have regions.
    surface = fit.surface if fit.surface is not None and fit.surface.relief is not None else None
    return Fitted(camera, planes, fit.covariance, report, fit.plane_index, surface)


@dataclass(frozen=True)
class _Told:
    """The levels that the user drew; first that of most people, or that of a known height.

    Attributes:
        level: (N,) of everybody.
        names, areas: of the levels, whether anybody stands there or not.
    """

    level: npt.NDArray[np.int64]
    names: list[str]
    areas: list[Polygon | MultiPolygon]

    @classmethod
    def of(cls, regions: LevelRegions, people: Detections, known: KnownCamera) -> _Told:
        level = regions.level_at(feet_px(people))
        order = np.arange(len(regions.areas))
        if known.ground.height_m is None:
            order = np.argsort(-np.bincount(level, minlength=len(order)), kind="stable")
        names, areas = ([values[k] for k in order] for values in (regions.names, regions.areas))
        return cls(np.argsort(order)[level], names, areas)

    @property
    def in_words(self) -> list[dict[str, object]]:
        """Name and number of people of every level, for the report."""
        count = np.bincount(self.level, minlength=len(self.names)).tolist()
        return [{"name": name, "people": n} for name, n in zip(self.names, count, strict=True)]


def _options(
    known: KnownCamera, config: Config, evidence: Evidence, told: _Told | None
) -> dict[str, Any]:
    """What the solvers of `optim` are told besides people and projection."""
    given, structure = known.camera, evidence.structure
    options: dict[str, Any] = {
        "stature_m": config.stature_m,
        "focal_px": given.focal_px if given else None,
        "gravity": known.ground.gravity,
        "offset_m": known.ground.height_m,
        "lean_shrinkage": _LEAN_SHRINKAGE,
        "lines_px": structure.lines_px if structure is not None else None,
        "focal_prior": known.focal_prior,
        "depth_prior": evidence.depths,
        "max_planes": config.max_planes,
        "ground": config.ground if config.max_planes == 1 else "levels",
    }
    if told is not None:
        options |= {"levels": told.level, "max_planes": 1, "ground": "auto"}
    if given is not None:
        options |= {"distortion": given.distortion, "pixel_aspect": given.pixel_aspect}
    return options


def _solve(
    people: Detections,
    known: KnownCamera,
    config: Config,
    evidence: Evidence,
    options: dict[str, Any],
    *,
    free_center: bool,
) -> optim.GroundCameraFit:
    """The solver of `optim` for this projection and this knowledge; raises optim.OptimError."""
    keypoints, size, given = people.keypoints_px, known.size_px, known.camera
    center_px = given.center_px if given else None
    lens = evidence.structure.lens if evidence.structure is not None else None
    if known.projection != "perspective":
        options["lean_shrinkage"] = _UPRIGHT_SHRINKAGE
        kind = known.projection
        if given is not None and kind == panorama.MERCATOR:
            keypoints = _from_above(keypoints, given)
        return optim.fit_panorama(keypoints, size, projection=kind, center_px=center_px, **options)
    if free_center:
        sd_px = config.principal_point_sd * size[0]
        return optim.fit_with_free_center(keypoints, size, center_sd_px=sd_px, lens=lens, **options)
    if lens is not None and lens.is_bent:
        options |= {"distortion": (lens.k1, 0.0), "distortion_unit_px": lens.unit_px}
    return optim.fit_ground_camera(keypoints, size, center_px=center_px, **options)


def _from_above(keypoints_px: npt.NDArray[np.float64], camera: Camera) -> npt.NDArray[np.float64]:
    """Keypoints (N, 17, 3) as long as they should be, without people from far above if enough others are left.

    Args:
        camera: of a panorama whose axis is about the vertical.
    """
    keypoints = keypoints_px.copy()
    middle_px = keypoints[:, list(TORSO_KEYPOINTS), :2].mean(axis=1)
    fall_deg = np.degrees(np.arcsin(camera.rays(middle_px)[:, 1]))
    shoulders = keypoints[:, list(TORSO_KEYPOINTS[:2]), 1].mean(axis=1)
    share = np.interp(fall_deg, *_LENGTHENED)
    keypoints[:, _LEGS, 1] -= share[:, None] * (keypoints[:, _LEGS, 1] - shoulders[:, None])
    enough = np.sort(fall_deg)[:FEW_PEOPLE][-1:].max(initial=_FROM_ABOVE_DEG)
    keypoints[fall_deg > enough, :, 2] = 0.0
    return keypoints


def fit_again(
    fitted: Fitted, people: Detections, known: KnownCamera, config: Config, evidence: Evidence
) -> Fitted:
    """Fit once more: with the principal point free, if it is not known, and with depths, if there are any.

    An unknown focal length is looked for everywhere if the ground is not level. Returns `fitted` itself if
    nothing is new, if the fit fails, and for a panorama, which has no optical axis along which depth could be
    measured.
    """
    is_open = known.camera is None and fitted.ground.kind != LEVEL
    is_new = known.center_is_free or evidence.depths is not None or is_open
    if not fitted.camera.is_perspective or not is_new:
        return fitted
    is_free = known.center_is_free
    fit = fit_camera(people, known, config, evidence, free_center=is_free, sweeps_focal=True)
    return fit or fitted


def typical_camera(known: KnownCamera) -> Camera:
    """The camera that is assumed if nothing is known: a typical field of view for its projection."""
    is_flat = known.projection == "perspective"
    fov_deg = _ASSUMED_FOV_DEG if is_flat else _ASSUMED_PANORAMA_DEG
    return Camera.from_fov(*known.size_px, fov_deg=fov_deg, projection=known.projection)


def given_ground(known: KnownCamera, config: Config) -> Fitted | None:
    """Camera and ground as they were given; None unless both are known and there may be no other levels."""
    plane = known.ground.plane
    is_one = known.regions is None or len(known.regions.areas) == 1
    is_all = (
        known.is_complete
        and is_one
        and config.max_planes == 1
        and config.ground in ("auto", "level")
    )
    if not is_all or known.camera is None or plane is None:
        return None
    names = ("focal", "principal_point", "gravity", "height")
    return Fitted(known.camera, [plane], np.zeros((4, 4)), dict.fromkeys(names, "given"))


def assume_camera(people: Detections, known: KnownCamera, config: Config) -> Fitted:
    """Assume a camera for a picture whose people do not determine one: a level one, unless gravity is known.

    The camera height, if it is not known, is the median of what each person gives if the stature is
    `config.stature_m`. The large covariance says how little is known.
    """
    camera, ground = known.camera or typical_camera(known), known.ground
    up = np.array([0.0, -1.0, 0.0]) if ground.normal is None else ground.normal
    height = ground.height_m
    if height is None:
        height = max(_height_of_people(people, camera, up, config.stature_m), _LOWEST_CAMERA_M)
    sd = np.array([0.4, 0.2, 0.1, 0.5])
    if ground.gravity is not None:
        sd[1:3] = 0.0
    if ground.height_m is not None:
        sd[3] = 0.0
    report: dict[str, object] = {"focal": "assumed" if known.camera is None else "given"}
    return Fitted(camera, [Plane(up, height)], np.diag(sd**2), report)


def _height_of_people(
    people: Detections, camera: Camera, up: npt.NDArray[np.float64], stature_m: float
) -> float:
    """Median of the camera heights at which each person would have a stature."""
    box = people.box_px
    middle_u = box[:, [0, 2]].mean(axis=1)
    bottom, top = (camera.rays(np.stack([middle_u, box[:, i]], axis=1)) for i in (3, 1))
    # The slopes of the rays to foot and head of a vertical person at horizontal distance r differ by stature /
    # r.
    low, high = (
        -(ray @ up) / np.sqrt(1 - np.minimum((ray @ up) ** 2, 0.999)) for ray in (bottom, top)
    )
    distance = stature_m / np.maximum(low - high, 1e-6)
    return float(np.median(distance * low))
