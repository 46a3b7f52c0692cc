"""An evaluation as one self-contained page: tables and plots, no scripts, no network."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crowd3d.evaluate.dataset import NAMES, Evaluation
from crowd3d.evaluate.table import number, with_unit
from crowd3d.files import atomic, svg
from crowd3d.version import __version__

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --paper: #fff; --line: #d6dde5; --bar: #3b78b5;
  --soft: #5d6b7a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ef; --paper: #14191f; --line: #303a45; --bar: #6aa5de; --soft: #9aa8b6; }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, li { color: var(--soft); }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--soft); }
svg .title { font-size: 13px; font-weight: 600; fill: var(--ink); }
.grid { stroke: var(--line); } .bar { fill: var(--bar); } .whisker { stroke: var(--ink); stroke-width: 1.5; }
.dot { fill: var(--bar); fill-opacity: .55; }
"""


_DOTS = 3000  # more slow a browser down and show no more


def write(result: Evaluation, path: Path, title: str) -> None:
    """Write the page, atomically; raises OutputError."""
    atomic.write_text(path, page(result, title))


def page(result: Evaluation, title: str) -> str:
    """The page's text.

    Args:
        title: what was compared with what.
    """
    counts = result.counts
    head = (
        f"{counts['pictures']} pictures, {counts['people']} people, {counts['predicted']} predicted, "
        f"{counts['matched']} matched. Flavour {result.flavour}; crowd3d {__version__}."
    )
    body = [
        f"<h1>{html.escape(title)}</h1><p>{html.escape(head)}</p>",
        _list(result.notes),
        "<h2>Scores</h2>",
        _scores(result),
        "<h2>Plots</h2>",
        f'<div class="plots">{"".join(_plots(result))}</div>',
        "<h2>Bodies and keypoints</h2>",
        _table(
            ("what", "value"),
            [(k, with_unit(k, v)) for k, v in (result.bodies | result.ap).items()],
        ),
        "<h2>Scenes</h2>",
        _rows("scene", result.scenes),
        "<h2>Pictures</h2>",
        _rows("picture", result.frames),
        "<h2>Farthest from their place</h2>",
        _worst(result.worst),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _scores(result: Evaluation) -> str:
    rows = []
    for name in NAMES:
        low, high = result.interval.get(name, (np.nan, np.nan))
        rows.append((name, number(result.metrics[name]), number(low), number(high)))
    return _table(("metric", "value", "95 % from", "to"), rows)


def _plots(result: Evaluation) -> Iterable[str]:
    names = [n for n in NAMES if n != "RP"]
    bounds = [result.interval.get(n) for n in names]
    values = [result.metrics[n] for n in names]
    yield svg.bars("Scores with 95 % intervals", names, values, intervals=bounds, top=1.0)
    if len(result.scenes) > 1:
        labels = [row["scene"] for row in result.scenes]
        yield svg.bars("Score by scene", labels, [r["score"] for r in result.scenes], top=1.0)
    placed = [p for p in result.people if p["error_m"] is not None and p["distance_m"] is not None]
    placed = placed[:: len(placed) // _DOTS + 1]
    if placed:
        yield svg.points(
            "Error of place by distance",
            [p["distance_m"] for p in placed],
            [p["error_m"] for p in placed],
            [f"{p['picture']} person {p['person']}" for p in placed],
            x_label="distance from the camera, m",
            y_label="error, m",
        )
    bins = [b for b in result.bins if b["pairs"]]
    if bins:
        yield svg.bars(
            "Distances between two people", _spans(bins), _percent(bins), y_label="median error, %"
        )
    ranges = [r for r in result.ranges if r["people"]]
    if ranges:
        shares = [r["recall"] for r in ranges]
        yield svg.bars(
            "Error of place / distance, by distance",
            _spans(ranges),
            _percent(ranges),
            y_label="median, %",
        )
        yield svg.bars("Found, by distance", _spans(ranges), shares, y_label="recall", top=1.0)
    oks = [p["OKS"] for p in result.people if p["OKS"] is not None]
    yield svg.histogram(
        "Keypoint similarity of those found", oks, np.linspace(0, 1, 21), x_label="OKS"
    )
    yield _by_size(result.people)


def _spans(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{r['from_m']:g}-{'' if r['to_m'] is None else format(r['to_m'], 'g')} m" for r in rows
    ]


def _percent(rows: Sequence[dict[str, Any]]) -> list[float | None]:
    return [None if r["median"] is None else 100 * r["median"] for r in rows]


def _by_size(people: Sequence[dict[str, Any]]) -> str:
    """Share found by pixel height: five groups of equal size."""
    height = np.array([p["height_px"] for p in people], np.float64)
    found = np.array([p["predicted"] is not None for p in people], bool)
    order = [part for part in np.array_split(np.argsort(height, kind="stable"), 5) if len(part)]
    names = [f"{height[part].min():.0f}-{height[part].max():.0f}" for part in order]
    shares = [float(found[part].mean()) for part in order]
    return svg.bars("Found, by pixel height", names, shares, y_label="recall", top=1.0)


def _rows(key: str, rows: Sequence[dict[str, Any]]) -> str:
    columns = (key, "people", "predicted", "matched", *NAMES)
    cells = [
        (r[key], *(str(r[c]) for c in columns[1:4]), *(number(r[n]) for n in NAMES)) for r in rows
    ]
    return _table(columns, cells)


def _worst(rows: Sequence[dict[str, Any]]) -> str:
    columns = ("picture", "person", "prediction", "error, m", "distance, m", "OKS", "height, px")
    cells = [
        (
            r["picture"], str(r["person"]), str(r["predicted"]), f"{r['error_m']:.2f}",
            f"{r['distance_m']:.1f}", f"{r['OKS']:.3f}", f"{r['height_px']:.0f}",
        )
        for r in rows
    ]  # fmt: skip
    return _table(columns, cells)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(t)}</li>' for t in texts)}</ul>" if texts else ""
