"""Refine all people of a scene at once, after lifting and placing, with `optim.refine_scene`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import roma
import torch
from torch import Tensor

import optim
from crowd3d.body import BodyModel
from crowd3d.body.rig import Rig, descendants, pose_rig, rig_of
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.config import Config
from crowd3d.errors import CameraError
from crowd3d.lift.standing import pixels_per_radian, pose_bodies
from crowd3d.scene.camera import Camera
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import ABOVE, People
from optim import lens as lenses
from optim.geometry import tangent_basis
from optim.rotation import left_jacobian, rotation_matrix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Root, spine, hips and knees: the joints between the ground and the torso. Arms, head and feet say
# nothing about the place, and keep the pose of the lift.
JOINTS = (0, 3, 1, 2, 4, 5)
# Index of the crown in the rig's points; it is left out, because it never touches the ground.
_CROWN = 21
_LEAST_SD_RAD, _LARGEST_SD_RAD = 0.02, 0.8  # limits of the standard deviations of joint rotations


def refine_people(
    people: People, fitted: Fitted, body: BodyModel, config: Config, *, move_camera: bool = False
) -> tuple[People, Fitted]:
    """Move all people, and if asked camera and planes, to where everything agrees best.

    Who is above the ground stays there, and has no say.

    Args:
        people: lifted and placed people, with betas of `body`.
        move_camera: whether camera and planes may move with the bodies. Off by default, because
            lifted bodies of the same picture share errors; in renders, these pulled the camera away from the
            truth.

    Returns:
        The same people in the same order, and their camera and planes. The arguments themselves if
        nobody is on the ground, or if the camera would become impossible.
    """
    rows = np.flatnonzero(people.footing != ABOVE)
    if len(rows) == 0:
        return people, fitted
    refined, moved = _refined(people.filter(rows), fitted, body, config, move_camera=move_camera)
    return people.with_rows(rows, refined), moved


def _refined(
    people: People, fitted: Fitted, body: BodyModel, config: Config, *, move_camera: bool
) -> tuple[People, Fitted]:
    """`refine_people` of people on the ground."""
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(people.pose))
    betas, fisher = torch.from_numpy(people.betas), torch.from_numpy(people.fisher)
    bodies = RigBodies.of(body, rotations, betas)
    is_relief = fitted.surface is not None
    fit = optim.refine_scene(
        bodies,
        people.torso_m,
        np.ones(len(people)),
        pose_bodies(body, rotations.float(), betas.float(), fitted.normal).torso_height,
        people.keypoints_px[..., 2],
        fitted.camera.rays(people.keypoints_px[..., :2]),
        pixels_per_radian(fitted.camera, people.box_px),
        np.array([plane.normal for plane in fitted.planes]),
        np.array([plane.offset_m for plane in fitted.planes]),
        stature_m=people.stature_m,
        pose_information=pose_information(rotations, fisher),
        camera_covariance=_movable(fitted.covariance, fitted.camera),
        plane=people.plane,
        stature_prior_m=(config.stature_m, config.stature_sd_m),
        move_camera=move_camera and not is_relief,
        rise=_rise(people, fitted) if is_relief else None,
    )
    try:
        camera = _moved_camera(fitted.camera, fit)
    except CameraError:
        return people, fitted
    planes = [
        replace(plane, normal=normal, offset_m=float(offset_m))
        for plane, normal, offset_m in zip(fitted.planes, fit.normals, fit.offsets_m, strict=True)
    ]
    covariance = fit.camera_covariance if move_camera else fitted.covariance
    turned = bodies.posed(fit.pose)
    turned[:, 0] = torch.from_numpy(fit.turn) @ turned[:, 0]
    moved = replace(fitted, camera=camera, planes=planes, covariance=covariance)
    refined = _standing(people, body, turned, fit, moved)
    if is_relief:  # of which the refinement does not know how sure it is
        refined = replace(refined, position_cov_m2=people.position_cov_m2)
    return refined, moved


def _rise(people: People, fitted: Fitted) -> tuple[FloatArray, FloatArray]:
    """(N,) metres and (N, 2) grades of the ground's tangents at everybody's place, over the first plane."""
    near, up = fitted.ground.tangents(people.hvip_m, people.plane), fitted.normal
    across = near.normals @ up
    grade = -(near.normals @ tangent_basis(up).T) / across[:, None]
    return fitted.planes[0].offset_m - near.offsets_m / across, grade


@dataclass(frozen=True)
class RigBodies:
    """Bodies for `optim.refine_scene`, made from the rig of a body model.

    Attributes:
        rig: rig of the body model.
        rotations: (N, 24, 3, 3) local rotations, the root in the camera frame.
        betas: (N, 10) shape.
    """

    rig: Rig
    rotations: Tensor
    betas: Tensor

    @classmethod
    def of(cls, body: BodyModel, rotations: Tensor, betas: Tensor) -> RigBodies:
        """Make them from a body model, in double precision."""
        return cls(rig_of(body).to("cpu", torch.float64), rotations.double(), betas.double())

    def posed(self, pose: FloatArray) -> Tensor:
        """(N, 24, 3, 3) local rotations after a change `pose` (N, 18), 3 radians for each of JOINTS."""
        turns = torch.from_numpy(rotation_matrix(pose.reshape(-1, len(JOINTS), 3)))
        rotations = self.rotations.clone()
        rotations[:, list(JOINTS)] = turns @ rotations[:, list(JOINTS)]
        return rotations

    def __call__(self, pose: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 21, 3) keypoints, heels, toes relative to the torso centre; their derivative (N, 21, 3, 18)."""
        rotations = self.posed(pose)
        body = pose_rig(self.rig, rotations, self.betas)
        parts = body.parts[:, :_CROWN]
        parents = [self.rig.parents.tolist()[j] for j in JOINTS]
        eye = torch.eye(3, dtype=parts.dtype).expand(len(parts), 3, 3)
        parent_world = torch.stack([eye if p < 0 else body.world[:, p] for p in parents], dim=1)
        spin = parent_world @ torch.from_numpy(left_jacobian(pose.reshape(-1, len(JOINTS), 3)))
        below = descendants(self.rig)[list(JOINTS)]
        share = self.rig.weights[:_CROWN] @ below.T
        arms = torch.einsum("ji,nkia->nkja", below, parts)
        arms = arms - share[..., None] * body.joints[:, None, list(JOINTS)]
        # A turn w moves a point by w x arm; column c of the spin is the turn of parameter c.
        columns = [torch.linalg.cross(spin[:, None, ..., c], arms, dim=-1) for c in range(3)]
        jacobian = torch.stack(columns, dim=-1).permute(0, 1, 3, 2, 4).flatten(3)
        torso, points = list(TORSO_KEYPOINTS), parts.sum(dim=2)
        return (
            (points - points[:, torso].mean(dim=1, keepdim=True)).numpy(),
            (jacobian - jacobian[:, torso].mean(dim=1, keepdim=True)).numpy(),
        )


def pose_information(rotations: Tensor, fisher: Tensor) -> FloatArray:
    """(N, 18, 18) inverse covariance of small turns of JOINTS, from matrix-Fisher parameters.

    Near its mode, -log p(exp(w) R) is w^T (tr(A) I - A) w / 2 with A = R F^T (Lee 2018).

    Args:
        rotations, fisher: (N, 24, 3, 3); `rotations` are the modes of `fisher`.
    """
    A = rotations[:, list(JOINTS)].double() @ fisher[:, list(JOINTS)].double().transpose(-1, -2)
    A = (A + A.transpose(-1, -2)) / 2
    trace = A.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    values, vectors = np.linalg.eigh((trace * torch.eye(3, dtype=A.dtype) - A).numpy())
    values = np.clip(values, _LARGEST_SD_RAD**-2, _LEAST_SD_RAD**-2)
    blocks = (vectors * values[..., None, :]) @ vectors.swapaxes(-1, -2)
    out = np.zeros((len(blocks), 3 * len(JOINTS), 3 * len(JOINTS)))
    for j in range(len(JOINTS)):
        out[:, 3 * j : 3 * j + 3, 3 * j : 3 * j + 3] = blocks[:, j]
    return out


def _movable(covariance: FloatArray, camera: Camera) -> FloatArray:
    """The covariance with the focal length of a panorama fixed; there it says how many columns a turn has."""
    keep = np.array([camera.is_perspective, True, True, True])
    return np.asarray(covariance * np.outer(keep, keep))


def _moved_camera(camera: Camera, fit: optim.RefinedScene) -> Camera:
    """The camera after the refinement; raises CameraError if it is impossible."""
    u, v = camera.focal_px * fit.center_shift + camera.center_px
    focal_px = camera.focal_px * float(np.exp(fit.log_focal))
    # The distortion in pixels stays the same; coefficients refer to radii in focal lengths, so they change.
    bend = lenses.for_focal(camera.distortion, focal_px / camera.focal_px)
    return replace(camera, focal_px=focal_px, center_px=(float(u), float(v)), distortion=bend)


def _standing(
    people: People,
    body: BodyModel,
    rotations: Tensor,
    fit: optim.RefinedScene,
    fitted: Fitted,
) -> People:
    """The refined people as bodies of the model, with their lowest points on the ground."""
    betas = body.betas_for_stature(torch.from_numpy(people.stature_m * fit.scale).float())
    posed = pose_bodies(body, rotations.float(), betas, fitted.normal)
    hvip_m = fitted.ground.feet_m(fit.torso_m, people.plane)
    torso_m = hvip_m + posed.torso_height[:, None] * fitted.normal
    camera, raw = fitted.camera, posed.torso
    before = roma.rotvec_to_rotmat(torch.from_numpy(people.pose))
    fisher = rotations @ before.transpose(-1, -2) @ torch.from_numpy(people.fisher)
    return replace(
        people,
        pose=roma.rotmat_to_rotvec(rotations).numpy(),
        betas=betas.double().numpy(),
        transl_m=torso_m - raw,
        torso_m=torso_m,
        torso_px=camera.project(torso_m),
        hvip_m=hvip_m,
        hvip_px=camera.project(hvip_m),
        stature_m=body.stature_m(betas).double().numpy(),
        position_cov_m2=fit.position_cov_m2,
        fisher=fisher.numpy(),
    )
