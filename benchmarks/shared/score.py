"""Scores of a reconstructed crowd against its truth, and table columns that show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import roma
import torch
from shared.results import Cell, Table
from shared.ways import Answer

from crowd3d import Scene, evaluate
from crowd3d.evaluate.metrics import matching
from crowd3d.maths import posterior
from crowd3d.synth import Truth
from crowd3d.training.lift.metrics import JUDGED

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Row = dict[str, Any]
"""All scores of one picture."""

# People who must be found: least height, visible share, and share inside the picture.
MIN_HEIGHT_PX, MIN_VISIBLE, MIN_INSIDE = 60.0, 0.3, 0.5
SMALL_PX = (25.0, 60.0)  # heights of people whom a large picture shows far away
_BANDS_PX = (0.0, 40.0, 60.0, 100.0, 160.0, np.inf)
LIMBS = slice(5, 17)  # shoulders to ankles
_MASS = 0.9  # probability that an interval claims to contain
_VISIBLE = 2  # flag of a keypoint that can be seen


def visible_people(truth: Truth) -> BoolArray:
    """(N,) whether a person can be seen well enough to be required."""
    return np.asarray((truth.visibility >= MIN_VISIBLE) & (truth.inside >= MIN_INSIDE))


def matched(keypoints_px: FloatArray, truth: Truth) -> IntArray:
    """(K, 2) rows of truth and answer that belong to the same person, matched by visible keypoints."""
    box = truth.boxes_px
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    seen = truth.keypoints_px[..., 2] == _VISIBLE
    similarity = evaluate.oks_matrix(keypoints_px[..., :2], truth.keypoints_px[..., :2], area, seen)
    return matching.hungarian(similarity)


def score(answer: Answer, truth: Truth) -> Row:
    """All scores of one answer; shares and relative errors are fractions, not per cent."""
    pairs = matched(answer.keypoints_px, truth)
    row = _found(pairs, len(answer.torso_m), truth) | _camera(answer, truth)
    box = truth.boxes_px
    for flavour in ("largecrowd", "scene"):
        row[flavour] = evaluate.scene_metrics(
            answer.keypoints_px[..., :2],
            answer.torso_m,
            truth.keypoints_px[..., :2],
            (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]),
            truth.torso_m,
            truth.hvip_m,
            flavour=flavour,
            gt_visible=truth.keypoints_px[..., 2] == _VISIBLE,
        )
    pairs = with_place(answer, pairs)
    return row | _bodies(answer, truth, pairs) if len(pairs) else row


def with_place(answer: Answer, pairs: IntArray) -> IntArray:
    """The pairs whose person of the answer has a place in 3D."""
    return pairs[np.isfinite(answer.torso_m[pairs[:, 1]]).all(axis=1)]


def _found(pairs: IntArray, answers: int, truth: Truth) -> Row:
    """Recall and precision, in total and by height; it is no error to find a person who is not required."""
    found = np.zeros(len(truth), bool)
    found[pairs[:, 0]] = True
    wanted = visible_people(truth)
    height_px = truth.boxes_px[:, 3] - truth.boxes_px[:, 1]
    bands = {
        f"{low:g}-{high:g}": recall(found[wanted], height_px[wanted], low, high)
        for low, high in pairwise(_BANDS_PX)
    }
    return {
        "people": len(truth),
        "answers": answers,
        "recall_60": recall(found[wanted], height_px[wanted], MIN_HEIGHT_PX),
        "recall_25_60": recall(found[wanted], height_px[wanted], *SMALL_PX),
        "precision": len(pairs) / max(answers, 1),
        "recall_by_height": {band: share for band, share in bands.items() if share is not None},
    }


def recall(
    found: BoolArray, height_px: FloatArray, low_px: float, high_px: float = np.inf
) -> float | None:
    """Share of the people over the one height and up to the other who are found; None if there are none."""
    band = (height_px > low_px) & (height_px <= high_px)
    return float(found[band].mean()) if band.any() else None


def _camera(answer: Answer, truth: Truth) -> Row:
    """Errors of the camera and of the first plane."""
    return {
        "focal": answer.focal_px / float(truth.focal_px) - 1,
        "height": answer.offset_m / float(truth.offsets_m[0]) - 1,
        "normal_deg": apart_deg(answer.normal, truth.normals[0]),
        "gravity_deg": apart_deg(-answer.normal, truth.gravity),
    }


def apart_deg(one: FloatArray, other: FloatArray) -> float:
    """Angle between two directions (3,) in degrees."""
    sine = np.linalg.norm(np.cross(one, other))
    return float(np.degrees(np.arctan2(sine, one @ other)))


def _bodies(answer: Answer, truth: Truth, pairs: IntArray) -> Row:
    """Errors of places, statures and poses of the people who were found and placed."""
    true, pred = pairs.T
    error_m = np.linalg.norm(answer.torso_m[pred] - truth.torso_m[true], axis=1)
    distance_m = np.linalg.norm(truth.torso_m[true], axis=1)
    stature_m = np.abs(answer.stature_m[pred] - truth.stature_m[true])
    row = {
        "position": float(np.median(error_m / distance_m)),
        "position_m": float(np.median(error_m)),
        "stature_m": float(np.median(stature_m)),
    }
    if answer.keypoints_m is not None:
        errors_mm = evaluate.pa_mpjpe_mm(
            answer.keypoints_m[pred][:, LIMBS], truth.keypoints_m[true][:, LIMBS]
        )
        row["pa_mpjpe_mm"] = float(np.nanmean(errors_mm))
    return row


def intervals_hold(scene: Scene, truth: Truth, true: IntArray, pred: IntArray) -> BoolArray:
    """(K, J) whether each true rotation lies within the angle that claims to contain 90 % of the probability.

    Args:
        true, pred: (K,) rows of the truth and of the scene that belong to the same person.
    """
    fisher = torch.from_numpy(scene.people.fisher[pred][:, list(JUDGED)])
    rotation = roma.rotvec_to_rotmat(torch.from_numpy(truth.pose[true][:, list(JUDGED)]))
    error = posterior.angle_between(posterior.mode(fisher), rotation)
    return np.asarray((error < posterior.credible_angle(fisher, _MASS)).numpy())


@dataclass(frozen=True)
class Column:
    """A score as a table column: heading, template of `str.format`, and a function that takes it from a row."""

    heading: str
    form: str
    value: Callable[[Row], float | None]


def percent(name: str) -> Callable[[Row], float | None]:
    return lambda row: None if row.get(name) is None else 100 * row[name]


PPDS = Column("PPDS", "{:.3f}", lambda r: r["scene"]["PPDS"])
PA_MPJPE = Column("PA-MPJPE mm", "{:.1f}", lambda r: r.get("pa_mpjpe_mm"))
POSITION = Column("position / distance", "{:.1f} %", percent("position"))
FOCAL = Column("focal length", "{:.1f} %", percent("focal"))
HEIGHT = Column("height", "{:.1f} %", percent("height"))
SECONDS = Column("s", "{:.1f}", lambda r: r["seconds"])
COLUMNS = (
    PPDS,
    Column("PA-PPDS", "{:.3f}", lambda r: r["scene"]["PA-PPDS"]),
    Column("PCOD", "{:.3f}", lambda r: r["scene"]["PCOD"]),
    Column("recall", "{:.3f}", lambda r: r["recall_60"]),
    Column("precision", "{:.3f}", lambda r: r["precision"]),
    PA_MPJPE,
    POSITION,
    Column("stature m", "{:.3f}", lambda r: r.get("stature_m")),
    FOCAL,
    HEIGHT,
    Column("normal, degrees", "{:.2f}", lambda r: r["normal_deg"]),
    Column("score", "{:.3f}", lambda r: r["largecrowd"]["score"]),
    SECONDS,
)


def scene_table(
    rows: dict[str, Row],
    columns: Sequence[Column] = COLUMNS,
    title: str = "",
    heading: str = "scene",
) -> Table:
    """A table with a line for each scene."""
    return _table(heading, {name: [row] for name, row in rows.items()}, columns, title)


def means_table(
    groups: dict[str, dict[str, Row]],
    columns: Sequence[Column] = COLUMNS,
    heading: str = "scenes",
) -> Table:
    """A table with a line for each group of scenes: the mean absolute value of each column."""
    lines = {name: list(rows.values()) for name, rows in groups.items()}
    return _table(heading, lines, columns, "")


def _table(
    heading: str, lines: dict[str, list[Row]], columns: Sequence[Column], title: str
) -> Table:
    """A table with a line for each name. A single row is shown as it is, several by `mean_size`."""
    cells: list[list[Cell]] = [
        [name, *(mean_size([column.value(row) for row in rows]) for column in columns)]
        for name, rows in lines.items()
    ]
    return Table({heading: "{}"} | {c.heading: c.form for c in columns}, cells, title)


def mean_size(values: list[float | None]) -> float | None:
    """Mean absolute value of the known values; if there is only one value, the value with its sign."""
    known = [v for v in values if v is not None and np.isfinite(v)]
    if len(values) == 1 and known:
        return float(known[0])
    return float(np.mean(np.abs(known))) if known else None
