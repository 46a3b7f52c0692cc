"""DeepMimic's JSON clips as SMPL poses (Peng et al., SIGGRAPH 2018)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from crowd3d.body.tree import JOINT_NAMES
from crowd3d.data.cmu import Clip, FloatArray, MocapError, read_text, shortest_turn, to_local
from crowd3d.errors import DataError
from crowd3d.files import strict_json
from crowd3d.files.arrays import checked

# DeepMimic: y up, facing +x, right = +z, arms hanging at rest. This takes it to the body's frame.
_FRAME = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
_QUATERNIONS = {
    "root": 4,
    "chest": 8,
    "neck": 12,
    "right_hip": 16,
    "right_ankle": 21,
    "right_shoulder": 25,
}
_QUATERNIONS |= {"left_hip": 30, "left_ankle": 35, "left_shoulder": 39}
_HINGES = {"right_knee": 20, "right_elbow": 29, "left_knee": 34, "left_elbow": 43}
_PARENT = {"chest": "root", "neck": "chest", "right_hip": "root", "left_hip": "root"}
_PARENT |= {"right_knee": "right_hip", "left_knee": "left_hip", "right_ankle": "right_knee"}
_PARENT |= {"left_ankle": "left_knee", "right_shoulder": "chest", "left_shoulder": "chest"}
_PARENT |= {"right_elbow": "right_shoulder", "left_elbow": "left_shoulder"}
# SMPL joint -> DeepMimic part whose turn it takes; the one back joint is the lowest of the spine.
_PART = (
    "root left_hip right_hip chest left_knee right_knee chest left_ankle right_ankle chest "
    "left_ankle right_ankle neck chest chest neck left_shoulder right_shoulder left_elbow "
    "right_elbow left_elbow right_elbow left_elbow right_elbow"
).split()
_LONGEST_S = 3600.0
_DOWN = np.array([0.0, -1, 0])


def deepmimic_world(frames: FloatArray) -> dict[str, FloatArray]:
    """Turn (T, 3, 3) of every part since its rest (arms hanging), in the body's frame.

    Args:
        frames: (T, 44): duration, root position, then quaternions (w, x, y, z) and hinge angles in
            the order root, chest, neck, right hip, knee, ankle, shoulder, elbow, and the same for
            the left.
    """
    local: dict[str, FloatArray] = {}
    for part, at in _QUATERNIONS.items():
        quaternion = frames[:, at : at + 4]
        local[part] = Rotation.from_quat(np.roll(quaternion, -1, axis=1)).as_matrix()
    for part, at in _HINGES.items():
        local[part] = Rotation.from_rotvec(frames[:, at, None] * np.array([0.0, 0, 1])).as_matrix()
    local = {part: _FRAME @ turn @ _FRAME.T for part, turn in local.items()}
    world = {"root": local["root"]}
    for part, parent in _PARENT.items():
        world[part] = world[parent] @ local[part]
    return world


def deepmimic_clip(
    path: str | Path, rest_directions: dict[int, FloatArray], fps: float = 30.0
) -> Clip:
    """One DeepMimic motion as SMPL rotations, resampled to an even rate."""
    clip = strict_json.parsed(read_text(path), path, MocapError)
    if not isinstance(clip, dict) or "Frames" not in clip:
        raise MocapError(f"{path} is not a DeepMimic clip: it has no 'Frames'")
    try:
        frames = checked(clip["Frames"], (-1, 44), f"{path}: the frames")
    except DataError as error:
        raise MocapError(str(error)) from None
    if len(frames) < 2 or not 0 < frames[:, 0].min() <= frames[:, 0].sum() <= _LONGEST_S:
        raise MocapError(
            f"{path} needs two frames or more that last up to {_LONGEST_S:g} s together"
        )
    for part, at in _QUATERNIONS.items():
        if np.linalg.norm(frames[:, at : at + 4], axis=1).min() < 0.5:
            raise MocapError(f"{path}: a quaternion of {part} is not of length 1")
    frames = frames[_even_rate(frames[:, 0], fps)]
    turns = deepmimic_world(frames)
    world = np.empty((len(frames), len(JOINT_NAMES), 3, 3))
    for joint, part in enumerate(_PART):
        align = np.eye(3)
        if part.endswith(("shoulder", "elbow")):  # the T-pose's arm against the hanging one
            side = 1.0 if part.startswith("left") else -1.0
            limb = rest_directions.get(joint, np.array([side, 0, 0]))
            align = shortest_turn(limb, _DOWN)
        elif part.endswith(("hip", "knee")):
            align = shortest_turn(rest_directions[joint], _DOWN)
        world[:, joint] = turns[part] @ align
    local = to_local(world)
    local[:, 10:12] = local[:, 20:24] = np.eye(3)  # toes, wrists and hands are not recorded
    _share_back(local)
    return Clip(Path(path).stem, local, fps, frames[:, 1:4] @ _FRAME.T)


def _share_back(local: FloatArray) -> None:
    """Spread the one turn of the back over three joints, and the neck's over neck and head."""
    for joints, shares in (((3, 6, 9), (1 / 3,) * 3), ((12, 15), (0.5, 0.5))):
        whole = Rotation.from_matrix(local[:, joints[0]]).as_rotvec()
        for joint, share in zip(joints, shares, strict=True):
            local[:, joint] = Rotation.from_rotvec(share * whole).as_matrix()


def _even_rate(durations_s: FloatArray, fps: float) -> npt.NDArray[np.int64]:
    """Indices that read frames of given durations at an even rate."""
    start = np.concatenate([[0.0], np.cumsum(durations_s[:-1])])
    times = np.arange(0.0, start[-1] + 1e-9, 1 / fps)
    return np.asarray(np.searchsorted(start, times + 1e-9, side="right") - 1)


def load_deepmimic(folder: str | Path, rest_directions: dict[int, FloatArray]) -> list[Clip]:
    """All DeepMimic motions of a folder, sorted by name."""
    paths = sorted(Path(folder).glob("humanoid3d_*.txt"))
    if not paths:
        raise MocapError(f"no humanoid3d_*.txt file in {folder}")
    return [deepmimic_clip(path, rest_directions) for path in paths]
