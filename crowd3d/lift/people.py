"""From people in pixels to bodies on the ground: poses from the lift, places from keypoint rays and ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import roma

import optim
from crowd3d.body import BodyModel
from crowd3d.config import Config
from crowd3d.errors import ConfigError
from crowd3d.lift import fusion, propose
from crowd3d.lift.depths import (
    Depths,
    depths_of_bodies,
    depths_of_rootnet,
    depths_of_rootnet_s,
    weighed_places,
)
from crowd3d.lift.footing import founded, on_shoulders
from crowd3d.lift.lifter import Lift, LiftResult, load
from crowd3d.lift.standing import body_rows, of_any_size, pose_bodies, stand_on
from crowd3d.maths.upright import to_camera, to_upright
from crowd3d.picture.crops import Crops
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.levels import feet_px, plane_at
from crowd3d.scene.people import ABOVE, People

FloatArray = npt.NDArray[np.float64]

_AT_ONCE = 512  # people; the posteriors of all their looks and their posed bodies are held at once


def lift_people(
    people: Detections,
    fitted: Fitted,
    body: BodyModel,
    lifter: Lift,
    config: Config,
    crops: Crops | None = None,
    depths: Depths | None = None,
) -> People:
    """Lift everybody to a posed body and set it on the plane in whose region the feet are seen, or above it.

    Rows keep the order of `people`. People who cannot stand on the ground where they are seen (rays above the
    horizon) are left out; the ids of the others are their rows.

    Args:
        people: N people in the picture; fitted: camera and ground.
        body: body model of the result; lifter: the lift.
        crops: the picture, needed if `config.pose_expert` asks for a network that looks at crops.
        depths: estimated depths; combined with the places only if `Depths.is_new`, and not in panoramas.
    """

    def lifted(rows: npt.NDArray[np.int64]) -> People:
        some_depths = None if depths is None else depths.filter(rows)
        return _lift_part(
            people.filter(rows), fitted, body, lifter, config, crops, some_depths, is_crowd=True
        )

    return on_shoulders(_in_parts(len(people), lifted), fitted, body)


def lift_above(
    people: Detections,
    fitted: Fitted,
    body: BodyModel,
    lifter: Lift,
    config: Config,
    crops: Crops | None = None,
) -> People:
    """Those of the people who are above the ground, by their size; arguments as of `lift_people`.

    The ids are their rows.
    """

    def lifted(rows: npt.NDArray[np.int64]) -> People:
        return _lift_part(
            people.filter(rows), fitted, body, lifter, config, crops, None, is_crowd=False
        )

    everybody = _in_parts(len(people), lifted)
    return everybody.filter(everybody.footing == ABOVE)


def _in_parts(n_people: int, lifted: Callable[[npt.NDArray[np.int64]], People]) -> People:
    """What `lifted` makes of all rows, a part of them at once; its ids count the rows of a part."""
    parts = []
    for first in range(0, n_people, _AT_ONCE):
        rows = np.arange(first, min(first + _AT_ONCE, n_people))
        part = lifted(rows)
        parts.append(replace(part, id=rows[part.id]))
    return People.cat(parts)


def _lift_part(
    people: Detections,
    fitted: Fitted,
    body: BodyModel,
    lifter: Lift,
    config: Config,
    crops: Crops | None,
    depths: Depths | None,
    *,
    is_crowd: bool,
) -> People:
    """Everybody of these people who has a place, each alone; `is_crowd` as of `founded`."""
    plane = plane_at(fitted.planes, feet_px(people))
    lifted = lift_poses(people, fitted, body, lifter, config, crops)
    rotations, fisher = lifted.rotations, lifted.fisher
    stood = stand_on(plane, people, rotations, lifted.betas, fitted, body, config)
    if depths is not None and depths.is_new and fitted.camera.is_perspective:
        stood = replace(stood, placed=_weighed(stood.placed, depths, fitted.camera.focal_px))
    everybody = People(
        id=np.arange(len(people)),
        score=people.score,
        box_px=people.box_px,
        keypoints_px=people.keypoints_px,
        plane=plane,
        seen=people.seen,
        support=people.support,
        **body_rows(stood, rotations, fisher, fitted),
    )
    free = of_any_size(stood, fitted, config)
    told = founded(everybody, stood, free, fitted, body, config, is_crowd=is_crowd)
    return told.filter(stood.placed.is_placed)


def lift_without_place(
    people: Detections, fitted: Fitted, body: BodyModel, lifter: Lift, config: Config
) -> People:
    """Lift people who have no place on this ground; they are posed as if gravity were the same where they are.

    Raises and arguments as of `lift_people`.
    """

    def lifted(rows: npt.NDArray[np.int64]) -> People:
        some = people.filter(rows)
        posed = lift_poses(some, fitted, body, lifter, config)
        return People.unplaced_rows(
            some.score,
            some.box_px,
            some.keypoints_px,
            roma.rotmat_to_rotvec(posed.rotations).double().numpy(),
            posed.betas.double().numpy(),
            posed.fisher.double().numpy(),
            some.seen,
            some.support,
        )

    return _in_parts(len(people), lifted)


def lift_poses(
    people: Detections,
    fitted: Fitted,
    body: BodyModel,
    lifter: Lift,
    config: Config,
    crops: Crops | None = None,
) -> LiftResult:
    """Pose and shape of everybody, the root in the camera frame; arguments as for `lift_people`."""
    camera, normal = fitted.camera, fitted.normal
    rays = camera.rays(people.keypoints_px[..., :2])
    keypoints, elevation_rad, R_upright_cam = to_upright(rays, people.keypoints_px[..., 2], normal)
    lifted = lifter(keypoints, elevation_rad)
    if config.fuse_looks:
        lifted = fusion.fuse_looks(lifted, people, camera, normal, R_upright_cam, lifter)
    if config.pose_expert == "propose" and crops is not None:
        expert = propose.posterior_of_crops(people, camera, crops, body)
        lifted = fusion.pool_expert(lifted, fusion.turned_root(expert, R_upright_cam))
    lifted = fusion.told_heading(lifted, people)
    if config.refine_pose:
        lifted = lifter.refine_pose(lifted, keypoints, elevation_rad)
    rotations, fisher = to_camera(lifted.rotations, lifted.fisher, R_upright_cam)
    return replace(lifted, rotations=rotations, fisher=fisher)


def estimated_depths(
    people: Detections,
    fitted: Fitted,
    body: BodyModel,
    config: Config,
    crops: Crops | None = None,
) -> Depths | None:
    """Everybody's depth from the estimator named by `config.depth_prior`; None if it is "none".

    Raises:
        ConfigError: a network is named, and there are no `crops` for it to look at.
        ModelError: the weights of the estimator are not installed.
    """
    if config.depth_prior == "none" or len(people) == 0:
        return None
    if config.depth_prior == "body":
        lifted = lift_poses(people, fitted, body, load(), config, crops)
        posed = pose_bodies(body, lifted.rotations, lifted.betas, fitted.normal)
        return depths_of_bodies(posed.vertices, people, fitted.camera)
    if crops is None:
        raise ConfigError(
            f"depth_prior: {config.depth_prior} looks at the picture, which is not here"
        )
    if config.depth_prior == "rootnet":
        return depths_of_rootnet(people, crops)
    return depths_of_rootnet_s(people, fitted, crops)


def _weighed(placed: optim.Placement, depths: Depths, focal_px: float) -> optim.Placement:
    """Move places along the ground to where ground and estimated depths agree best.

    Only each person's own uncertainty (`own_cov_m2`) is used as the weight. Errors of the camera move everybody
    alike; if they were used for each person, they would create false differences between people.
    """
    torso, feet = placed.torso_m, placed.foot_m
    move, own = weighed_places(feet, placed.own_cov_m2, torso, depths, focal_px)
    covariance = placed.position_cov_m2 - placed.own_cov_m2 + own
    moved = replace(placed, torso_m=torso + move, foot_m=feet + move)
    return replace(moved, position_cov_m2=covariance, own_cov_m2=own)
