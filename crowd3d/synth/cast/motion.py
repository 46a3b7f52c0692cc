"""Takes poses of a rendered crowd from motion capture instead of making them by rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.transform import Rotation

from crowd3d import body
from crowd3d.synth.cast.everyone import Cast

FloatArray = npt.NDArray[np.float64]

_STEP = 5  # frames between two poses that are kept; neighbours look alike
_MAX_LEAN_RAD = 0.7  # of the pelvis against the vertical
_SOLE_M = 0.12  # an ankle may be so far above the lowest joint, as on tiptoe


def read_motion(folder: str | Path) -> FloatArray:
    """Upright poses (M, 24, 3) out of a folder of CMU's ASF/AMC files, heading taken off.

    Raises:
        crowd3d.data.cmu.MocapError: no files, or files that cannot be read.
    """
    from crowd3d.data import cmu

    model = body.load("open", "crowd")
    rest = model.joints_only(torch.zeros(1, 24, 3), torch.zeros(1, 10))[0].double().numpy()
    clips = cmu.load_cmu(folder, cmu.body_directions(rest))
    return standing_poses(np.concatenate([clip.rotations[::_STEP] for clip in clips]))


def standing_poses(rotations: FloatArray) -> FloatArray:
    """Those of local rotations (M, 24, 3, 3) that stand, as axis-angle (K, 24, 3), heading taken off."""
    flat = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec()
    poses = without_heading(flat.reshape(-1, 24, 3))
    return np.asarray(poses[stands(poses)])


def without_heading(poses: FloatArray) -> FloatArray:
    """The poses (N, 24, 3), turned about the vertical until they face +z."""
    root = Rotation.from_rotvec(poses[:, 0])
    ahead = root.apply([0.0, 0.0, 1.0])
    turn = Rotation.from_euler("y", -np.arctan2(ahead[:, 0], ahead[:, 2])[:, None])
    turned = poses.copy()
    turned[:, 0] = (turn * root).as_rotvec().reshape(-1, 3)
    return turned


def stands(poses: FloatArray) -> npt.NDArray[np.bool_]:
    """(N,) which poses are those of somebody on their feet: trunk upright, an ankle lowest."""
    model = body.load("open", "crowd")
    upright = Rotation.from_rotvec(poses[:, 0]).apply([0.0, 1.0, 0.0])[:, 1] > np.cos(_MAX_LEAN_RAD)
    with torch.inference_mode():
        rows = torch.as_tensor(poses, dtype=torch.float32)
        joints = model.joints_only(rows, torch.zeros(len(poses), 10)).numpy()
    lowest = np.delete(joints[..., 1], [10, 11], axis=1).min(axis=1)
    ankle = joints[:, [7, 8], 1].min(axis=1)
    tall = joints[:, 15, 1] - ankle > 1.0
    return np.asarray(upright & (ankle - lowest < _SOLE_M) & tall)


def recast(rng: np.random.Generator, cast: Cast, poses: FloatArray, share: float) -> Cast:
    """The cast with recorded poses for a share of those who neither sit nor carry."""
    pose = cast.pose.copy()
    for i in np.flatnonzero(~cast.seated & ~np.isin(np.arange(len(cast)), cast.carrier)):
        if rng.random() < share and len(poses):
            pose[i] = poses[int(rng.integers(len(poses)))]
    return replace(cast, pose=pose)
