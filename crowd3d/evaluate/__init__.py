"""Scores of predicted people against the truth, from arrays or from files.

`scene_metrics` is the pure function of arrays; `largecrowd` and `evaluate` read files. Every number is
defined in `docs/metrics.md`.
"""

from __future__ import annotations

from crowd3d.evaluate.dataset import Evaluation, evaluate, largecrowd
from crowd3d.evaluate.metrics.joints import mpjpe_mm, mrpe_mm, pa_mpjpe_mm, pck, pve_mm
from crowd3d.evaluate.metrics.mupots import pck3d
from crowd3d.evaluate.metrics.oks import average_precision, oks_matrix
from crowd3d.evaluate.metrics.pairwise import depth_relations
from crowd3d.evaluate.metrics.roots import ap_root
from crowd3d.evaluate.metrics.scene import scene_metrics
from crowd3d.evaluate.metrics.threedpw import crowd_index
from crowd3d.evaluate.predictions import PredictedFrame, read_predictions
from crowd3d.evaluate.truth import read_truth

__all__ = [
    "Evaluation",
    "PredictedFrame",
    "ap_root",
    "average_precision",
    "crowd_index",
    "depth_relations",
    "evaluate",
    "largecrowd",
    "mpjpe_mm",
    "mrpe_mm",
    "oks_matrix",
    "pa_mpjpe_mm",
    "pck",
    "pck3d",
    "pve_mm",
    "read_predictions",
    "read_truth",
    "scene_metrics",
]
