"""Whole scenes against their truth: python benchmarks/syncrowd.py --cache DIR

Twelve crowds made from seeds are rendered once (`crowd3d synth`), reconstructed in several ways and scored:
the metrics of `crowd3d evaluate`, pose, stature, camera, and who is found by height in the picture. Nothing is
tuned on these twelve.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from syncrowd_rows import WAYS, Answer

from crowd3d import evaluate
from crowd3d.evaluate import matching
from crowd3d.synth import Truth, synthesize

FloatArray = npt.NDArray[np.float64]

MIN_HEIGHT_PX, MIN_VISIBLE = 60.0, 0.3  # who must be found
_BANDS_PX = (0.0, 40.0, 60.0, 100.0, 160.0, np.inf)
_LIMBS = slice(5, 17)  # shoulders to ankles


@dataclass(frozen=True)
class Crowd:
    """One scene: how it is made."""

    name: str
    preset: str
    size: tuple[int, int]
    people: int
    seed: int


CROWDS = (
    Crowd("largecrowd-1", "largecrowd", (9600, 3240), 250, 101),
    Crowd("largecrowd-2", "largecrowd", (9600, 3240), 250, 102),
    Crowd("largecrowd-3", "largecrowd", (9600, 3240), 350, 103),
    Crowd("largecrowd-4", "largecrowd", (9600, 3240), 350, 104),
    Crowd("wide-1", "wide", (6000, 3000), 150, 201),
    Crowd("wide-2", "wide", (6000, 3000), 150, 202),
    Crowd("street-1", "street", (4000, 2250), 60, 301),
    Crowd("street-2", "street", (4000, 2250), 60, 302),
    Crowd("phone", "phone", (4000, 3000), 40, 401),
    Crowd("telephoto", "telephoto", (6000, 4000), 120, 501),
    Crowd("terraced", "terrace", (6000, 3000), 150, 601),
    Crowd("dense", "dense", (9600, 5400), 1000, 701),
)


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
    pairs = matching.hungarian(evaluate.oks_matrix(arguments[0], arguments[2], area, visible))
    true, pred = pairs[:, 0], pairs[:, 1]
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
                answer.keypoints_m[pred][:, _LIMBS], truth.keypoints_m[true][:, _LIMBS]
            )
            row["pa_mpjpe_mm"] = float(np.nanmean(errors_mm))
    return row


def _angle_deg(a: FloatArray, b: FloatArray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))


_COLUMNS = {
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


def table(rows: dict[str, dict[str, Any]], title: str) -> str:
    """Markdown, one line a row; the last is the mean."""
    lines = [f"| {title} | " + " | ".join(_COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    values = {name: [column(row) for column in _COLUMNS.values()] for name, row in rows.items()}
    for name, row in values.items():
        lines.append(f"| {name} | " + " | ".join(map(_cell, row)) + " |")
    if len(values) > 1:
        mean = [_mean(column) for column in zip(*values.values(), strict=True)]
        lines.append("| mean | " + " | ".join(map(_cell, mean)) + " |")
    return "\n".join(lines)


def _mean(column: tuple[float | None, ...]) -> float | None:
    known = [v for v in column if v is not None and np.isfinite(v)]
    return float(np.mean(np.abs(known))) if known else None


def _cell(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


@click.command()
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("syncrowd"), show_default=True
)
@click.option(
    "--ways", default="default", show_default=True, help=f"From: {', '.join(WAYS)}; or all."
)
@click.option("--scenes", default="all", show_default=True, help="Names, comma separated.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Everything measured.")
def main(cache: Path, ways: str, scenes: str, json_path: Path | None) -> None:
    """Render what is missing, reconstruct, score, print tables."""
    names = list(WAYS) if ways == "all" else [w.strip() for w in ways.split(",")]
    crowds = [c for c in CROWDS if scenes == "all" or c.name in scenes.split(",")]
    measured: dict[str, dict[str, Any]] = {name: {} for name in names}
    for crowd in crowds:
        image, truth = rendered(crowd, cache)
        for name in names:
            start = time.perf_counter()
            answer = WAYS[name](image, truth)
            seconds = time.perf_counter() - start
            measured[name][crowd.name] = {**score(answer, truth), "seconds": seconds}
            click.echo(f"{crowd.name}, {name}: {seconds:.1f} s", err=True)
    click.echo(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}\n"
    )
    for name, rows in measured.items():
        click.echo(table(rows, name) + "\n")
    if json_path is not None:
        json_path.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
