"""From people in pixels to bodies on the ground: pose from the lift, place from the rays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import roma
import torch

import optim
from crowd3d import lift
from crowd3d.body import BodyModel
from crowd3d.camera import Camera
from crowd3d.config import Config
from crowd3d.detections import Detections
from crowd3d.fitting import Fitted
from crowd3d.people import People

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PosedBodies:
    """Bodies at the origin, turned into the camera frame; metres."""

    vertices: FloatArray
    keypoints: FloatArray  # (N, 17, 3)
    torso: FloatArray  # (N, 3), relative to the raw output of the body model
    torso_height: FloatArray  # (N,) of the torso centre above the body's lowest point


def lift_people(
    people: Detections, fitted: Fitted, body: BodyModel, lifter: lift.Lift, config: Config
) -> People:
    """Everybody as a posed body on the ground.

    Rows keep the order of `people`; somebody who cannot stand on the ground where the picture shows them (rays
    above the horizon) is left out.
    """
    if len(people) == 0:
        return People.empty()
    camera, plane = fitted.camera, fitted.planes[0]
    rays = camera.rays(people.keypoints_px[..., :2])
    scores = people.keypoints_px[..., 2]
    keypoints, elevation_rad, R_upright_cam = lift.to_upright(rays, scores, plane.normal)
    lifted = lifter(keypoints, elevation_rad)
    if config.refine_pose:
        lifted = lifter.refine_pose(lifted, keypoints, elevation_rad)
    rotations, fisher = lift.to_camera(lifted.rotations, lifted.fisher, R_upright_cam)

    posed = pose_bodies(body, rotations, lifted.betas, plane.normal)
    stature = body.stature_m(lifted.betas).double().numpy()
    px_per_rad = pixels_per_radian(fitted.camera, people.box_px)

    def place(posed: PosedBodies, stature_m: FloatArray, stature_sd_m: float) -> optim.Placement:
        return optim.place_people(
            posed.keypoints - posed.torso[:, None],
            posed.torso_height,
            scores,
            rays,
            px_per_rad,
            plane.normal,
            plane.offset_m,
            stature_m=stature_m,
            stature_prior_m=(config.stature_m, stature_sd_m),
            camera_covariance=fitted.covariance,
        )

    first = place(posed, stature, config.stature_sd_m)
    # The scale becomes the body's own stature, so that what is written is a body of the model and nothing else.
    betas = body.betas_for_stature(torch.from_numpy(stature * first.scale).float())
    posed = pose_bodies(body, rotations, betas, plane.normal)
    final_stature = body.stature_m(betas).double().numpy()
    placed = place(posed, final_stature, config.stature_sd_m)
    return _assemble(people, fitted, placed, posed, rotations, fisher, betas, final_stature)


def pose_bodies(
    body: BodyModel, rotations: torch.Tensor, betas: torch.Tensor, normal: FloatArray
) -> PosedBodies:
    """Bodies of local rotations (N, 24, 3, 3) and betas (N, 10) above a ground of that normal (3,)."""
    with torch.inference_mode():
        vertices = body(rotations, betas).vertices
        keypoints = body.keypoints(vertices).double().numpy()
        torso = body.torso(vertices).double().numpy()
        heights = (vertices.double() @ torch.from_numpy(np.asarray(normal))).numpy()
    return PosedBodies(vertices.numpy(), keypoints, torso, torso @ normal - heights.min(axis=1))


def pixels_per_radian(camera: Camera, box_px: FloatArray) -> FloatArray:
    """(N,) how many pixels a small angle covers in the middle of each box (N, 4)."""
    center = (box_px[:, :2] + box_px[:, 2:]) / 2
    step = np.array([1.0, 0.0])
    a, b = camera.rays(center - step / 2), camera.rays(center + step / 2)
    return np.asarray(1.0 / np.linalg.norm(a - b, axis=-1))


def _assemble(
    people: Detections,
    fitted: Fitted,
    placed: optim.Placement,
    posed: PosedBodies,
    rotations: torch.Tensor,
    fisher: torch.Tensor,
    betas: torch.Tensor,
    stature_m: FloatArray,
) -> People:
    camera, plane = fitted.camera, fitted.planes[0]
    n = len(people)
    hvip_m = plane.foot_m(placed.torso_m)
    everybody = People(
        id=np.arange(n),
        score=people.score,
        box_px=people.box_px,
        keypoints_px=people.keypoints_px,
        pose=roma.rotmat_to_rotvec(rotations).double().numpy(),
        betas=betas.double().numpy(),
        transl_m=placed.torso_m - posed.torso,
        torso_px=camera.project(placed.torso_m),
        torso_m=placed.torso_m,
        hvip_px=camera.project(hvip_m),
        hvip_m=hvip_m,
        plane=np.zeros(n, dtype=np.int64),
        stature_m=stature_m,
        position_cov_m2=placed.position_cov_m2,
        fisher=fisher.double().numpy(),
    )
    return everybody.filter(placed.is_placed)
