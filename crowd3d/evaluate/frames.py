"""One picture's predictions against its truth, with people who do not count set aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.data.truth import FrameTruth
from crowd3d.evaluate import truth as truths
from crowd3d.evaluate.metrics.oks import ApFrame
from crowd3d.evaluate.metrics.scene import Flavour, SceneScore, score_scene
from crowd3d.evaluate.predictions import PredictedFrame

FloatArray = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_EXCUSED_SHARE = 0.5  # of the located keypoints inside the box of somebody who does not count


@dataclass(frozen=True)
class FrameScore:
    """The scores of one picture.

    Attributes:
        name, scene: of the picture.
        score: its numbers and pairs; the pairs' rows are those of `true` and `found`.
        true: (N,) rows of the truth that count; found: (M,) rows of the predictions that count.
        n_set_aside: predictions of people who do not count.
        gt, pred: what was compared, everyone.
    """

    name: str
    scene: str
    score: SceneScore
    true: Indices
    found: Indices
    n_set_aside: int
    gt: FrameTruth
    pred: PredictedFrame

    @property
    def matched(self) -> tuple[Indices, Indices]:
        """Rows of the truth and of the predictions that belong together."""
        rows, columns = self.score.pairs.T
        return self.true[rows], self.found[columns]


def score_frame(name: str, pred: PredictedFrame, gt: FrameTruth, flavour: Flavour) -> FrameScore:
    """Match and score one picture.

    Ghosts, crowds and invalid annotations need not be found, and an unmatched prediction of which half the
    keypoints lie in the box of one is no mistake: it is set aside.
    """
    asked = truths.is_asked(gt)
    true, found = np.flatnonzero(asked), np.arange(len(pred))
    score = _scored(pred, gt, true, found, flavour)
    excused = _excused(pred.keypoints_px, gt.boxes_px[~asked])
    excused[score.pairs[:, 1]] = False
    if excused.any():
        found = np.flatnonzero(~excused)
        score = _scored(pred, gt, true, found, flavour)
    return FrameScore(name, gt.scene, score, true, found, int(excused.sum()), gt, pred)


def _scored(
    pred: PredictedFrame, gt: FrameTruth, true: Indices, found: Indices, flavour: Flavour
) -> SceneScore:
    return score_scene(
        pred.keypoints_px[found],
        pred.torso_m[found],
        gt.keypoints_px[true, :, :2],
        truths.areas_px2(gt)[true],
        gt.torso_m[true],
        gt.hvip_m[true],
        flavour,
        gt_visible=truths.counted_keypoints(gt.keypoints_px[true]),
    )


def _excused(keypoints_px: FloatArray, boxes_px: FloatArray) -> npt.NDArray[np.bool_]:
    """(M,) predictions of which half the keypoints lie in one of the boxes."""
    out = np.zeros(len(keypoints_px), bool)
    located = np.maximum(np.isfinite(keypoints_px).all(axis=2).sum(axis=1), 1)
    for box in boxes_px[np.isfinite(boxes_px).all(axis=1)]:
        inside = ((keypoints_px >= box[:2]) & (keypoints_px <= box[2:])).all(axis=2).sum(axis=1)
        out |= inside >= _EXCUSED_SHARE * located
    return out


def ap_frame(pred: PredictedFrame, gt: FrameTruth) -> ApFrame:
    """The picture for COCO's average precision: every labelled keypoint counts, hidden or seen."""
    located = np.isfinite(gt.keypoints_px[..., :2]).all(axis=2)
    return ApFrame(
        pred.keypoints_px,
        pred.score,
        gt.keypoints_px[..., :2],
        located & (gt.keypoints_px[..., 2] > 0),
        truths.areas_px2(gt),
        ~(truths.is_asked(gt) & (located & (gt.keypoints_px[..., 2] > 0)).any(axis=1)),
        gt.boxes_px,
        gt.is_ignored,
    )
