"""Setting posed bodies on the ground so that they agree with the keypoints in the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import roma
import torch

import optim
from crowd3d.body import BodyModel
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.config import Config
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.ground import Ground, Tangents
from crowd3d.scene.levels import ankles_seen, feet_px
from crowd3d.scene.people import People

FloatArray = npt.NDArray[np.float64]

_TORSO_HEIGHT = 0.67  # of a standing person's torso centre, in statures (Drillis & Contini 1966)


@dataclass(frozen=True)
class PosedBodies:
    """N posed bodies at the origin, turned into the camera frame; metres."""

    vertices: FloatArray
    keypoints: FloatArray  # (N, 17, 3)
    torso: FloatArray  # (N, 3), relative to the raw output of the body model
    torso_height: FloatArray  # (N,) of the torso centre above the body's lowest point


@dataclass(frozen=True)
class Seen:
    """How N people are seen.

    Attributes:
        scores: (N, 17) of their keypoints; rays: (N, 17, 3) of these; px_per_rad: (N,) at each person.
    """

    scores: FloatArray
    rays: FloatArray
    px_per_rad: FloatArray


@dataclass(frozen=True)
class Stood:
    """N bodies on the ground, with the stature that follows from their place.

    Attributes:
        placed: places on the ground, with covariances.
        posed: the posed bodies, with that stature.
        betas: (N, 10) shape; stature_m: (N,) standing height.
        near: the ground on which each was placed; seen: by what.
    """

    placed: optim.Placement
    posed: PosedBodies
    betas: torch.Tensor
    stature_m: FloatArray
    near: Tangents
    seen: Seen


def stand_on(
    plane: npt.NDArray[np.int64],
    people: Detections | People,
    rotations: torch.Tensor,
    betas: torch.Tensor,
    fitted: Fitted,
    body: BodyModel,
    config: Config,
) -> Stood:
    """Set bodies of given poses on the ground where their keypoints are seen.

    Bodies are placed twice. The first time gives a scale for each body, and a place. The betas are changed to
    the scaled stature, so that the result is a body of the model without an extra scale, and it is placed
    again, on the ground as it is there.

    Args:
        plane: (N,) index of everybody's plane.
        people: whose keypoints and boxes say where the bodies are seen.
        rotations: (N, 24, 3, 3) local, the root in the camera frame; betas: (N, 10) initial shape.
        fitted: camera and ground.
    """
    up, ground = fitted.normal, fitted.ground
    foot_m = _first_feet_m(people, ground, fitted.camera, config.stature_m)
    is_met = np.isfinite(foot_m).all(axis=1)
    foot_m[~is_met] = -ground.planes[0].offset_m * up
    prior_m = (config.stature_m, config.stature_sd_m)
    keypoints = people.keypoints_px
    rays = fitted.camera.rays(keypoints[..., :2])
    seen = Seen(keypoints[..., 2], rays, pixels_per_radian(fitted.camera, people.box_px))
    for is_last in (False, True):
        posed = pose_bodies(body, rotations, betas, up)
        stature_m = body.stature_m(betas).double().numpy()
        near = ground.tangents(foot_m, plane)
        placed = _place(posed, stature_m, near, seen, fitted, prior_m)
        foot_m = placed.foot_m
        if not is_last:
            betas = body.betas_for_stature(torch.from_numpy(stature_m * placed.scale).float())
    placed = replace(placed, is_placed=placed.is_placed & is_met)
    return Stood(placed, posed, betas, stature_m, near, seen)


def of_any_size(stood: Stood, fitted: Fitted, config: Config) -> optim.Placement:
    """The same bodies on the same ground, placed again as large as they seem, whatever people's statures."""
    prior_m = (config.stature_m, config.stature_m)
    return _place(stood.posed, stood.stature_m, stood.near, stood.seen, fitted, prior_m)


def _place(
    posed: PosedBodies,
    stature_m: FloatArray,
    near: Tangents,
    seen: Seen,
    fitted: Fitted,
    stature_prior_m: tuple[float, float],
) -> optim.Placement:
    """Posed bodies placed on the ground near each of them."""
    return optim.place_people(
        posed.keypoints - posed.torso[:, None],
        posed.torso_height,
        seen.scores,
        seen.rays,
        seen.px_per_rad,
        near.normals,
        near.offsets_m,
        stature_m=stature_m,
        stature_prior_m=stature_prior_m,
        camera_covariance=fitted.joint_covariance,
        up=fitted.normal,
        height_by_number=near.by_number,
        height_variance_m2=near.unseen_m2,
    )


def _first_feet_m(
    people: Detections | People, ground: Ground, camera: Camera, stature_m: float
) -> FloatArray:
    """(N, 3) where people seem to stand: below their ankles if these are seen, else below their torsos.

    NaN where neither ray meets the ground. On levels it does not matter, since they are the same everywhere.
    """
    if ground.surface is None:
        return np.zeros((len(people.box_px), 3))
    torso_px = people.keypoints_px[:, list(TORSO_KEYPOINTS), :2].mean(axis=1)
    above_m = _TORSO_HEIGHT * stature_m
    below = ground.under(camera, torso_px, above_m)
    torso_m = below.raised(above_m).intersect_m(camera.rays(torso_px))
    below_torso_m = torso_m - above_m * ground.normal
    at_feet_m = ground.points_m(camera, feet_px(people))
    is_better = ankles_seen(people.keypoints_px) | np.isnan(below_torso_m).any(axis=1)
    is_better &= np.isfinite(at_feet_m).all(axis=1)
    return np.where(is_better[:, None], at_feet_m, below_torso_m)


def pose_bodies(
    body: BodyModel, rotations: torch.Tensor, betas: torch.Tensor, normal: FloatArray
) -> PosedBodies:
    """Pose bodies with local rotations (N, 24, 3, 3) and betas (N, 10) over a ground with `normal` (3,)."""
    with torch.inference_mode():
        vertices = body(rotations, betas).vertices
        keypoints = body.keypoints(vertices).double().numpy()
        torso = body.torso(vertices).double().numpy()
        heights = (vertices.double() @ torch.from_numpy(np.asarray(normal))).numpy()
    return PosedBodies(vertices.numpy(), keypoints, torso, torso @ normal - heights.min(axis=1))


def pixels_per_radian(camera: Camera, box_px: FloatArray) -> FloatArray:
    """(N,) pixels per radian in the middle of each box (N, 4), measured in horizontal direction."""
    center = (box_px[:, :2] + box_px[:, 2:]) / 2
    step = np.array([1.0, 0.0])
    a, b = camera.rays(center - step / 2), camera.rays(center + step / 2)
    return np.asarray(1.0 / np.linalg.norm(a - b, axis=-1))


def body_rows(
    stood: Stood,
    rotations: torch.Tensor,
    fisher: torch.Tensor,
    fitted: Fitted,
) -> dict[str, Any]:
    """The fields of `People` that describe bodies and their places, one row per person.

    Args:
        rotations, fisher: (N, 24, 3, 3), the root in the camera frame.
    """
    camera, placed = fitted.camera, stood.placed
    return {
        "pose": roma.rotmat_to_rotvec(rotations).double().numpy(),
        "betas": stood.betas.double().numpy(),
        "transl_m": placed.torso_m - stood.posed.torso,
        "torso_px": camera.project(placed.torso_m),
        "torso_m": placed.torso_m,
        "hvip_px": camera.project(placed.foot_m),
        "hvip_m": placed.foot_m,
        "stature_m": stood.stature_m,
        "position_cov_m2": placed.position_cov_m2,
        "fisher": fisher.double().numpy(),
    }
