"""Ways to reconstruct a picture with known truth: presets, truth in place of single stages, and a baseline."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from shared import stages
from shared.stages import DEFAULT, ENGINES

import crowd3d
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.config import Config
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.plane import Plane
from crowd3d.synth import Truth
from tiling import open_image

FloatArray = npt.NDArray[np.float64]

_KEYPOINT_SCORE = 0.6  # of true keypoints that can be seen; hidden ones have score 0
_MIN_KEYPOINTS = 6  # that can be seen; people with fewer count as not found
_TINY_VARIANCE = 1e-12  # of a known camera
_TORSO = list(TORSO_KEYPOINTS)


@dataclass(frozen=True)
class Answer:
    """The result of one way for one picture; rows are people.

    Attributes:
        keypoints_px: (M, 17, 3); torso_m: (M, 3); keypoints_m: (M, 17, 3) or None; stature_m: (M,). All but the
            first are NaN for people without a place.
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


def whole(config: str | Config) -> Way:
    """The complete pipeline with a preset or a Config."""

    def run(image: Path, _: Truth) -> Answer:
        return answer_of(crowd3d.reconstruct(image, config=config))

    return run


def true_camera(image: Path, truth: Truth) -> Answer:
    """The complete pipeline, with known focal length and principal point."""
    return answer_of(crowd3d.reconstruct(image, camera=_camera(truth)))


def true_ground(image: Path, truth: Truth) -> Answer:
    """Camera and ground are known; people are found and lifted as usual."""
    return answer_of(on_true_ground(image, truth))


def on_true_ground(image: Path, truth: Truth, config: Config = DEFAULT) -> crowd3d.Scene:
    """The scene of people found in the picture, with the true camera and ground."""
    with open_image(image) as source:
        seen = stages.find(source, config, fixed=_true_fit(truth))
    return stages.scene_of(image.name, seen, _size_px(truth), config)


def true_keypoints(image: Path, truth: Truth) -> Answer:
    """Everybody who can be seen is given, with exact keypoints; camera and ground are fitted to them only."""
    people = _true_people(truth)
    seen = stages.seen_before(people, stages.fit(people, _size_px(truth)))
    return answer_of(stages.scene_of(image.name, seen, _size_px(truth)))


def true_keypoints_and_ground(image: Path, truth: Truth) -> Answer:
    """Exact keypoints, camera and ground are given; the pipeline only finds poses, statures and places."""
    seen = stages.seen_before(_true_people(truth), _true_fit(truth))
    return answer_of(stages.scene_of(image.name, seen, _size_px(truth)))


def boxes_and_constant_focal(image: Path, truth: Truth) -> Answer:
    """Baseline without a common ground: every box is a person of 1.70 m, and the focal length is constant.

    The focal length is the picture's diagonal, which is the convention of GigaCrowd's per-person methods.
    """
    with open_image(image) as source:
        people = stages.find(source).people
    size = _size_px(truth)
    camera = Camera(*size, math.hypot(*size), (size[0] / 2, size[1] / 2))
    stature = DEFAULT.stature_m
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
    "default": whole("default"),
    "fast": whole("fast"),
    "accurate": whole("accurate"),
    **{
        name: whole(DEFAULT.replace(engine=ENGINES[name]))
        for name in ("float32", "bfloat16", "torch")
    },
    "no straight edges": whole(DEFAULT.replace(straight_edges=False)),
    "true camera": true_camera,
    "true ground": true_ground,
    "true keypoints": true_keypoints,
    "true keypoints and ground": true_keypoints_and_ground,
    "boxes and constant focal": boxes_and_constant_focal,
}


def answer_of(scene: crowd3d.Scene) -> Answer:
    """The answer that a scene gives."""
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
    """(M, 17, 3) keypoints of the bodies, camera frame."""
    body = crowd3d.body.load(scene.body, "crowd")
    people = scene.people
    posed = body(
        *(
            torch.from_numpy(np.asarray(a, np.float32))
            for a in (people.pose, people.betas, people.transl_m)
        )
    )
    return np.asarray(body.keypoints(posed.vertices).double().numpy())


def _size_px(truth: Truth) -> tuple[int, int]:
    return int(truth.image_size[0]), int(truth.image_size[1])


def _camera(truth: Truth) -> Camera:
    u, v = (float(c) for c in truth.center_px)
    return Camera(*_size_px(truth), float(truth.focal_px), (u, v))


def _true_fit(truth: Truth) -> Fitted:
    """The true camera and planes as a fit result; the plane with most people comes first."""
    planes = [Plane(n, float(d)) for n, d in zip(truth.normals, truth.offsets_m, strict=True)]
    most = int(np.bincount(truth.plane, minlength=len(planes)).argmax())
    planes.insert(0, planes.pop(most))
    return Fitted(_camera(truth), planes, np.eye(4) * _TINY_VARIANCE, {"focal": "given"})


def _true_people(truth: Truth) -> Detections:
    """People with enough visible keypoints, as an exact estimator would find them."""
    keypoints = truth.keypoints_px.copy()
    keypoints[..., 2] = np.where(keypoints[..., 2] == 2, _KEYPOINT_SCORE, 0.0)
    seen = (keypoints[..., 2] > 0).sum(axis=1) >= _MIN_KEYPOINTS
    one = np.ones(seen.sum())
    none = np.zeros(len(one), np.int64)
    return Detections(one, one, truth.boxes_px[seen], keypoints[seen], none > 0, none)
