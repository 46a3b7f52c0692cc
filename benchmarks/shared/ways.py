"""Ways to reconstruct a picture whose truth is known: presets, truth in place of stages, a plain baseline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

import crowd3d
from crowd3d import config as configs
from crowd3d.config import Config
from crowd3d.detect.detector import Detector
from crowd3d.ground.fit import fit_camera
from crowd3d.pipeline import assemble
from crowd3d.pipeline.find import Seen, find_people
from crowd3d.pipeline.networks import build_detector
from crowd3d.progress import Progress
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.plane import Plane
from crowd3d.synth import Truth
from tiling import ImageSource, open_image

FloatArray = npt.NDArray[np.float64]

_KEYPOINT_SCORE = 0.6  # of true keypoints that are seen; hidden ones have none
_TINY_VARIANCE = 1e-12
_TORSO = [5, 6, 11, 12]
_DEFAULT = configs.load("default")


@dataclass(frozen=True)
class Answer:
    """What one way says of one picture; rows are people.

    Attributes:
        keypoints_px: (M, 17, 3); torso_m: (M, 3); keypoints_m: (M, 17, 3) or None; stature_m: (M,).
        focal_px, normal, offset_m: camera and first plane.
    """

    keypoints_px: FloatArray
    torso_m: FloatArray
    keypoints_m: FloatArray | None
    stature_m: FloatArray
    focal_px: float
    normal: FloatArray
    offset_m: float


Way = Callable[[Path, Truth], Answer]


def preset(name: str) -> Way:
    """The whole pipeline with a preset."""

    def run(image: Path, _: Truth) -> Answer:
        return answer_of(crowd3d.reconstruct(image, config=name))

    return run


def true_camera(image: Path, truth: Truth) -> Answer:
    """Focal length and principal point known."""
    return answer_of(crowd3d.reconstruct(image, camera=_camera(truth)))


def true_ground(image: Path, truth: Truth) -> Answer:
    """Camera and ground known; people found and lifted as ever."""
    return answer_of(on_true_ground(image, truth))


def on_true_ground(image: Path, truth: Truth, config: Config = _DEFAULT) -> crowd3d.Scene:
    """The scene with camera and ground as they are."""
    with open_image(image) as source:
        return _finish(image, _look(source, _fitted(truth), config), config)


def true_keypoints(image: Path, truth: Truth) -> Answer:
    """Everybody who can be seen is found, with exact seen keypoints; camera, ground and poses as ever."""
    people = _true_people(truth)
    with open_image(image) as source:
        fitted = fit_camera(people, source, None, _DEFAULT, free_center=True)
    return answer_of(_finish(image, Seen(people, fitted, 0, len(people), 0)))


def true_keypoints_and_ground(image: Path, truth: Truth) -> Answer:
    """Only poses, statures and places are left to the pipeline."""
    return answer_of(_finish(image, Seen(_true_people(truth), _fitted(truth), 0, 0, 0)))


def boxes_and_constant_focal(image: Path, truth: Truth) -> Answer:
    """No common ground: every box is a person of 1.70 m before a camera whose focal length is the diagonal.

    That is the convention of GigaCrowd's per-person methods (focal length = picture diagonal).
    """
    with open_image(image) as source:
        people = _look(source).people
    size = (int(truth.image_size[0]), int(truth.image_size[1]))
    camera = Camera(*size, math.hypot(*size), (size[0] / 2, size[1] / 2))
    stature = _DEFAULT.stature_m
    height_px = people.box_px[:, 3] - people.box_px[:, 1]
    rays = camera.rays(people.keypoints_px[:, _TORSO, :2].mean(axis=1))
    depth = camera.focal_px * stature / height_px
    torso = rays / rays[:, 2:] * depth[:, None]
    return Answer(
        people.keypoints_px,
        torso,
        None,
        np.full(len(people), stature),
        camera.focal_px,
        np.array([0.0, -1.0, 0.0]),
        math.nan,
    )


WAYS: dict[str, Way] = {
    "default": preset("default"),
    "fast": preset("fast"),
    "accurate": preset("accurate"),
    "true camera": true_camera,
    "true ground": true_ground,
    "true keypoints": true_keypoints,
    "true keypoints and ground": true_keypoints_and_ground,
    "boxes and constant focal": boxes_and_constant_focal,
}


def answer_of(scene: crowd3d.Scene) -> Answer:
    """What a scene says."""
    people = scene.people
    plane = scene.planes[0] if scene.planes else Plane(np.array([0.0, -1.0, 0.0]), math.nan)
    return Answer(
        people.keypoints_px,
        people.torso_m,
        _keypoints_m(scene),
        people.stature_m,
        scene.camera.focal_px,
        plane.normal,
        plane.offset_m,
    )


def _keypoints_m(scene: crowd3d.Scene) -> FloatArray:
    """(M, 17, 3) of the bodies, camera frame."""
    import torch

    body = crowd3d.body.load(scene.body, "crowd")
    people = scene.people
    posed = body(
        *(
            torch.from_numpy(np.asarray(a, np.float32))
            for a in (people.pose, people.betas, people.transl_m)
        )
    )
    return np.asarray(body.keypoints(posed.vertices).double().numpy())


@cache
def _detector() -> Detector:
    return build_detector(None, "auto", _DEFAULT)


def _look(source: ImageSource, fixed: Fitted | None = None, config: Config = _DEFAULT) -> Seen:
    return find_people(source, _detector(), None, config, Progress(enabled=False), fixed=fixed)


def _finish(image: Path, seen: Seen, config: Config = _DEFAULT) -> crowd3d.Scene:
    with open_image(image) as source:
        size = (source.width, source.height)
    return assemble.to_scene(image.name, seen, None, config, size)


def _camera(truth: Truth) -> Camera:
    width, height = (int(v) for v in truth.image_size)
    u, v = (float(c) for c in truth.center_px)
    return Camera(width, height, float(truth.focal_px), (u, v))


def _fitted(truth: Truth) -> Fitted:
    planes = [Plane(n, float(d)) for n, d in zip(truth.normals, truth.offsets_m, strict=True)]
    most = int(np.bincount(truth.plane, minlength=len(planes)).argmax())
    planes.insert(0, planes.pop(most))
    return Fitted(_camera(truth), planes, np.eye(4) * _TINY_VARIANCE, {"focal": "given"})


def _true_people(truth: Truth) -> Detections:
    keypoints = truth.keypoints_px.copy()
    keypoints[..., 2] = np.where(keypoints[..., 2] == 2, _KEYPOINT_SCORE, 0.0)
    seen = (keypoints[..., 2] > 0).sum(axis=1) >= 6
    one = np.ones(seen.sum())
    none = np.zeros(len(one), np.int64)
    return Detections(one, one, truth.boxes_px[seen], keypoints[seen], none > 0, none)
