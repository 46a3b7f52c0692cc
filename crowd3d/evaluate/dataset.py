"""Scores of many pictures: means, intervals, scenes, and the people who are worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.errors import DataError
from crowd3d.evaluate.frames import FrameScore, ap_frame, score_frame
from crowd3d.evaluate.metrics import bootstrap
from crowd3d.evaluate.metrics.oks import average_precision
from crowd3d.evaluate.metrics.pairwise import binned_error
from crowd3d.evaluate.metrics.ranges import by_range
from crowd3d.evaluate.metrics.scene import (
    PAIRWISE,
    WEIGHTS,
    Flavour,
    detection_rates,
    intervals,
    repaired_score,
)
from crowd3d.evaluate.predictions import PredictedFrame, Source, read_predictions
from crowd3d.evaluate.truth import read_truth

FloatArray = npt.NDArray[np.float64]

NAMES = (*PAIRWISE, "OKS", "recall", "precision", "F1", "RP", "SS", "score")
_WORST = 20


@dataclass(frozen=True)
class Evaluation:
    """All the numbers of a comparison; every member is plain.

    Attributes:
        flavour: of the metrics. metrics: by name; interval: 95 % bounds by name.
        counts: pictures, people, pairs.
        scenes, frames: rows of the same metrics. worst: people, the farthest from their place first.
        bodies: errors of joints and roots; ap: average precision; bins: errors of distances by distance.
        ranges: recall and errors of place by distance from the camera.
        notes: what the reader must know to take the numbers rightly.
    """

    flavour: Flavour
    metrics: dict[str, float]
    interval: dict[str, tuple[float, float]]
    counts: dict[str, int]
    scenes: list[dict[str, Any]]
    frames: list[dict[str, Any]]
    worst: list[dict[str, Any]]
    bodies: dict[str, float | str]
    ap: dict[str, float]
    bins: list[dict[str, float | int | None]]
    ranges: list[dict[str, float | int | None]]
    people: list[dict[str, Any]] = field(repr=False)
    notes: list[str] = field(default_factory=list)


def largecrowd(
    pred: Source,
    gt: str | Path | DataSet | FrameTruth | Mapping[str, FrameTruth],
    body: str | Path | None = None,
) -> dict[str, float]:
    """LargeCrowd's numbers over all pictures of the truth: PPDS, PA-PPDS, PCOD, OKS, recall, RP, SS, score, ...

    Means over pictures; one without predictions counts as one in which nobody is found.

    Args:
        pred: whatever `read_predictions` reads; gt: whatever `read_truth` reads.
        body: file of the predictions' body if it is not the embedded one.

    Raises:
        DataError, SceneError, BodyError: what cannot be read, or has no picture in common.
    """
    frames, _ = score_all(read_predictions(pred, body), read_truth(gt), "largecrowd")
    return summary(frames, "largecrowd")


def evaluate(
    pred: Source,
    gt: str | Path | DataSet | FrameTruth | Mapping[str, FrameTruth],
    flavour: Flavour = "scene",
    *,
    body: str | Path | None = None,
    with_vertices: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Everything that can be said of predictions and their truth.

    Args:
        with_vertices: PVE too; body: as in `largecrowd`; seed: of the bootstrap.

    Raises:
        DataError, SceneError, BodyError: as `largecrowd`; or vertices of different bodies are asked for.
    """
    from crowd3d.evaluate.bodies import body_metrics

    frames, notes = score_all(read_predictions(pred, body), read_truth(gt), flavour)
    people = [row for frame in frames for row in _people(frame)]
    placed = [p for p in people if p["error_m"] is not None]
    worst = sorted(placed, key=lambda p: -p["error_m"])[:_WORST]
    scenes = list(dict.fromkeys(frame.scene for frame in frames))
    by_scene = {name: [f for f in frames if f.scene == name] for name in scenes}
    return Evaluation(
        flavour,
        summary(frames, flavour),
        interval_of_frames(frames, flavour, seed),
        _counts(frames),
        [{"scene": k, **_counts(v), **summary(v, flavour)} for k, v in by_scene.items()],
        [{"picture": f.name, "scene": f.scene, **_counts([f]), **f.score.metrics} for f in frames],
        worst,
        body_metrics(frames, body, with_vertices),
        average_precision([ap_frame(f.pred, f.gt) for f in frames]),
        binned_error([f.score.table for f in frames]),
        _ranges(people),
        people,
        notes + _remarks(frames, flavour),
    )


def score_all(
    pred: Mapping[str, PredictedFrame], gt: Mapping[str, FrameTruth], flavour: Flavour
) -> tuple[list[FrameScore], list[str]]:
    """Every picture of the truth scored, and notes on pictures that only one side has."""
    names = pair_names(list(pred), list(gt))
    frames = [
        score_frame(
            name, pred[found] if found is not None else PredictedFrame.nobody(), truth, flavour
        )
        for (name, truth), found in zip(gt.items(), names, strict=True)
    ]
    notes = []
    missing = [name for name, found in zip(gt, names, strict=True) if found is None]
    if missing:
        notes.append(
            f"{len(missing)} of {len(gt)} pictures have no predictions and count as nobody found: "
            + ", ".join(missing[:3])
        )
    extra = len(set(pred) - set(names))
    if extra:
        notes.append(f"{extra} predicted pictures have no truth and were left out")
    return frames, notes


def pair_names(pred: Sequence[str], gt: Sequence[str]) -> list[str | None]:
    """For each picture of the truth the predicted one: of the same path, else name, else name without ending.

    Raises:
        DataError: several predictions could be meant, or no picture is in common.
    """
    if len(pred) == len(gt) == 1:
        return [pred[0]]
    out: list[str | None] = []
    taken = set(pred)
    for name in gt:
        out.append(name if name in taken else _alike(name, pred))
    if gt and not any(out):
        raise DataError(
            f"predictions and truth have no picture in common; predicted: {_some(pred)}; truth: {_some(gt)}"
        )
    return out


def _alike(name: str, pred: Sequence[str]) -> str | None:
    for part in ("name", "stem"):
        found = [p for p in pred if getattr(PurePath(p), part) == getattr(PurePath(name), part)]
        if len(found) > 1:
            raise DataError(f"several predictions could be of {name}: {_some(found)}")
        if found:
            return found[0]
    return None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "") if names else "none"


def summary(frames: Sequence[FrameScore], flavour: Flavour) -> dict[str, float]:
    """One number a metric. `largecrowd`: means of pictures; `scene`: people pooled, pairs by picture."""
    weight = np.ones((1, len(frames)))
    return {name: float(v[0]) for name, v in _aggregated(frames, flavour, weight).items()}


def interval_of_frames(
    frames: Sequence[FrameScore], flavour: Flavour, seed: int
) -> dict[str, tuple[float, float]]:
    """95 % intervals: from drawing pictures again, or people if there is one picture."""
    if len(frames) == 1:
        return intervals(frames[0].score, seed) if flavour == "scene" else {}
    drawn = _aggregated(frames, flavour, bootstrap.draws(len(frames), seed))
    return {name: bootstrap.interval(values) for name, values in drawn.items()}


def _aggregated(
    frames: Sequence[FrameScore], flavour: Flavour, weight: FloatArray
) -> dict[str, FloatArray]:
    """(B, F) weights of pictures -> (B,) values by name."""
    value = {n: np.array([f.score.metrics[n] for f in frames], np.float64) for n in NAMES}
    if flavour == "largecrowd":
        asked = np.array([f.score.n_gt > 0 for f in frames], bool)
        return {n: _weighted_mean(np.where(asked, v, np.nan), weight) for n, v in value.items()}
    hits = weight @ np.array([len(f.score.pairs) for f in frames], np.float64)
    n_pred = weight @ np.array([f.score.n_pred for f in frames], np.float64)
    n_gt = weight @ np.array([f.score.n_gt for f in frames], np.float64)
    out = {name: _weighted_mean(value[name], weight) for name in (*PAIRWISE, "SS")}
    similar = weight @ np.array([f.score.oks.sum() for f in frames])
    out["OKS"] = np.where(hits > 0, similar / np.where(hits > 0, hits, 1), np.nan)
    rates = [detection_rates(*row) for row in zip(hits, n_pred, n_gt, strict=True)]
    out |= {name: np.array([rate[name] for rate in rates]) for name in rates[0]} if rates else {}
    rows = [
        repaired_score({k: float(out[k][b]) for k in (*WEIGHTS, "F1")}) for b in range(len(weight))
    ]
    out["score"] = np.array(rows)
    return {name: out[name] for name in NAMES}


def _weighted_mean(values: FloatArray, weight: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    total = weight @ known.astype(np.float64)
    mean = weight @ np.where(known, values, 0.0)
    return np.asarray(np.where(total > 0, mean / np.where(total > 0, total, 1), np.nan))


def _counts(frames: Sequence[FrameScore]) -> dict[str, int]:
    return {
        "pictures": len(frames),
        "people": sum(f.score.n_gt for f in frames),
        "predicted": sum(f.score.n_pred for f in frames),
        "matched": sum(len(f.score.pairs) for f in frames),
        "set_aside": sum(f.n_set_aside for f in frames),
    }


def _people(frame: FrameScore) -> list[dict[str, Any]]:
    """A row for every true person who counts; `predicted` is None for those not found."""
    rows, columns = frame.matched
    partner = dict(
        zip(
            rows.tolist(), zip(columns.tolist(), frame.score.oks.tolist(), strict=True), strict=True
        )
    )
    people = []
    for i in frame.true.tolist():
        j, oks = partner.get(i, (None, None))
        true = frame.gt.torso_m[i]
        error = None if j is None else float(np.linalg.norm(frame.pred.torso_m[j] - true))
        distance = float(np.linalg.norm(true))
        people.append(
            {
                "picture": frame.name,
                "person": i,
                "predicted": j,
                "OKS": oks,
                "error_m": error if error is not None and np.isfinite(error) else None,
                "distance_m": distance if np.isfinite(distance) else None,
                "height_px": float(frame.gt.boxes_px[i, 3] - frame.gt.boxes_px[i, 1]),
            }
        )
    return people


def _ranges(people: Sequence[Mapping[str, Any]]) -> list[dict[str, float | int | None]]:
    def column(key: str) -> list[float]:
        return [np.nan if p[key] is None else p[key] for p in people]

    found = [p["predicted"] is not None for p in people]
    return by_range(column("distance_m"), column("error_m"), found)


def _remarks(frames: Sequence[FrameScore], flavour: Flavour) -> list[str]:
    notes = []
    aside = sum(f.n_set_aside for f in frames)
    if aside:
        notes.append(f"{aside} predictions of ghosts, crowds or invalid annotations were set aside")
    if not any(len(f.score.table.gap_m) > 1 for f in frames):
        notes.append(
            "no picture has two matched people whose places are known: nothing to say of pairs"
        )
    bodies = {f.pred.body for f in frames if f.pred.body}
    of_truth = {f.gt.body for f in frames if f.gt.body}
    if bodies and of_truth and bodies != of_truth:
        notes.append(
            f"predictions are of the body {', '.join(sorted(bodies))}, the truth of "
            f"{', '.join(sorted(of_truth))}: vertices are not compared"
        )
    if flavour == "largecrowd":
        notes.append("recall is folded into PPDS, PA-PPDS, PCOD and OKS, as in the benchmark")
    return notes
