"""Scores of one picture's people against its truth, in two flavours. No bodies, no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from crowd3d.errors import DataError
from crowd3d.evaluate.metrics import bootstrap, matching
from crowd3d.evaluate.metrics.oks import oks_matrix
from crowd3d.evaluate.metrics.pairwise import TIE_M, PairTable, mean_of_pairs, pair_table

FloatArray = npt.NDArray[np.float64]
Flavour = Literal["largecrowd", "scene"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)

# The composite of the LargeCrowd evaluator.
WEIGHTS = {"PA-PPDS": 0.3, "SS": 0.2, "PCOD": 0.1, "OKS": 0.4}
REDUNDANCY_WEIGHT, REDUNDANCY_FREE = 0.5, 1.02
PAIRWISE = ("PPDS", "PA-PPDS", "PCOD")


@dataclass(frozen=True)
class SceneScore:
    """The scores of a picture, and what they were made of.

    Attributes:
        metrics: by public name; NaN where a number is undefined.
        pairs: (K, 2) rows: true person, predicted person.
        oks: (K,) of the pairs.
        table: of those pairs whose place in 3D is known on both sides; placed: (K,) which.
        n_pred, n_gt: how many people.
    """

    metrics: dict[str, float]
    pairs: matching.Pairs
    oks: FloatArray
    table: PairTable
    placed: npt.NDArray[np.bool_]
    n_pred: int
    n_gt: int


def scene_metrics(
    pred_keypoints_px: npt.ArrayLike,
    pred_torso_m: npt.ArrayLike,
    gt_keypoints_px: npt.ArrayLike,
    gt_area_px2: npt.ArrayLike,
    gt_torso_m: npt.ArrayLike,
    gt_hvip_m: npt.ArrayLike,
    flavour: Flavour = "largecrowd",
    *,
    gt_visible: npt.ArrayLike | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """PPDS, PA-PPDS, PCOD, OKS, recall, precision, F1, RP, SS and score of one picture.

    Args:
        pred_keypoints_px: (M, 17, 2) pixels, COCO order; pred_torso_m: (M, 3) camera frame.
        gt_keypoints_px: (N, 17, 2); gt_area_px2: (N,) of the box; gt_torso_m, gt_hvip_m: (N, 3), NaN = unknown.
        flavour: `largecrowd` as the benchmark's authors define them, `scene` with the known defects repaired.
        gt_visible: (N, 17) which keypoints count; only `scene` looks at it.
        seed: of the bootstrap over true people, which adds `interval`; only of `scene`. None = no intervals.

    Returns:
        Numbers by name, NaN where undefined; `n_pred`, `n_gt`, `n_matched`; `interval` by name.

    Raises:
        DataError: arrays of the wrong shape, or an unknown flavour.
    """
    score = score_scene(
        pred_keypoints_px, pred_torso_m, gt_keypoints_px, gt_area_px2, gt_torso_m, gt_hvip_m,
        flavour, gt_visible=gt_visible,
    )  # fmt: skip
    out: dict[str, Any] = dict(score.metrics)
    out |= {"n_pred": score.n_pred, "n_gt": score.n_gt, "n_matched": len(score.pairs)}
    if seed is not None and flavour == "scene":
        out["interval"] = intervals(score, seed)
    return out


def score_scene(
    pred_keypoints_px: npt.ArrayLike,
    pred_torso_m: npt.ArrayLike,
    gt_keypoints_px: npt.ArrayLike,
    gt_area_px2: npt.ArrayLike,
    gt_torso_m: npt.ArrayLike,
    gt_hvip_m: npt.ArrayLike,
    flavour: Flavour = "largecrowd",
    *,
    gt_visible: npt.ArrayLike | None = None,
) -> SceneScore:
    """What `scene_metrics` says, with the pairs and tables it comes from."""
    if flavour not in FLAVOURS:
        raise DataError(f"no flavour {flavour!r}; choose one of {', '.join(FLAVOURS)}")
    pred_px = _shaped("pred_keypoints_px", pred_keypoints_px, 17, 2)
    pred_m = _shaped("pred_torso_m", pred_torso_m, 3, n=len(pred_px))
    gt_px = _shaped("gt_keypoints_px", gt_keypoints_px, 17, 2)
    n = len(gt_px)
    area = _shaped("gt_area_px2", gt_area_px2, n=n)
    torso, hvip = (
        _shaped(k, v, 3, n=n) for k, v in (("gt_torso_m", gt_torso_m), ("gt_hvip_m", gt_hvip_m))
    )
    published = flavour == "largecrowd"
    visible = (
        None if published or gt_visible is None else _shaped("gt_visible", gt_visible, 17, n=n)
    )
    similarity = oks_matrix(pred_px, gt_px, area, visible)
    pairs = (matching.greedy if published else matching.hungarian)(similarity)
    true, found = pairs.T
    depth = (hvip if published else torso)[true, 2]
    placed = np.isfinite(pred_m[found]).all(axis=1) & np.isfinite(torso[true]).all(axis=1)
    placed &= np.isfinite(depth)
    table = pair_table(
        pred_m[found][placed], torso[true][placed], depth[placed], None if published else TIE_M
    )
    oks = similarity[true, found]
    metrics = (_published if published else _repaired)(table, oks, len(pred_px), n)
    return SceneScore(metrics, pairs, oks, table, placed, len(pred_px), n)


def detection_rates(n_matched: float, n_pred: float, n_gt: float) -> dict[str, float]:
    """recall, precision, F1 and RP; NaN where there is nobody to divide by, and 1 or 0 for RP without truth."""
    nan = float("nan")
    redundancy = (
        float(np.clip(n_pred / n_gt - REDUNDANCY_FREE, 0, 1)) if n_gt else float(n_pred > 0)
    )
    return {
        "recall": n_matched / n_gt if n_gt else nan,
        "precision": n_matched / n_pred if n_pred else nan,
        "F1": 2 * n_matched / (n_pred + n_gt) if n_pred + n_gt else nan,
        "RP": redundancy,
    }


def _published(table: PairTable, oks: FloatArray, n_pred: int, n_gt: int) -> dict[str, float]:
    """Every number times the recall; too few people for a pair count as 0."""
    rates = detection_rates(len(oks), n_pred, n_gt)
    r = rates["recall"]
    means = [np.nan_to_num(mean_of_pairs(t)) for t in (table.distance, table.aligned, table.order)]
    out = {name: float(r * mean) for name, mean in zip(PAIRWISE, means, strict=True)}
    out["OKS"] = r * float(oks.mean()) if len(oks) else 0.0 * r
    out |= rates
    out["SS"] = float(np.nan_to_num(_scale_score(table.scale))) if n_gt else float("nan")
    out["score"] = sum(w * out[k] for k, w in WEIGHTS.items()) - REDUNDANCY_WEIGHT * out["RP"]
    return out


def _repaired(table: PairTable, oks: FloatArray, n_pred: int, n_gt: int) -> dict[str, float]:
    """Geometry of those who were found; how many were found apart."""
    out = {
        "PPDS": float(mean_of_pairs(table.distance)),
        "PA-PPDS": float(mean_of_pairs(table.aligned)),
        "PCOD": float(mean_of_pairs(table.order)),
        "OKS": float(oks.mean()) if len(oks) else float("nan"),
    }
    out |= detection_rates(len(oks), n_pred, n_gt)
    out["SS"] = _scale_score(table.scale)
    out["score"] = repaired_score(out)
    return out


def repaired_score(metrics: dict[str, float]) -> float:
    """F1 times the weighted mean of what is defined of PA-PPDS, SS, PCOD and OKS; 0 if nobody was found."""
    defined = {k: w for k, w in WEIGHTS.items() if np.isfinite(metrics[k])}
    if not defined:
        return metrics["F1"]
    quality = sum(w * metrics[k] for k, w in defined.items()) / sum(defined.values())
    return float(metrics["F1"] * quality)


def _scale_score(scale: float) -> float:
    """The scale or its inverse, whichever is below 1."""
    if not np.isfinite(scale) or scale <= 0:
        return 0.0 if scale == 0 else float("nan")
    return float(min(scale, 1 / scale))


def intervals(score: SceneScore, seed: int) -> dict[str, bootstrap.Interval]:
    """95 % intervals from drawing the picture's true people again; pairs and alignment stay as they are."""
    matched = np.zeros(score.n_gt)
    matched[score.pairs[:, 0]] = 1
    weight = bootstrap.draws(score.n_gt, seed)
    if score.n_gt < 2:
        return {}
    of_pairs = weight[:, score.pairs[:, 0]]
    hits, false = weight @ matched, score.n_pred - len(score.pairs)
    drawn = weight.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "OKS": (of_pairs @ score.oks) / hits,
            "recall": hits / drawn,
            "precision": hits / (hits + false),
            "F1": 2 * hits / (drawn + hits + false),
        }
    tables = (score.table.distance, score.table.aligned, score.table.order)
    for name, table in zip(PAIRWISE, tables, strict=True):
        values[name] = np.asarray(mean_of_pairs(table, of_pairs[:, score.placed]))
    return {name: bootstrap.interval(v) for name, v in values.items()}


def _shaped(name: str, values: npt.ArrayLike, *row: int, n: int | None = None) -> FloatArray:
    array = np.asarray(values, np.float64)
    if array.size == 0 and (n or 0) == 0 and array.ndim <= 1:
        array = array.reshape(0, *row)
    if array.shape[1:] != row or array.ndim != 1 + len(row) or (n is not None and len(array) != n):
        wanted = " x ".join(map(str, ("any" if n is None else n, *row)))
        raise DataError(f"{name} has the shape {array.shape}, expected {wanted}")
    return array
