"""Motion capture as SMPL poses: what all formats share, and CMU's ASF/AMC files.

Motions are turned into global rotations of SMPL's 24 joints and then into local (parent-relative) ones. Where
a limb points along d in the mocap skeleton at rest and along l in the body at rest, the body's joint turns by
G A: A is the shortest turn from l to d, and G the mocap bone's turn since its rest. So limbs point exactly
where the mocap's do; only its bone lengths are lost.

World frame of every clip: y up, gravity along -y. The body at rest: T-pose, y up, facing +z, left =
+x.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from crowd3d.body.tree import JOINT_NAMES, PARENTS
from crowd3d.errors import Crowd3dError, DataError
from crowd3d.files.arrays import checked
from crowd3d.files.reading import read_bytes

FloatArray = npt.NDArray[np.float64]

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
# Share of the forearm's twist that the elbow takes, so that the skin at the wrist is not wrung.
_PRONATION = 0.5


class MocapError(Crowd3dError):
    """A motion file is missing, truncated or of another skeleton."""


@dataclass(frozen=True)
class Clip:
    """One motion.

    Attributes:
        name: file stem.
        rotations: (T, 24, 3, 3) local rotations, SMPL order; the root turns the body into the
            world.
        fps: frames per second.
        root_m: (T, 3) path of the pelvis in metres, world frame.
    """

    name: str
    rotations: FloatArray
    fps: float
    root_m: FloatArray


@dataclass(frozen=True)
class Bone:
    """One bone of an ASF skeleton at rest: unit direction, length in metres, own axes."""

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


def read_asf(path: str | Path) -> dict[str, Bone]:
    """The skeleton of an Acclaim file, bones by name; lengths in metres.

    CMU's unit is an inch over 0.45, hence 0.0254 / 0.45 metres.
    """
    text = read_text(path)
    scale = 0.0254 / _length(text, path)
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
        direction = _three(block, r"\bdirection\s+(.*)", path)
        if not np.linalg.norm(direction) > 0:
            raise MocapError(f"{path}: bone {name!r} has no direction")
        bones[name] = Bone(
            parent=parents[name],
            direction=direction / np.linalg.norm(direction),
            length=_length(block, path) * scale,
            axes=_euler_xyz(_three(block, r"\baxis\s+(.*?)\s*XYZ", path)),
            dof=tuple(dof.group(1).split()) if dof else (),
        )
        if not {*bones[name].dof} <= {"rx", "ry", "rz"}:
            raise MocapError(f"{path}: bone {name!r} has other degrees of freedom than rx, ry, rz")
    if not bones:
        raise MocapError(f"{path} has no bones; is it an ASF file?")
    return bones


def read_amc(path: str | Path) -> dict[str, FloatArray]:
    """Motion of an Acclaim file: bone name -> (T, number of its degrees of freedom)."""
    frames: list[dict[str, FloatArray]] = []
    for line in read_text(path).splitlines():
        words = line.split()
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        elif frames and len(words) > 1:
            frames[-1][words[0]] = _floats(words[1:], path)
    if not frames:
        raise MocapError(f"{path} has no frames; is it an AMC file?")
    full = {name: len(values) for name, values in frames[0].items()}
    is_whole = [{name: len(v) for name, v in frame.items()} == full for frame in frames]
    if not all(is_whole[:-1]):  # the last one may be cut
        raise MocapError(
            f"{path}: frame {is_whole.index(False) + 1} has other bones than the first"
        )
    frames = frames[: sum(is_whole)]
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
        if values.shape[1] != len(bone.dof):
            raise MocapError(f"bone {name!r} has {values.shape[1]} angles, not {len(bone.dof)}")
        for axis, value in zip(bone.dof, values.T, strict=True):
            angles[:, "xyz".index(axis[1])] = value
        world[name] = world[bone.parent] @ bone.axes @ _euler_xyz(angles) @ bone.axes.T
    return world


def cmu_clip(
    asf: str | Path, amc: str | Path, rest_directions: dict[int, FloatArray], fps: float = 30.0
) -> Clip:
    """One CMU motion as SMPL rotations.

    Args:
        rest_directions: joint -> (3,) unit direction to its child in the body's T-pose
            (`body_directions`).
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
    _share_pronation(world, rest_directions)
    world[:, 22:] = world[:, 20:22]
    scale = 0.0254 / 0.45
    return Clip(Path(amc).stem, to_local(world), fps, motion["root"][:, :3] * scale)


def _share_pronation(world: FloatArray, rest_directions: dict[int, FloatArray]) -> None:
    """Give the elbow a part of the wrist's twist about the forearm."""
    for elbow, wrist in ((18, 20), (19, 21)):
        axis = rest_directions.get(elbow, np.array([1.0, 0, 0]))
        local = Rotation.from_matrix(
            np.swapaxes(world[:, elbow], -1, -2) @ world[:, wrist]
        ).as_quat()
        twist = 2 * np.arctan2(local[:, :3] @ axis, local[:, 3])
        twist = (twist + np.pi) % (2 * np.pi) - np.pi
        turn = Rotation.from_rotvec(_PRONATION * twist[:, None] * axis).as_matrix()
        world[:, elbow] = world[:, elbow] @ turn


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


def read_text(path: str | Path) -> str:
    """The text of a motion file, of which only words in ASCII mean anything."""
    return read_bytes(path, MocapError).decode("utf-8", errors="replace")


def _field(text: str, pattern: str, path: str | Path) -> str:
    found = re.search(pattern, text)
    if not found:
        raise MocapError(f"{path}: nothing matches {pattern!r}")
    return found.group(1)


def _three(text: str, pattern: str, path: str | Path) -> FloatArray:
    found = _floats(_field(text, pattern, path).split(), path)
    if len(found) != 3:
        raise MocapError(f"{path}: {len(found)} numbers where three belong")
    return found


def _length(text: str, path: str | Path) -> float:
    found = _floats([_field(text, r"\blength\s+(\S+)", path)], path)
    if not found[0] > 0:
        raise MocapError(f"{path}: a length of {found[0]:g}")
    return float(found[0])


def _floats(words: list[str], path: str | Path) -> FloatArray:
    try:
        return checked([float(word) for word in words], (-1,), f"{path}: {' '.join(words)}")
    except (ValueError, DataError):
        raise MocapError(f"{path}: {' '.join(words)!r:.80} are no numbers") from None
