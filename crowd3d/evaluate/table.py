"""An evaluation as lines of text and as plain values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from crowd3d.evaluate.dataset import NAMES, Evaluation

_SHOWN = ("PPDS", "PA-PPDS", "PCOD", "OKS", "recall", "precision", "F1", "RP", "SS", "score")
_WORST_SHOWN = 5


def to_dict(result: Evaluation) -> dict[str, Any]:
    """Everything, for JSON; undefined numbers become null when it is written."""
    return {f.name: getattr(result, f.name) for f in fields(result)}


def lines(result: Evaluation) -> list[str]:
    """The table that the command line prints."""
    counts = result.counts
    out = [
        f"{counts['pictures']} pictures, {counts['people']} people, {counts['predicted']} predicted, "
        f"{counts['matched']} matched; flavour {result.flavour}",
        "",
    ]
    out += [_metric(name, result) for name in _SHOWN]
    if len(result.scenes) > 1:
        width = max(len(row["scene"]) for row in result.scenes)
        out += ["", f"{'scene':{width}}  people  " + " ".join(f"{n:>9}" for n in NAMES)]
        out += [_scene(row, width) for row in result.scenes]
    bodies = [
        f"{name} {with_unit(name, value)}"
        for name, value in result.bodies.items()
        if _is_known(value)
    ]
    if bodies:
        out += ["", "bodies: " + ", ".join(bodies)]
    out += ["2D:     " + ", ".join(f"{k} {number(v)}" for k, v in result.ap.items())]
    bins = [b for b in result.bins if b["pairs"]]
    if bins:
        out += ["distances between people, median relative error: " + ", ".join(map(_bin, bins))]
    ranges = [r for r in result.ranges if r["people"]]
    if ranges:
        out += [
            "",
            "distance from the camera  people  recall  error of place / distance, median and 90 %",
        ]
        out += [_range(row) for row in ranges]
    if result.worst:
        out += ["", "farthest from their place:"]
        out += [f"  {_worst(row)}" for row in result.worst[:_WORST_SHOWN]]
    return out + [f"note: {text}" for text in result.notes]


def number(value: float | None) -> str:
    """Four decimals, a dash for what is undefined."""
    return "-" if value is None or not np.isfinite(value) else f"{value:.4f}"


def _metric(name: str, result: Evaluation) -> str:
    low, high = result.interval.get(name, (np.nan, np.nan))
    bounds = f"   [{low:.4f}, {high:.4f}]" if np.isfinite([low, high]).all() else ""
    return f"{name:<10} {number(result.metrics[name]):>8}{bounds}"


def _scene(row: dict[str, Any], width: int) -> str:
    numbers = " ".join(f"{number(row[name]):>9}" for name in NAMES)
    return f"{row['scene']:{width}}  {row['people']:>6}  {numbers}"


def _is_known(value: float | str) -> bool:
    return isinstance(value, str) or bool(np.isfinite(value))


def with_unit(name: str, value: float | str) -> str:
    """A number of joints or roots: millimetres, a share, or a word."""
    if isinstance(value, str):
        return value
    in_mm = name.startswith(("MPJPE", "PA-MPJPE", "PVE", "MRPE")) and np.isfinite(value)
    return f"{value:.1f} mm" if in_mm else number(value)


def _range(row: dict[str, Any]) -> str:
    upper = "..." if row["to_m"] is None else f"{row['to_m']:g}"
    errors = [f"{100 * row[k]:.1f} %" if row[k] is not None else "-" for k in ("median", "p90")]
    span = f"{row['from_m']:g}-{upper} m"
    return f"{span:>24}  {row['people']:>6}  {row['recall']:6.3f}  {errors[0]:>8} {errors[1]:>8}"


def _bin(row: dict[str, Any]) -> str:
    upper = "..." if row["to_m"] is None else f"{row['to_m']:g}"
    return f"{row['from_m']:g}-{upper} m {100 * row['median']:.1f} %"


def _worst(row: dict[str, Any]) -> str:
    return (
        f"{row['picture']} person {row['person']}: {row['error_m']:.2f} m off at "
        f"{row['distance_m']:.1f} m, OKS {row['OKS']:.2f}, prediction {row['predicted']}"
    )
