"""Small plots as SVG text: bars, points, histograms. No scripts, no fonts, no network."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

WIDTH, HEIGHT = 460, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 30, 44
_TICKS = 5


def bars(
    title: str,
    names: Sequence[str],
    values: Sequence[float | None],
    *,
    y_label: str = "",
    intervals: Sequence[tuple[float, float] | None] | None = None,
    top: float | None = None,
) -> str:
    """Bars from zero, with error bars where intervals are given; nothing where a value is unknown."""
    known = [v for v in values if v is not None and np.isfinite(v)]
    ends = [b[1] for b in intervals or [] if b is not None and np.isfinite(b[1])]
    high = top if top is not None else _nice(max([*known, *ends, 1e-9]))
    low = min([0.0, *known])
    step = (WIDTH - _LEFT - _RIGHT) / max(len(names), 1)
    parts = [_frame(title, (low, high), y_label)]
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        x = _LEFT + (i + 0.5) * step
        parts.append(_text(x, HEIGHT - _BOTTOM + 16, name, "middle"))
        if value is None or not np.isfinite(value):
            parts.append(_text(x, _y(low, low, high) - 4, "-", "middle"))
            continue
        y, zero = _y(value, low, high), _y(max(low, 0.0), low, high)
        parts.append(
            f'<rect class="bar" x="{x - 0.32 * step:.1f}" y="{min(y, zero):.1f}" '
            f'width="{0.64 * step:.1f}" height="{abs(zero - y):.1f}"><title>{html.escape(name)}: '
            f"{value:.4f}</title></rect>"
        )
        bound = intervals[i] if intervals else None
        if bound is not None and np.isfinite(bound).all():
            y0, y1 = (_y(b, low, high) for b in bound)
            parts.append(f'<path class="whisker" d="M{x:.1f} {y0:.1f}V{y1:.1f}"/>')
    return _svg(parts)


def points(
    title: str,
    x: Sequence[float],
    y: Sequence[float],
    labels: Sequence[str],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """A dot for every pair of finite numbers, with its label on hovering."""
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    x_high, y_high = (_nice(float(v.max(initial=0))) for v in (xs, ys))
    parts = [_frame(title, (0.0, y_high), y_label), _x_axis(0.0, x_high, x_label)]
    for u, v, label in zip(xs, ys, labels, strict=True):
        left = _LEFT + u / x_high * (WIDTH - _LEFT - _RIGHT)
        parts.append(
            f'<circle class="dot" cx="{left:.1f}" cy="{_y(v, 0.0, y_high):.1f}" r="2.5">'
            f"<title>{html.escape(label)}</title></circle>"
        )
    return _svg(parts)


def histogram(title: str, values: Sequence[float], edges: FloatArray, *, x_label: str) -> str:
    """How many values lie between the edges."""
    counts = np.histogram(np.asarray(values, np.float64), edges)[0]
    high = _nice(float(max(counts.max(initial=0), _TICKS - 1)))
    parts = [
        _frame(title, (0.0, high), "people"),
        _x_axis(float(edges[0]), float(edges[-1]), x_label),
    ]
    span = (WIDTH - _LEFT - _RIGHT) / (edges[-1] - edges[0])
    for low, up, count in zip(edges[:-1], edges[1:], counts, strict=True):
        y = _y(float(count), 0.0, high)
        parts.append(
            f'<rect class="bar" x="{_LEFT + (low - edges[0]) * span:.1f}" y="{y:.1f}" '
            f'width="{max((up - low) * span - 1, 0.5):.1f}" height="{HEIGHT - _BOTTOM - y:.1f}">'
            f"<title>{low:g} to {up:g}: {count}</title></rect>"
        )
    return _svg(parts)


def _nice(value: float) -> float:
    """The end of an axis of round ticks that reaches at least so far."""
    step = max(value, 1e-9) / (_TICKS - 1)
    unit = 10.0 ** math.floor(math.log10(step))
    return (
        (_TICKS - 1)
        * unit
        * next(f for f in (1, 1.5, 2, 2.5, 3, 4, 5, 10) if f * unit >= step * (1 - 1e-9))
    )


def _y(value: float, low: float, high: float) -> float:
    share = (value - low) / ((high - low) or 1.0)
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _frame(title: str, span: tuple[float, float], y_label: str) -> str:
    parts = [f'<text class="title" x="{_LEFT}" y="18">{html.escape(title)}</text>']
    for value in np.linspace(*span, _TICKS):
        y = _y(float(value), *span)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:.3g}", "end"))
    if y_label:
        middle = (_TOP + HEIGHT - _BOTTOM) / 2
        parts.append(
            f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">'
            f"{html.escape(y_label)}</text>"
        )
    return "".join(parts)


def _x_axis(low: float, high: float, label: str) -> str:
    parts = []
    for value in np.linspace(low, high, _TICKS):
        x = _LEFT + (value - low) / ((high - low) or 1.0) * (WIDTH - _LEFT - _RIGHT)
        parts.append(_text(x, HEIGHT - _BOTTOM + 16, f"{value:.3g}", "middle"))
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, label, "middle"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _svg(parts: Sequence[str]) -> str:
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">{inside}</svg>'
