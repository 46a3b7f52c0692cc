"""CMU Panoptic: `calibration_SEQUENCE.json` and `hdPose3d_stage1_coco19/body3DScene_*.json`, centimetres.

Joints are in the world frame, X_camera = R X + t; a joint of score -1 is unknown. One camera at a time is
read: `hdImgs/00_16/00_16_00000168.jpg` is frame 168 of camera 00_16, which the component papers use along
with 00_30.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from crowd3d.data.folders import natural_key
from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.errors import DataError
from crowd3d.files.arrays import FloatArray
from crowd3d.files.located_json import Node

_CM = 1e-2
_POSES = "hdPose3d_stage1_coco19"
# Of the nineteen joints, those that are COCO's seventeen, in COCO's order.
_COCO = [1, 15, 17, 16, 18, 3, 9, 4, 10, 5, 11, 6, 12, 7, 13, 8, 14]
_TORSO = [3, 9, 6, 12]


@dataclass(frozen=True)
class _View:
    """One calibrated camera; metres, pixels."""

    name: str
    size: tuple[int, int]
    K: FloatArray
    distortion: FloatArray
    R: FloatArray
    t_m: FloatArray


def recognises(path: Path) -> bool:
    """Whether a path looks like a Panoptic sequence."""
    return path.is_dir() and (path / _POSES).is_dir()


def load(path: str | Path, camera: str = "00_16") -> DataSet:
    """All frames of a sequence, as one of its cameras sees them.

    Pixels include the lens's distortion; `K` does not.

    Raises:
        DataError: no such camera; or names file, line and member of the first mistake.
    """
    folder = Path(path)
    files = sorted((folder / _POSES).glob("body3DScene_*.json"), key=lambda f: natural_key(f.name))
    calibrations = sorted(folder.glob("calibration*.json"))
    if not files or not calibrations:
        raise DataError(f"{folder} needs calibration_*.json and {_POSES}/body3DScene_*.json")
    view = _view(calibrations[0], camera)
    frames = {}
    for file in files:
        number = re.sub(r"\D", "", file.stem.removeprefix("body3DScene_"))
        frame = _read_frame(file, f"{view.name}_{number}.jpg", folder.name, view)
        frames[frame.image_name] = frame
    return DataSet("panoptic", frames)


def _view(path: Path, camera: str) -> _View:
    names = []
    for node in Node.read(path)["cameras"]:
        names.append(node["name"].text())
        if names[-1] != camera:
            continue
        width, height = (int(side) for side in node["resolution"].array(2))
        if min(width, height) < 1:
            node["resolution"].fail("a picture without a width or height")
        R = node["R"].array(3, 3)
        if np.abs(R @ R.T - np.eye(3)).max() > 1e-3:
            node["R"].fail("it is no rotation")
        K, lens, t = node["K"].array(3, 3), node["distCoef"].array(5), node["t"].array(3, 1)
        return _View(camera, (width, height), K, lens, R, t[:, 0] * _CM)
    raise DataError(f"{path} has no camera {camera!r}; there are {', '.join(names[:8])} ...")


def _read_frame(file: Path, name: str, scene: str, view: _View) -> FrameTruth:
    bodies = list(Node.read(file)["bodies"])
    frame = FrameTruth.unknown(name, scene, len(bodies), "panoptic19")
    frame.K, frame.size = view.K, view.size
    for i, body in enumerate(bodies):
        rows = body["joints19"].array(76).reshape(19, 4)
        joints = rows[:, :3] * _CM @ view.R.T + view.t_m
        joints[rows[:, 3] < 0] = np.nan
        frame.joints_m[i] = joints
        pixels = _project(joints, view)
        frame.keypoints_px[i, :, :2] = pixels[_COCO]
        known = np.isfinite(frame.keypoints_px[i, :, :2]).all(axis=1)
        frame.keypoints_px[i, :, 2] = np.where(known, 2.0, 0.0)
        if known.any():
            points = frame.keypoints_px[i, known, :2]
            frame.boxes_px[i] = (*points.min(axis=0), *points.max(axis=0))
    frame.torso_m = frame.joints_m[:, _TORSO].mean(axis=1)
    frame.values["id"] = np.array([body["id"].integer() for body in bodies], np.int64)
    return frame


def _project(joints_m: FloatArray, view: _View) -> FloatArray:
    """(J, 3) -> (J, 2) pixels; NaN for unknown joints and behind the camera."""
    pixels = np.full((len(joints_m), 2), np.nan)
    ahead = np.isfinite(joints_m).all(axis=1) & (np.nan_to_num(joints_m[:, 2]) > 0)
    if ahead.any():
        still = np.zeros(3)
        found = cv2.projectPoints(joints_m[ahead], still, still, view.K, view.distortion)[0]
        pixels[ahead] = found[:, 0]
    return pixels
