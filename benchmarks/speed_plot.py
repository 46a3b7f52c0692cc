"""Draw docs/img/speed.svg from results/speed.json: python benchmarks/speed_plot.py"""

from __future__ import annotations

import io
from pathlib import Path

import click
import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from shared.results import Result, read_all

from crowd3d.files import atomic

PLOT = Path(__file__).parents[1] / "docs" / "img" / "speed.svg"
_WAYS = {  # way -> label and colour
    "released": ("version 0.1.0", "#9a9a9a"),
    "mixed": ("default", "#b3471d"),
    "bfloat16": ("--engine openvino-bfloat16", "#e0a080"),
    "HRNet-W32": ("HRNet-W32 on the published patches", "#34618c"),
}
_HEAD = (
    "<title>Seconds and peak memory against megapixels</title><style>@media (prefers-color-scheme: dark) "
    "{ svg { filter: invert(0.9) hue-rotate(180deg); } }</style>"
)
_PANELS = (("s", "seconds", 1.0), ("peak memory MB", "peak memory, GB", 1e-3))


def points(result: Result, way: str, column: str) -> list[tuple[float, float, float | None]]:
    """Megapixels, value and people of each picture that was measured in one way, from small to large."""
    table = result.tables[0]
    names = list(table.columns)
    found = []
    for row in table.rows:
        cells = dict(zip(names, row, strict=True))
        value, people = cells[column], cells["people"]
        if cells["way"] == way and isinstance(value, int | float):
            megapixels = float(str(cells["picture"]).split()[0])
            found.append((megapixels, float(value), people if isinstance(people, int) else None))
    return sorted(found)


def draw(result: Result, out: Path) -> None:
    """Write the plot; the same result gives the same bytes."""
    mpl.rcParams.update({"svg.hashsalt": "crowd3d", "svg.fonttype": "none"})
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axes, (column, label, unit) in zip(panels, _PANELS, strict=True):
        for way, (name, color) in _WAYS.items():
            found = points(result, way, column)
            if found:
                x, y = [p[0] for p in found], [p[1] * unit for p in found]
                axes.plot(x, y, "o-", color=color, label=name, markersize=4)
            if way == "mixed":
                _tell_people(axes, [(a, b * unit, n) for a, b, n in found])
        axes.set(xlabel="megapixels", ylabel=label, xscale="log")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yscale("log")
    panels[1].set_ylim(bottom=0)
    panels[0].legend(frameon=False, fontsize=8)
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    plt.close(figure)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace(">", f">{_HEAD}", 1)
    atomic.write_text(out, drawing)


def _tell_people(axes: Axes, found: list[tuple[float, float, float | None]]) -> None:
    for x, y, people in found:
        if people is not None:
            axes.annotate(
                f"{people:,.0f} people", (x, y), (0, -12), textcoords="offset points", fontsize=7
            )


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=PLOT, help="Another file.")
def main(out: Path) -> None:
    draw(read_all()["speed"], out)


if __name__ == "__main__":
    main()
