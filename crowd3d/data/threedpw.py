"""3DPW: `sequenceFiles/SPLIT/SEQUENCE.pkl`, converted once, and the component papers' JSON.

The pickles become `.npz` by `crowd3d data convert`; then `poses/0`, `poses/1`, ... are the people. Poses,
places and joints are in a world frame that `cam_poses` turns into the camera's, metres.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from crowd3d.body.tree import TORSO_JOINTS
from crowd3d.data.coco import by_image, new_frame
from crowd3d.data.folders import natural_key
from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.errors import DataError
from crowd3d.files.arrays import FloatArray, checked, load_arrays
from crowd3d.files.located_json import Node, begins_with

# The two validation sequences of 3DPW-Crowd.
CROWD = ("courtyard_hug_00", "courtyard_dancing_00")
# OpenPose's eighteen (nose, neck, right arm, left arm, right leg, left leg, eyes, ears) in COCO's order.
_FROM_OPENPOSE = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
_NEEDED = ("sequence", "cam_intrinsics", "cam_poses")


def recognises(path: Path) -> bool:
    """Whether a path looks like 3DPW."""
    return bool(_files(path)) or begins_with(path, '"cam_param"')


def load(path: str | Path, crowd: bool = False) -> DataSet:
    """All frames of the sequences below a folder, of one converted sequence, or of the JSON file.

    Frames of sequences are named `SEQUENCE/image_00000.jpg`.

    Args:
        crowd: only the sequences of 3DPW-Crowd.

    Raises:
        DataError: names the file and the key of the first mistake; or there are only pickles.
    """
    path = Path(path)
    if path.suffix == ".json":
        return _load_json(path, crowd)
    files = [f for f in _files(path) if not crowd or f.stem in CROWD]
    if not files:
        pickles = sorted(path.rglob("*.pkl"))
        hint = (
            f"; convert {pickles[0]} and the others with `crowd3d data convert`" if pickles else ""
        )
        raise DataError(f"{path} has no converted sequence (.npz){hint}")
    frames: dict[str, FrameTruth] = {}
    for file in files:
        frames |= _read_sequence(file)
    return DataSet("threedpw", frames)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".npz" and "cam_poses" in load_arrays(path) else []
    folders = [*path.glob("sequenceFiles/*/*.npz"), *path.glob("*.npz")]
    return sorted(folders, key=lambda file: natural_key(file.name))


def _read_sequence(file: Path) -> dict[str, FrameTruth]:
    arrays = load_arrays(file)
    missing = [key for key in (*_NEEDED, "poses/0") if key not in arrays]
    if missing:
        raise DataError(f"{file} has no {', '.join(missing)}; is it a converted 3DPW sequence?")
    n_people = sum(key.startswith("poses/") for key in arrays)
    cameras = checked(arrays["cam_poses"], (-1, 4, 4), f"{file}: cam_poses")
    K = checked(arrays["cam_intrinsics"], (3, 3), f"{file}: cam_intrinsics")
    people = [_Person(arrays, file, i, len(cameras)) for i in range(n_people)]
    sequence = str(arrays["sequence"])
    frames = {}
    for t, world_to_camera in enumerate(cameras):
        name = f"{sequence}/image_{t:05d}.jpg"
        frame = FrameTruth.unknown(name, sequence, n_people)
        R, shift = world_to_camera[:3, :3], world_to_camera[:3, 3]
        for i, person in enumerate(people):
            frame.joints_m[i] = person.joints[t] @ R.T + shift
            frame.pose[i] = person.pose[t]
            frame.pose[i, 0] = (
                Rotation.from_matrix(R) * Rotation.from_rotvec(person.pose[t, 0])
            ).as_rotvec()
            frame.betas[i], frame.gender[i] = person.betas, person.gender
            frame.keypoints_px[i], frame.boxes_px[i] = person.keypoints(t)
            frame.is_ignored[i] = not person.valid[t]
        frame.torso_m = frame.joints_m[:, TORSO_JOINTS].mean(axis=1)
        frame.K, frame.body = K, "smpl"
        frames[name] = frame
    return frames


class _Person:
    """One person's rows over a sequence, in the world frame."""

    def __init__(self, arrays: dict[str, npt.NDArray[Any]], file: Path, i: int, n: int) -> None:
        def rows(key: str, *shape: int) -> FloatArray:
            if f"{key}/{i}" not in arrays:
                raise DataError(f"{file} has no {key}/{i}")
            return checked(arrays[f"{key}/{i}"], shape, f"{file}: {key}/{i}")

        self.pose = rows("poses", n, 72).reshape(n, 24, 3)
        self.betas = rows("betas", -1)[:10]
        self.joints = rows("jointPositions", n, 72).reshape(n, 24, 3)
        self.gender = {"m": "male", "f": "female"}.get(str(arrays.get(f"genders/{i}")), "neutral")
        self.poses2d = rows("poses2d", n, 3, 18)
        valid = f"campose_valid/{i}"
        self.valid = rows("campose_valid", n) > 0 if valid in arrays else np.ones(n, bool)
        if len(self.betas) < 10:
            raise DataError(f"{file}: betas/{i} has {len(self.betas)} values, 10 are needed")

    def keypoints(self, t: int) -> tuple[FloatArray, FloatArray]:
        """(17, 3) COCO keypoints as OpenPose saw them, and the (4,) box around them."""
        return _coco_of(self.poses2d[t].T)


def _coco_of(openpose: FloatArray) -> tuple[FloatArray, FloatArray]:
    points = openpose[_FROM_OPENPOSE].copy()
    seen = points[:, 2] > 0
    points[:, 2] = np.where(seen, 2.0, 0.0)
    points[~seen, :2] = np.nan
    if not seen.any():
        return points, np.full(4, np.nan)
    return points, np.concatenate([points[seen, :2].min(axis=0), points[seen, :2].max(axis=0)])


def _load_json(path: Path, crowd: bool) -> DataSet:
    """`3DPW_*.json` of the component papers: COCO's layout with cameras and SMPL parameters."""
    frames = {}
    for image, people in by_image(Node.read(path)):
        sequence = image["sequence"].text()
        if crowd and sequence not in CROWD:
            continue
        frame = new_frame(image, people)
        frame.scene, frame.image_name = sequence, f"{sequence}/{frame.image_name}"
        camera = image["cam_param"]
        (fx, fy), (cx, cy) = camera["focal"].array(2), camera["princpt"].array(2)
        frame.K, frame.body = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), "smpl"
        for i, person in enumerate(people):
            smpl = person["smpl_param"]
            frame.pose[i] = smpl["pose"].array(72).reshape(24, 3)
            frame.betas[i], frame.transl_m[i] = smpl["shape"].array(10), smpl["trans"].array(3)
            frame.gender[i] = smpl["gender"].one_of("neutral", "male", "female")
            frame.joints_m[i] = person["joint_cam"].array(24, 3)
            frame.keypoints_px[i] = _coco_of(person["openpose_result"].array(54).reshape(18, 3))[0]
        frame.torso_m = frame.joints_m[:, TORSO_JOINTS].mean(axis=1)
        frames[frame.image_name] = frame
    return DataSet("threedpw", frames)
