"""Motion capture readers, and that retargeting keeps the directions of limbs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from crowd3d.body.tree import JOINT_MIRROR, JOINT_NAMES, PARENTS
from crowd3d.data import cmu, deepmimic
from crowd3d.training.poses import everyday, gestures

# A skeleton in CMU's manner: splayed legs, T-pose arms, tilted own axes; lengths made up.
_BONES = {
    "lhipjoint": ("root", (0.66, -0.70, 0.28), 2.5, (0, 0, 0), ""),
    "lfemur": ("lhipjoint", (0.342, -0.940, 0), 7.2, (0, 0, 20), "rx ry rz"),
    "ltibia": ("lfemur", (0.342, -0.940, 0), 7.6, (0, 0, 20), "rx"),
    "lfoot": ("ltibia", (0.094, -0.258, 0.962), 1.9, (-90, 0, 20), "rx rz"),
    "ltoes": ("lfoot", (0, 0, 1), 0.96, (-90, 0, 20), "rx"),
    "rhipjoint": ("root", (-0.65, -0.71, 0.28), 2.5, (0, 0, 0), ""),
    "rfemur": ("rhipjoint", (-0.342, -0.940, 0), 7.2, (0, 0, -20), "rx ry rz"),
    "rtibia": ("rfemur", (-0.342, -0.940, 0), 7.6, (0, 0, -20), "rx"),
    "rfoot": ("rtibia", (-0.092, -0.253, 0.963), 1.9, (-90, 0, -20), "rx rz"),
    "rtoes": ("rfoot", (0, 0, 1), 0.96, (-90, 0, -20), "rx"),
    "lowerback": ("root", (0, 1, -0.06), 2.2, (0, 0, 0), "rx ry rz"),
    "upperback": ("lowerback", (0, 1, 0), 2.2, (0, 0, 0), "rx ry rz"),
    "thorax": ("upperback", (0, 1, 0.03), 2.2, (0, 0, 0), "rx ry rz"),
    "lowerneck": ("thorax", (0.06, 0.99, 0.08), 1.8, (0, 0, 0), "rx ry rz"),
    "upperneck": ("lowerneck", (-0.06, 0.96, -0.28), 1.8, (0, 0, 0), "rx ry rz"),
    "head": ("upperneck", (0, 1, -0.1), 1.8, (0, 0, 0), "rx ry rz"),
    "lclavicle": ("thorax", (0.94, 0.33, -0.09), 3.5, (0, 0, 0), "ry rz"),
    "lhumerus": ("lclavicle", (1, 0, 0), 5.4, (180, -30, -90), "rx ry rz"),
    "lradius": ("lhumerus", (1, 0, 0), 3.3, (180, -30, -90), "rx"),
    "lwrist": ("lradius", (1, 0, 0), 1.6, (0, 90, 90), "ry"),
    "lhand": ("lwrist", (1, 0, 0), 0.5, (0, 90, 90), "rx rz"),
    "rclavicle": ("thorax", (-0.95, 0.28, -0.1), 3.4, (0, 0, 0), "ry rz"),
    "rhumerus": ("rclavicle", (-1, 0, 0), 5.5, (180, 30, 90), "rx ry rz"),
    "rradius": ("rhumerus", (-1, 0, 0), 3.3, (180, 30, 90), "rx"),
    "rwrist": ("rradius", (-1, 0, 0), 1.6, (0, -90, -90), "ry"),
    "rhand": ("rwrist", (-1, 0, 0), 0.7, (0, -90, -90), "rx rz"),
}


def write_asf(path: Path) -> None:
    lines = [":units", "  mass 1.0", "  length 0.45", "  angle deg", ":root", ":bonedata"]
    for number, (name, (_, direction, length, axis, dof)) in enumerate(_BONES.items()):
        lines += ["  begin", f"     id {number}", f"     name {name}"]
        lines += ["     direction " + " ".join(map(str, direction)), f"     length {length}"]
        lines += ["     axis " + " ".join(map(str, axis)) + "  XYZ"]
        lines += [f"    dof {dof}", "    limits (-90 90)"] if dof else []
        lines += ["  end"]
    lines += [":hierarchy", "  begin"]
    lines += [f"    {parent} {name}" for name, (parent, *_) in _BONES.items()]
    path.write_text("\n".join([*lines, "  end", ""]))


def write_amc(path: Path, frames: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    lines = [":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(frames):
        root = np.concatenate([[frame, 17, 0], rng.uniform(-40, 40, 3)])
        lines += [str(frame + 1), "root " + " ".join(map(repr, root.tolist()))]
        for name, (*_, dof) in _BONES.items():
            if dof:
                angles = rng.uniform(-35, 35, len(dof.split())).tolist()
                lines.append(f"{name} " + " ".join(map(repr, angles)))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def rest_joints() -> np.ndarray:
    """(24, 3) a plain T-pose skeleton with legs a little apart and elbows a little back."""
    joints = np.zeros((24, 3))
    steps = {1: (0.1, -0.05, 0), 3: (0, 0.1, 0), 4: (0.01, -0.4, 0.03), 6: (0, 0.1, 0)}
    steps |= {7: (0.02, -0.4, -0.03), 9: (0, 0.1, 0), 10: (0, -0.05, 0.13), 12: (0, 0.2, 0.02)}
    steps |= {13: (0.03, 0.1, 0), 15: (0, 0.1, 0), 16: (0.14, 0.01, 0), 18: (0.25, 0, -0.02)}
    steps |= {20: (0.22, 0, 0.01), 22: (0.1, 0, 0)}
    for joint, parent in enumerate(PARENTS):
        if joint and joint in steps:
            joints[joint] = joints[parent] + steps[joint]
        elif joint:
            twin = JOINT_MIRROR[joint]
            joints[joint] = joints[parent] + np.array(steps[twin]) * (-1, 1, 1)
    return joints


def to_world(local: np.ndarray) -> np.ndarray:
    """Parent-relative joint rotations -> global ones, the inverse of `cmu.to_local`."""
    world = local.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            world[..., joint, :, :] = world[..., parent, :, :] @ local[..., joint, :, :]
    return world


def test_cmu_limbs_point_where_the_mocap_s_do(tmp_path: Path, rest_joints: np.ndarray) -> None:
    write_asf(tmp_path / "07.asf")
    write_amc(tmp_path / "07_01.amc", 12)
    directions = cmu.body_directions(rest_joints)
    (clip,) = cmu.load_cmu(tmp_path, directions)
    assert clip.name == "07_01" and clip.rotations.shape == (12, 24, 3, 3)
    bones = cmu.read_asf(tmp_path / "07.asf")
    turns = cmu.cmu_world(bones, cmu.read_amc(tmp_path / "07_01.amc"))
    world = to_world(clip.rotations)
    for joint, rest in directions.items():
        name = cmu._CMU_BONE[JOINT_NAMES[joint]]
        expected = turns[name] @ bones[name].direction
        np.testing.assert_allclose(world[:, joint] @ rest, expected, atol=1e-6)
    np.testing.assert_allclose(clip.root_m[:, 0], np.arange(12) * 0.0254 / 0.45)
    assert bones["ltibia"].length == pytest.approx(7.6 * 0.0254 / 0.45)


def test_cmu_knee_bends_backwards(tmp_path: Path, rest_joints: np.ndarray) -> None:
    """The one free angle of a tibia takes the foot behind the thigh: axes are understood."""
    write_asf(tmp_path / "07.asf")
    lines = [":DEGREES", "1", "root 0 0 0 0 0 0"]
    lines += [f"{n} " + " ".join(["0"] * len(v[4].split())) for n, v in _BONES.items() if v[4]]
    text = "\n".join(lines).replace("ltibia 0", "ltibia 60")
    (tmp_path / "07_01.amc").write_text(text + "\n")
    directions = cmu.body_directions(rest_joints)
    world = to_world(cmu.load_cmu(tmp_path, directions)[0].rotations)
    shin = world[0, 4] @ directions[4]
    thigh = world[0, 1] @ directions[1]
    assert shin[2] < -0.7 and thigh[1] < -0.9
    assert np.degrees(np.arccos(shin @ thigh)) == pytest.approx(60, abs=1e-3)


def write_clip(path: Path, frames: np.ndarray) -> None:
    path.write_text(json.dumps({"Loop": "none", "Frames": frames.tolist()}))


def dm_frames(count: int) -> np.ndarray:
    frames = np.zeros((count, 44))
    frames[:, 0], frames[:, 2] = 1 / 30, 0.85
    for at in deepmimic._QUATERNIONS.values():
        frames[:, at] = 1.0
    return frames


def test_deepmimic_rest_hangs_its_arms_and_faces_ahead(
    tmp_path: Path, rest_joints: np.ndarray
) -> None:
    write_clip(tmp_path / "humanoid3d_rest.txt", dm_frames(3))
    directions = cmu.body_directions(rest_joints)
    (clip,) = deepmimic.load_deepmimic(tmp_path, directions)
    world = to_world(clip.rotations)[0]
    for joint in (1, 2, 4, 5, 16, 17, 18, 19):
        np.testing.assert_allclose(world[joint] @ directions[joint], (0, -1, 0), atol=1e-6)
    np.testing.assert_allclose(world[0], np.eye(3), atol=1e-9)


def test_deepmimic_hinges_bend_the_human_way(tmp_path: Path, rest_joints: np.ndarray) -> None:
    frames = dm_frames(2)
    frames[:, deepmimic._HINGES["left_knee"]] = -1.0
    frames[:, deepmimic._HINGES["right_elbow"]] = 1.2
    frames[:, 1] = (0, 1)  # DeepMimic's people walk along +x
    write_clip(tmp_path / "humanoid3d_bend.txt", frames)
    directions = cmu.body_directions(rest_joints)
    clip = deepmimic.deepmimic_clip(tmp_path / "humanoid3d_bend.txt", directions)
    world = to_world(clip.rotations)[0]
    assert (world[4] @ directions[4])[2] < -0.8  # shin behind
    assert (world[19] @ directions[19])[2] > 0.9  # forearm ahead
    np.testing.assert_allclose(clip.root_m[1] - clip.root_m[0], (0, 0, 1), atol=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_shortest_turn(values: list[float]) -> None:
    a, b = np.array(values[:3]), np.array(values[3:])
    if min(np.linalg.norm(a), np.linalg.norm(b)) < 1e-2:
        return
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    if a @ b < -0.999:
        return
    turn = cmu.shortest_turn(a, b)
    np.testing.assert_allclose(turn @ a, b, atol=1e-6)
    angle = Rotation.from_matrix(turn).magnitude()
    assert angle == pytest.approx(np.arccos(np.clip(a @ b, -1, 1)), abs=1e-6)


def test_local_and_world_are_inverse() -> None:
    local = Rotation.random(48, random_state=0).as_matrix().reshape(2, 24, 3, 3)
    np.testing.assert_allclose(cmu.to_local(to_world(local)), local, atol=1e-12)


def test_malformed_files_are_named_errors(tmp_path: Path) -> None:
    with pytest.raises(cmu.MocapError, match="cannot read"):
        cmu.read_asf(tmp_path / "none.asf")
    for name, reader in (("empty.asf", cmu.read_asf), ("empty.amc", cmu.read_amc)):
        (tmp_path / name).write_text("")
        with pytest.raises(cmu.MocapError):
            reader(tmp_path / name)
    (tmp_path / "humanoid3d_x.txt").write_text('{"Frames": [[1, 2]]}')
    with pytest.raises(cmu.MocapError, match="44"):
        deepmimic.deepmimic_clip(tmp_path / "humanoid3d_x.txt", {})
    with pytest.raises(cmu.MocapError, match="no humanoid3d"):
        deepmimic.load_deepmimic(tmp_path / "nowhere", {})


def test_truncated_last_frame_is_dropped(tmp_path: Path) -> None:
    write_amc(tmp_path / "a.amc", 4)
    text = (tmp_path / "a.amc").read_text()
    (tmp_path / "a.amc").write_text(text[: text.rindex("rtoes")])
    assert len(cmu.read_amc(tmp_path / "a.amc")["root"]) == 3


def test_everyday_poses_stay_within_joint_limits(rest_joints: np.ndarray) -> None:
    poses = everyday.everyday_poses(np.random.default_rng(0), 2000, rest_joints)
    assert poses.shape == (2000, 24, 3, 3)
    np.testing.assert_allclose(np.linalg.det(poses), 1, atol=1e-9)
    for knee in (4, 5):
        flexion = Rotation.from_matrix(poses[:, knee]).as_rotvec()[:, 0]
        assert flexion.min() > -1e-6 and flexion.max() < np.radians(160)
    ahead = poses[:, 0, :, 2]
    assert (ahead[:, 2] > 0).mean() > 0.99  # within the lean, everybody faces +z


def test_two_bone_reaches_its_target() -> None:
    rng = np.random.default_rng(1)
    target = rng.normal(size=(50, 3))
    target *= (0.2 + 0.28 * rng.random((50, 1))) / np.linalg.norm(target, axis=1, keepdims=True)
    for sign in (1.0, -1.0):
        shoulder, flex = gestures.two_bone(target, rng.normal(size=(50, 3)), 0.27, 0.23, sign)
        elbow = Rotation.from_rotvec(-sign * flex[:, None] * (0, 1, 0)).as_matrix()
        reached = shoulder @ (sign * 0.27, 0, 0) + (shoulder @ elbow) @ (sign * 0.23, 0, 0)
        np.testing.assert_allclose(reached, target, atol=1e-9)
