"""What the benchmarks on generated crowds share: rendering once, scoring against the truth, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shared.ways import Answer

from crowd3d import evaluate
from crowd3d.evaluate.metrics import matching
from crowd3d.synth import Truth, synthesize

FloatArray = npt.NDArray[np.float64]
Column = Callable[[dict[str, Any]], float | None]

MIN_HEIGHT_PX, MIN_VISIBLE = 60.0, 0.3  # who must be found
_BANDS_PX = (0.0, 40.0, 60.0, 100.0, 160.0, np.inf)
LIMBS = slice(5, 17)  # shoulders to ankles


@dataclass(frozen=True)
class Crowd:
    """One scene: how it is made."""

    name: str
    preset: str
    size: tuple[int, int]
    people: int
    seed: int


def rendered(crowd: Crowd, cache: Path) -> tuple[Path, Truth]:
    """The picture and its truth, drawn unless they are there."""
    folder = cache / crowd.name
    if not (folder / "camera.json").exists():  # written last
        synthesize(
            folder,
            seed=crowd.seed,
            size=crowd.size,
            n_people=crowd.people,
            preset_name=crowd.preset,
        )
    return folder / "image.jpg", Truth.load(folder / "truth.npz")


def matched(keypoints_px: FloatArray, truth: Truth) -> npt.NDArray[np.int64]:
    """(K, 2) rows of the truth and of the answer that show one person, by their seen keypoints."""
    box = truth.boxes_px
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    seen = truth.keypoints_px[..., 2] == 2
    similarity = evaluate.oks_matrix(keypoints_px[..., :2], truth.keypoints_px[..., :2], area, seen)
    return matching.hungarian(similarity)


def score(answer: Answer, truth: Truth) -> dict[str, Any]:
    """All numbers of one answer."""
    box = truth.boxes_px
    height_px = box[:, 3] - box[:, 1]
    area = (box[:, 2] - box[:, 0]) * height_px
    wanted = (truth.visibility >= MIN_VISIBLE) & (truth.inside >= 0.5)
    arguments = (
        answer.keypoints_px[..., :2],
        answer.torso_m,
        truth.keypoints_px[..., :2],
        area,
        truth.torso_m,
        truth.hvip_m,
    )
    visible = truth.keypoints_px[..., 2] == 2
    pairs = matched(answer.keypoints_px, truth)
    true, pred = pairs.T
    found = np.zeros(len(truth), bool)
    found[true] = True
    big = wanted & (height_px > MIN_HEIGHT_PX)
    # Finding somebody who need not be found is no mistake.
    row: dict[str, Any] = {
        "people": len(truth),
        "answers": len(answer.torso_m),
        "recall_60": float(found[big].mean()) if big.any() else None,
        "precision": len(pairs) / max(len(answer.torso_m), 1),
        "recall_by_height": {
            f"{low:g}-{high:g}": float(found[band].mean())
            for low, high in pairwise(_BANDS_PX)
            if (band := wanted & (height_px > low) & (height_px <= high)).any()
        },
        "focal": answer.focal_px / float(truth.focal_px) - 1,
        "height": answer.offset_m / float(truth.offsets_m[0]) - 1,
        "normal_deg": _angle_deg(answer.normal, truth.normals[0]),
    }
    for flavour in ("largecrowd", "scene"):
        row[flavour] = evaluate.scene_metrics(*arguments, flavour=flavour, gt_visible=visible)
    if len(pairs):
        error_m = np.linalg.norm(answer.torso_m[pred] - truth.torso_m[true], axis=1)
        distance_m = np.linalg.norm(truth.torso_m[true], axis=1)
        row["position"] = float(np.median(error_m / distance_m))
        row["stature_m"] = float(np.median(np.abs(answer.stature_m[pred] - truth.stature_m[true])))
        if answer.keypoints_m is not None:
            errors_mm = evaluate.pa_mpjpe_mm(
                answer.keypoints_m[pred][:, LIMBS], truth.keypoints_m[true][:, LIMBS]
            )
            row["pa_mpjpe_mm"] = float(np.nanmean(errors_mm))
    return row


def _angle_deg(a: FloatArray, b: FloatArray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))


COLUMNS: dict[str, Column] = {
    "PPDS": lambda r: r["scene"]["PPDS"],
    "PA-PPDS": lambda r: r["scene"]["PA-PPDS"],
    "PCOD": lambda r: r["scene"]["PCOD"],
    "recall >60 px": lambda r: r["recall_60"],
    "precision": lambda r: r["precision"],
    "PA-MPJPE mm": lambda r: r.get("pa_mpjpe_mm"),
    "position": lambda r: r.get("position"),
    "stature m": lambda r: r.get("stature_m"),
    "focal": lambda r: r["focal"],
    "height": lambda r: r["height"],
    "normal deg": lambda r: r["normal_deg"],
    "score": lambda r: r["largecrowd"]["score"],
    "s": lambda r: r["seconds"],
}


def table(rows: dict[str, dict[str, Any]], title: str, columns: dict[str, Column] = COLUMNS) -> str:
    """Markdown, one line a row; the last is the mean."""
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    values = {name: [column(row) for column in columns.values()] for name, row in rows.items()}
    for name, row in values.items():
        lines.append(f"| {name} | " + " | ".join(map(cell_of, row)) + " |")
    if len(values) > 1:
        mean = [mean_of(column) for column in zip(*values.values(), strict=True)]
        lines.append("| mean | " + " | ".join(map(cell_of, mean)) + " |")
    return "\n".join(lines)


def mean_of(column: Iterable[float | None]) -> float | None:
    """Mean size of what is known."""
    known = [v for v in column if v is not None and np.isfinite(v)]
    return float(np.mean(np.abs(known))) if known else None


def cell_of(value: float | None) -> str:
    """A number as tables show it."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
