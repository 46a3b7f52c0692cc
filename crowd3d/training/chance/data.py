"""Candidates in rendered pictures, with what is known of them and whether they are people."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from crowd3d.config import Config
from crowd3d.detect.chance import Clues
from crowd3d.detect.detector import Detector
from crowd3d.detect.selection import candidates
from crowd3d.evaluate.metrics.oks import oks_matrix
from crowd3d.picture.reading import Reading
from crowd3d.pipeline.search import Search
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.plane import Plane
from crowd3d.scene.sizes import HEAD_OF_STATURE
from crowd3d.synth import Truth
from tiling import open_image

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# A candidate is a person if its head is at most so many heads from theirs, or if its keypoints are so similar.
_AT_HEAD, _SIMILAR = 0.8, 0.5
_RATIO = 2.0  # most factor between its height and theirs
_HIDDEN = 0.05  # people of whom less is seen are nobody's, and nobody


class Examples(NamedTuple):
    """Candidates of pictures.

    Attributes:
        clues: of N; is_person: (N,).
        missed: people who can be seen and have no candidate.
    """

    clues: Clues
    is_person: BoolArray
    missed: int


def examples_of(folder: Path, detector: Detector, config: Config) -> tuple[Examples, Examples]:
    """The candidates of a rendered picture, its ground being known and not known.

    Args:
        folder: holds `image.jpg` and `truth.npz`, as `crowd3d synth` writes them.
    """
    truth = Truth.load(folder / "truth.npz")
    with open_image(folder / "image.jpg", max_pixels=config.max_pixels) as source:
        known = KnownCamera((source.width, source.height))
        search = Search.begin(Reading(source), detector, known, config)
        fitted = fitted_of(truth)
        found = search.closer(fitted)
    return _labelled(found, fitted, truth, config), _labelled(found, None, truth, config)


def fitted_of(truth: Truth) -> Fitted:
    """The true camera and ground."""
    width, height = (int(side) for side in truth.image_size)
    center = (float(truth.center_px[0]), float(truth.center_px[1]))
    camera = Camera(width, height, float(truth.focal_px), center)
    planes = [
        Plane(normal, float(offset_m))
        for normal, offset_m in zip(truth.normals, truth.offsets_m, strict=True)
    ]
    return Fitted(camera, planes[:1], np.eye(4) * 1e-6, {})


def _labelled(found: Detections, fitted: Fitted | None, truth: Truth, config: Config) -> Examples:
    joined, known = candidates(found, fitted, config)
    likely = joined.evidence.sum(axis=1)
    order = np.argsort(-likely, kind="stable")
    cost = _costs(joined.people, truth)
    is_person, is_found = np.zeros(len(order), bool), np.zeros(len(truth), bool)
    for row in order:  # whoever comes second is another candidate for somebody who is found already
        at = np.where(is_found, np.inf, cost[row])
        if len(at) and at.min() <= 1:
            is_person[row] = is_found[at.argmin()] = True
    ears = truth.keypoints_px[:, [3, 4]]
    inside = ((ears[..., :2] > 0) & (ears[..., :2] < truth.image_size)).all(axis=(1, 2))
    is_seen = truth.visibility > _HIDDEN
    missed = int((is_seen & inside & ~is_found).sum())
    # A second look at somebody hidden teaches nothing; neither does what is nearly out of sight.
    near_hidden = (cost[:, ~is_seen] <= 1).any(axis=1) & ~is_person
    kept = Clues(*(part[~near_hidden] for part in known))
    return Examples(kept, is_person[~near_hidden], missed)


def _costs(people: Detections, truth: Truth) -> FloatArray:
    """(N, M) how far candidates are from people, at most 1 if they may be the same."""
    heads_px = truth.keypoints_px[:, [3, 4], :2].mean(axis=1)
    depth_m = np.maximum(truth.keypoints_m[:, [3, 4], 2].mean(axis=1), 1e-3)
    stature_px = float(truth.focal_px) * truth.stature_m / depth_m
    away = np.linalg.norm(people.head_middle_px[:, None] - heads_px[None], axis=2)
    by_head = away / (_AT_HEAD * HEAD_OF_STATURE * stature_px)
    height = people.box_px[:, 3] - people.box_px[:, 1]
    ratio = np.abs(np.log(np.maximum(height, 1e-3)[:, None] / stature_px[None]))
    by_head[ratio > np.log(_RATIO) + 0.7 * people.by_head[:, None]] = np.inf
    box = truth.boxes_px
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    similar = oks_matrix(people.keypoints_px[..., :2], truth.keypoints_px[..., :2], area).T
    by_body = np.where(people.by_head[:, None], np.inf, (1 - similar) / (1 - _SIMILAR))
    return np.asarray(np.minimum(by_head, by_body))
