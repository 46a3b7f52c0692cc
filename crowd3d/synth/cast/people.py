"""Bodies of the cast: posed, set on the ground, with keypoints and torso points in both frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.transform import Rotation

from crowd3d import body
from crowd3d.synth.cast.everyone import Cast
from crowd3d.synth.cast.planted import planted
from crowd3d.synth.cast.riders import lift_m
from crowd3d.synth.place.world import World

FloatArray = npt.NDArray[np.float64]

_BATCH = 32
_SHAPE_SD = 0.75  # of the betas that do not change the stature; adults
_CHILD_SHAPE_SD = 0.35


@dataclass
class Bodies:
    """The cast as bodies, one row a person.

    Attributes:
        betas: (N, 10); pose: (N, 24, 3) with the root turning the body into the ground frame.
        transl_m: (N, 3) added to the output of the body model, ground frame.
        joints_m: (N, 24, 3), keypoints_m: (N, 17, 3) ground frame.
        crowd_vertices_m: (N, 1229, 3) of the coarse level, ground frame.
        bounds_m: (N, 2, 3) least and greatest coordinates of the body.
    """

    betas: FloatArray
    pose: FloatArray
    transl_m: FloatArray
    joints_m: FloatArray
    keypoints_m: FloatArray
    crowd_vertices_m: npt.NDArray[np.float32]
    bounds_m: FloatArray

    def __len__(self) -> int:
        return len(self.betas)


def make_bodies(
    rng: np.random.Generator, cast: Cast, world: World, sole_m: npt.ArrayLike
) -> Bodies:
    """Poses everyone and sets the lowest point of each at the height of its soles above its plane.

    Riders are set on the shoulders of who carries them.

    Args:
        sole_m: (N,) thickness of the soles.
    """
    full, coarse = body.load("open", "full"), body.load("open", "crowd")
    count = len(cast)
    betas = full.betas_for_stature(torch.as_tensor(cast.stature_m)).numpy().astype(np.float64)
    spread = np.where(cast.child, _CHILD_SHAPE_SD, _SHAPE_SD)[:, None]
    betas[:, 1:] = np.clip(rng.standard_normal((count, 9)), -2, 2) * spread
    pose = cast.pose.copy()
    pose[:, 0] = _turned(cast.yaw_rad, pose[:, 0])
    places = zip(cast.position_m, cast.level, strict=True)
    planes = [world.floor(float(x), float(z), level) for (x, z), level in places]
    normals = np.array([plane.normal for plane in planes]).reshape(-1, 3)
    offsets = np.array([plane.offset_m for plane in planes])
    with torch.inference_mode():
        rest = full.rest_joints(torch.as_tensor(betas, dtype=torch.float32)).double().numpy()
    afoot = ~cast.seated
    pose[afoot] = planted(pose[afoot], normals[afoot], rest[afoot])
    out = Bodies(
        betas=betas,
        pose=pose,
        transl_m=np.zeros((count, 3)),
        joints_m=np.zeros((count, 24, 3)),
        keypoints_m=np.zeros((count, 17, 3)),
        crowd_vertices_m=np.zeros((count, coarse.n_vertices, 3), np.float32),
        bounds_m=np.zeros((count, 2, 3)),
    )
    soles = np.asarray(sole_m, np.float64)
    for at in range(0, count, _BATCH):
        rows = slice(at, at + _BATCH)
        inputs = [torch.as_tensor(a[rows], dtype=torch.float32) for a in (pose, betas)]
        with torch.inference_mode():
            posed, small = full(*inputs), coarse(*inputs)
            keypoints = full.keypoints(posed.vertices).numpy()
        vertices, joints = posed.vertices.numpy(), posed.joints.numpy()
        shift = _onto(
            vertices,
            joints[:, 0],
            cast.position_m[rows],
            normals[rows],
            offsets[rows] - soles[rows],
        )
        out.transl_m[rows] = shift
        out.joints_m[rows] = joints + shift[:, None]
        out.keypoints_m[rows] = keypoints + shift[:, None]
        out.crowd_vertices_m[rows] = small.vertices.numpy() + shift[:, None]
        out.bounds_m[rows] = np.stack([vertices.min(1), vertices.max(1)], 1) + shift[:, None]
    return _lifted(out, lift_m(cast, out.joints_m)) if (cast.carrier >= 0).any() else out


def _lifted(bodies: Bodies, shift_m: FloatArray) -> Bodies:
    """The bodies, each shifted by a row of (N, 3)."""
    spread = shift_m[:, None]
    return replace(
        bodies,
        transl_m=bodies.transl_m + shift_m,
        joints_m=bodies.joints_m + spread,
        keypoints_m=bodies.keypoints_m + spread,
        crowd_vertices_m=bodies.crowd_vertices_m + spread.astype(np.float32),
        bounds_m=bodies.bounds_m + spread,
    )


def _onto(
    vertices: npt.NDArray[np.float32],
    pelvis: npt.NDArray[np.float32],
    place_m: FloatArray,
    normal: FloatArray,
    offset_m: FloatArray,
) -> FloatArray:
    """Shifts (N, 3) that bring each pelvis above its place (N, 2) and the lowest vertex onto a plane."""
    shift = np.zeros((len(place_m), 3))
    shift[:, [0, 2]] = place_m - pelvis[:, [0, 2]]
    heights = np.einsum("nvk,nk->nv", vertices + shift[:, None], normal)
    shift[:, 1] = -(heights.min(axis=1) + offset_m) / normal[:, 1]
    return shift


def _turned(yaw_rad: FloatArray, root: FloatArray) -> FloatArray:
    turn = Rotation.from_euler("y", yaw_rad[:, None])
    return np.asarray((turn * Rotation.from_rotvec(root)).as_rotvec()).reshape(-1, 3)


def in_camera_frame(bodies: Bodies, world: World) -> tuple[FloatArray, FloatArray]:
    """Pose (N, 24, 3) and translation (N, 3) with which the body model gives camera-frame vertices.

    The root turns about its rest place J0, so the same body in the camera frame needs
    transl' = R (J0 + transl) + t - J0.
    """
    view = world.view
    pose = bodies.pose.copy()
    pose[:, 0] = (
        Rotation.from_matrix(view.rotation) * Rotation.from_rotvec(pose[:, 0])
    ).as_rotvec()
    rest = bodies.joints_m[:, 0] - bodies.transl_m
    return pose, np.asarray(view.to_camera(bodies.joints_m[:, 0]) - rest)
