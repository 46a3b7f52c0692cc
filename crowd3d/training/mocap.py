"""Motion capture as SMPL poses: CMU's ASF/AMC files and the DeepMimic JSON clips.

Both are turned into global rotations of SMPL's 24 joints and then into local (parent-relative) ones. A limb of
the mocap skeleton that points along d at its own rest is a limb of the body that points along l at rest:
the body's joint turns by G A, with G the mocap bone's turn since its rest and A the shortest turn from l to d.
Limb directions are therefore those of the mocap exactly; what is lost is only bone lengths.

World frame of every clip: y up, gravity along -y. The body at rest: T-pose, y up, facing +z, left = +x.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from crowd3d.errors import Crowd3dError

FloatArray = npt.NDArray[np.float64]

JOINT_NAMES = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot "
    "right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hand right_hand"
).split()
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)

# The child whose direction a limb joint carries; the others keep the mocap's turn as it is.
LIMB_CHILD = {1: 4, 2: 5, 4: 7, 5: 8, 7: 10, 8: 11, 13: 16, 14: 17, 16: 18, 17: 19, 18: 20, 19: 21}

_CMU_BONE = {
    "left_hip": "lfemur",
    "right_hip": "rfemur",
    "left_knee": "ltibia",
    "right_knee": "rtibia",
    "left_ankle": "lfoot",
    "right_ankle": "rfoot",
    "left_foot": "ltoes",
    "right_foot": "rtoes",
    "spine1": "lowerback",
    "spine2": "upperback",
    "spine3": "thorax",
    "neck": "lowerneck",
    "head": "head",
    "left_collar": "lclavicle",
    "right_collar": "rclavicle",
    "left_shoulder": "lhumerus",
    "right_shoulder": "rhumerus",
    "left_elbow": "lradius",
    "right_elbow": "rradius",
    "left_wrist": "lhand",
    "right_wrist": "rhand",
}
_PRONATION = (
    0.5  # part of the forearm's twist that the elbow takes, so that the skin does not wring
)


class MocapError(Crowd3dError):
    """A motion file is missing, truncated or of another skeleton."""


@dataclass(frozen=True)
class Clip:
    """One motion.

    Attributes:
        name: file stem.
        rotations: (T, 24, 3, 3) local rotations, SMPL order; the root turns the body into the world.
        fps: frames per second.
        root_m: (T, 3) path of the pelvis in metres, world frame.
    """

    name: str
    rotations: FloatArray
    fps: float
    root_m: FloatArray


@dataclass(frozen=True)
class Bone:
    """One bone of an ASF skeleton: parent name, unit direction and length at rest, own axes, moving axes."""

    parent: str
    direction: FloatArray
    length: float
    axes: FloatArray
    dof: tuple[str, ...]


def shortest_turn(source: FloatArray, target: FloatArray) -> FloatArray:
    """(3, 3) rotation by the least angle that takes direction `source` to `target` (Rodrigues)."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis, cosine = np.cross(a, b), float(a @ b)
    if cosine < -1 + 1e-9:
        raise ValueError("opposite directions have no shortest turn")
    x, y, z = axis
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine))


def to_local(world: FloatArray) -> FloatArray:
    """Global joint rotations (..., 24, 3, 3) -> parent-relative ones."""
    local = world.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            local[..., joint, :, :] = (
                np.swapaxes(world[..., parent, :, :], -1, -2) @ world[..., joint, :, :]
            )
    return local


def to_world(local: FloatArray) -> FloatArray:
    """The inverse of `to_local`."""
    world = local.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            world[..., joint, :, :] = world[..., parent, :, :] @ local[..., joint, :, :]
    return world


def read_asf(path: str | Path) -> dict[str, Bone]:
    """The skeleton of an Acclaim file, bones by name; lengths in metres.

    CMU's unit is an inch over 0.45, hence 0.0254 / 0.45 metres.
    """
    text = _read(path)
    scale = 0.0254 / float(_field(text, r"\blength\s+(\S+)", path))
    parents: dict[str, str] = {}
    for line in text.partition(":hierarchy")[2].splitlines():
        names = line.split()
        parents.update({child: names[0] for child in names[1:]} if len(names) > 1 else {})
    bones: dict[str, Bone] = {}
    for block in re.findall(r"begin\s+(id\s.*?)\bend\b", text, flags=re.S):
        name = _field(block, r"\bname\s+(\S+)", path)
        if name not in parents:
            raise MocapError(f"{path}: bone {name!r} is not in the hierarchy")
        dof = re.search(r"^\s*dof\s+(.*)$", block, flags=re.M)
        direction = _numbers(block, r"\bdirection\s+(.*)", path)
        bones[name] = Bone(
            parent=parents[name],
            direction=direction / np.linalg.norm(direction),
            length=float(_field(block, r"\blength\s+(\S+)", path)) * scale,
            axes=_euler_xyz(_numbers(block, r"\baxis\s+(.*?)\s*XYZ", path)),
            dof=tuple(dof.group(1).split()) if dof else (),
        )
    if not bones:
        raise MocapError(f"{path} has no bones; is it an ASF file?")
    return bones


def read_amc(path: str | Path) -> dict[str, FloatArray]:
    """Motion of an Acclaim file: bone name -> (T, number of its degrees of freedom)."""
    frames: list[dict[str, list[float]]] = []
    for line in _read(path).splitlines():
        words = line.split()
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif frames and len(words) > 1:
            frames[-1][words[0]] = [float(word) for word in words[1:]]
    if not frames:
        raise MocapError(f"{path} has no frames; is it an AMC file?")
    full = set(frames[0])
    frames = [frame for frame in frames if set(frame) == full]  # the last one may be cut
    return {name: np.array([frame[name] for frame in frames]) for name in sorted(full)}


def cmu_world(bones: dict[str, Bone], motion: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Turn (T, 3, 3) of every bone since its rest, in the world: G = G_parent C M C^T."""
    if "root" not in motion or motion["root"].shape[1] != 6:
        raise MocapError("the motion has no root with six numbers")
    n_frames = len(motion["root"])
    world = {"root": _euler_xyz(motion["root"][:, 3:])}
    for name, bone in _top_down(bones):
        angles = np.zeros((n_frames, 3))
        values = motion.get(name, np.zeros((n_frames, len(bone.dof))))
        for axis, value in zip(bone.dof, values.T, strict=True):
            angles[:, "xyz".index(axis[1])] = value
        world[name] = world[bone.parent] @ bone.axes @ _euler_xyz(angles) @ bone.axes.T
    return world


def cmu_clip(
    asf: str | Path, amc: str | Path, rest_directions: dict[int, FloatArray], fps: float = 30.0
) -> Clip:
    """One CMU motion as SMPL rotations.

    Args:
        rest_directions: joint -> (3,) unit direction to its child in the body's T-pose (`body_directions`).
    """
    bones, motion = read_asf(asf), read_amc(amc)
    turns = cmu_world(bones, motion)
    world = np.empty((len(turns["root"]), len(JOINT_NAMES), 3, 3))
    world[:, 0] = turns["root"]
    for joint, name in enumerate(JOINT_NAMES[:22]):
        if joint == 0:
            continue
        bone = _CMU_BONE[name]
        align = np.eye(3)
        if joint in rest_directions:
            align = shortest_turn(rest_directions[joint], bones[bone].direction)
        world[:, joint] = turns[bone] @ align
    _share_pronation(world)
    world[:, 22:] = world[:, 20:22]
    scale = 0.0254 / 0.45
    return Clip(Path(amc).stem, to_local(world), fps, motion["root"][:, :3] * scale)


def _share_pronation(world: FloatArray) -> None:
    """Give the elbow a part of the wrist's twist about the forearm."""
    for elbow, wrist, axis in ((18, 20, (1.0, 0, 0)), (19, 21, (-1.0, 0, 0))):
        local = Rotation.from_matrix(
            np.swapaxes(world[:, elbow], -1, -2) @ world[:, wrist]
        ).as_quat()
        twist = 2 * np.arctan2(local[:, :3] @ np.array(axis), local[:, 3])
        twist = (twist + np.pi) % (2 * np.pi) - np.pi
        turn = Rotation.from_rotvec(_PRONATION * twist[:, None] * np.array(axis)).as_matrix()
        world[:, elbow] = world[:, elbow] @ turn


# DeepMimic: y up, facing +x, right = +z, arms hanging at rest. This takes it to the body's frame.
_DM_FRAME = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
_DM_QUATERNIONS = {
    "root": 4,
    "chest": 8,
    "neck": 12,
    "right_hip": 16,
    "right_ankle": 21,
    "right_shoulder": 25,
}
_DM_QUATERNIONS |= {"left_hip": 30, "left_ankle": 35, "left_shoulder": 39}
_DM_HINGES = {"right_knee": 20, "right_elbow": 29, "left_knee": 34, "left_elbow": 43}
_DM_PARENT = {"chest": "root", "neck": "chest", "right_hip": "root", "left_hip": "root"}
_DM_PARENT |= {"right_knee": "right_hip", "left_knee": "left_hip", "right_ankle": "right_knee"}
_DM_PARENT |= {"left_ankle": "left_knee", "right_shoulder": "chest", "left_shoulder": "chest"}
_DM_PARENT |= {"right_elbow": "right_shoulder", "left_elbow": "left_shoulder"}
# SMPL joint -> DeepMimic part whose turn it takes; the one back joint is the lowest of the spine.
_DM_PART = ("root left_hip right_hip chest left_knee right_knee chest left_ankle right_ankle chest left_ankle "
            "right_ankle neck chest chest neck left_shoulder right_shoulder left_elbow right_elbow left_elbow "
            "right_elbow left_elbow right_elbow").split()  # fmt: skip
_DOWN = np.array([0.0, -1, 0])


def deepmimic_world(frames: FloatArray) -> dict[str, FloatArray]:
    """Turn (T, 3, 3) of every part since its rest (arms hanging), in the body's frame.

    Args:
        frames: (T, 44): duration, root position, then quaternions (w, x, y, z) and hinge angles in the order
            root, chest, neck, right hip, knee, ankle, shoulder, elbow, and the same for the left.
    """
    local: dict[str, FloatArray] = {}
    for part, at in _DM_QUATERNIONS.items():
        quaternion = frames[:, at : at + 4]
        local[part] = Rotation.from_quat(np.roll(quaternion, -1, axis=1)).as_matrix()
    for part, at in _DM_HINGES.items():
        local[part] = Rotation.from_rotvec(frames[:, at, None] * np.array([0.0, 0, 1])).as_matrix()
    local = {part: _DM_FRAME @ turn @ _DM_FRAME.T for part, turn in local.items()}
    world = {"root": local["root"]}
    for part, parent in _DM_PARENT.items():
        world[part] = world[parent] @ local[part]
    return world


def deepmimic_clip(
    path: str | Path, rest_directions: dict[int, FloatArray], fps: float = 30.0
) -> Clip:
    """One DeepMimic motion as SMPL rotations, resampled to an even rate."""
    try:
        frames = np.array(json.loads(_read(path))["Frames"], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise MocapError(f"{path} is not a DeepMimic clip: {error}") from None
    if frames.ndim != 2 or frames.shape[1] != 44 or len(frames) < 2:
        raise MocapError(f"{path} has frames of shape {frames.shape}, expected (T, 44)")
    frames = frames[_even_rate(frames[:, 0], fps)]
    turns = deepmimic_world(frames)
    world = np.empty((len(frames), len(JOINT_NAMES), 3, 3))
    for joint, part in enumerate(_DM_PART):
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
    return Clip(Path(path).stem, local, fps, frames[:, 1:4] @ _DM_FRAME.T)


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


def body_directions(joints: FloatArray) -> dict[int, FloatArray]:
    """Unit directions of the limbs at rest from the body's T-pose joints (24, 3)."""
    rays = {joint: joints[child] - joints[joint] for joint, child in LIMB_CHILD.items()}
    return {joint: ray / np.linalg.norm(ray) for joint, ray in rays.items()}


def load_cmu(folder: str | Path, rest_directions: dict[int, FloatArray]) -> list[Clip]:
    """All CMU motions of a folder, `SS_MM.amc` beside `SS.asf`, sorted by name."""
    paths = sorted(Path(folder).glob("*.amc"))
    if not paths:
        raise MocapError(f"no .amc file in {folder}")
    return [cmu_clip(p.with_name(p.stem.split("_")[0] + ".asf"), p, rest_directions) for p in paths]


def load_deepmimic(folder: str | Path, rest_directions: dict[int, FloatArray]) -> list[Clip]:
    """All DeepMimic motions of a folder, sorted by name."""
    paths = sorted(Path(folder).glob("humanoid3d_*.txt"))
    if not paths:
        raise MocapError(f"no humanoid3d_*.txt file in {folder}")
    return [deepmimic_clip(path, rest_directions) for path in paths]


def _euler_xyz(degrees: FloatArray) -> FloatArray:
    """Acclaim's XYZ order: first about x, then y, then z, all fixed axes."""
    return np.asarray(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())


def _top_down(bones: dict[str, Bone]) -> Iterator[tuple[str, Bone]]:
    """Bones with every parent before its children."""
    done = {"root"}
    waiting = dict(bones)
    while waiting:
        ready = [name for name, bone in waiting.items() if bone.parent in done]
        if not ready:
            raise MocapError(f"bones without a parent: {', '.join(sorted(waiting))}")
        for name in ready:
            done.add(name)
            yield name, waiting.pop(name)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise MocapError(f"cannot read {path}: {error.strerror}") from None


def _field(text: str, pattern: str, path: str | Path) -> str:
    found = re.search(pattern, text)
    if not found:
        raise MocapError(f"{path}: nothing matches {pattern!r}")
    return found.group(1)


def _numbers(text: str, pattern: str, path: str | Path) -> FloatArray:
    return np.array([float(word) for word in _field(text, pattern, path).split()])
