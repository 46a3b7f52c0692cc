"""The plot of speeds shows what was measured, and is the same file every time."""

from shared.results import Result, Table
from speed_plot import draw, points

COLUMNS = dict.fromkeys(("picture", "way", "people", "s", "peak memory MB"), "{}")
ROWS = [
    ["124 MP", "mixed", 284, 30.0, 900.0],
    ["2 MP", "mixed", 17, 10.0, 800.0],
    ["2 MP", "released", 17, 25.0, 1000.0],
    ["2 MP", "bare", None, 7.0, None],
]
RESULT = Result("speed", "command", "0", "2026-11", "-", [Table(COLUMNS, ROWS)])


def test_points_go_from_small_to_large_pictures():
    assert points(RESULT, "mixed", "s") == [(2.0, 10.0, 17), (124.0, 30.0, 284)]
    assert points(RESULT, "bare", "peak memory MB") == []


def test_the_plot_is_the_same_every_time(tmp_path):
    for name in ("a.svg", "b.svg"):
        draw(RESULT, tmp_path / name)
    first = (tmp_path / "a.svg").read_text("utf-8")
    assert first == (tmp_path / "b.svg").read_text("utf-8")
    assert "284 people" in first and "version 0.1.0" in first and "HRNet" not in first
