"""Very large pictures: people on separate squares, and memory that does not grow with the pixels."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from crowd3d import synth
from crowd3d.cli import main
from crowd3d.synth import Truth, synthesize
from crowd3d.synth.cast.crowd import place_people
from crowd3d.synth.cast.squares import sample_squares
from crowd3d.synth.draw.canvas import Canvas
from crowd3d.synth.draw.render import sample_setting
from crowd3d.synth.make import MAX_SIDE_PX
from crowd3d.synth.place.presets import preset
from crowd3d.synth.place.world import sample_world
from crowd3d.synth.truth import truth_of

SIZE = (1200, 600)
GIGAPIXEL = preset("gigapixel")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [1, 4, 7])
@pytest.mark.parametrize("name", ["gigapixel", "phone"])  # from 60 m high down to 1.4 m
def test_squares_lie_apart_in_view(name: str, count: int, seed: int) -> None:
    world = sample_world(np.random.default_rng(seed), SIZE, preset(name))
    squares = sample_squares(np.random.default_rng(seed), world, count)
    assert len(squares) == count
    for near, far in pairwise(squares):
        gap = (near.z - near.side / 2) - (far.z + far.side / 2)
        assert gap > 0.39 * (near.z - far.z)
    middles = world.view.project([[s.x, 0, s.z] for s in squares])
    assert ((middles > 0) & (middles < SIZE)).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_people_gather_on_squares_and_the_rest_is_empty(seed: int) -> None:
    setting = sample_setting(seed, SIZE, 150, GIGAPIXEL)
    truth = truth_of(setting)
    assert len(truth) == 150 and len(truth.normals) == 1
    # Gaps in depth that nobody of a crowd spread evenly over the ground would leave.
    away = np.sort(-setting.cast.position_m[:, 1])
    groups = np.split(away, np.flatnonzero(np.diff(away) > 0.1 * away[1:]) + 1)
    assert 4 <= len(groups) <= 7 and min(len(g) for g in groups) >= 5
    low, high = truth.boxes_px[:, :2], truth.boxes_px[:, 2:]
    height = (high - low)[:, 1]
    assert height[truth.inside == 1].max() > 10 * height.min()
    assert height.max() < 500 * SIZE[1] / 15_000 * 1.1
    crowded = np.zeros(SIZE[::-1], bool)
    for (left, top), (right, bottom), h in zip(low, high, height, strict=True):
        crowded[int(max(top - h, 0)) : int(bottom + h), int(max(left - h, 0)) : int(right + h)] = 1
    assert crowded.mean() < 0.3
    assert (truth.visibility >= 0.3).mean() > 0.8


# Whatever else is drawn before the people moves them.
@pytest.mark.parametrize(
    ("name", "first", "haze_m"),
    [
        ("plaza", (-5.773, -33.242), 1093.516),
        ("street", (-9.438, -66.694), 2035.661),
        ("largecrowd", (-6.548, -59.375), 2302.997),
    ],
)
def test_crowds_without_squares_stand_where_they_stood(
    name: str, first: tuple[float, float], haze_m: float
) -> None:
    streams = [np.random.default_rng([3, k]) for k in range(2)]
    world = sample_world(streams[0], (320, 180), preset(name))
    cast = place_people(streams[1], world, preset(name), 4)
    assert cast.position_m[0] == pytest.approx(first, abs=2e-3)
    assert world.light.haze_m == pytest.approx(haze_m, abs=2e-3)


def test_the_command_takes_the_presets_own_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def remember(out: Path, **options: object) -> Truth:
        asked.append((options["size"], options["n_people"]))
        return synthesize(out, size=(64, 32), n_people=0)

    monkeypatch.setattr(synth, "synthesize", remember)
    for arguments in ("", "--preset gigapixel", "--preset gigapixel --size 900x600 --people 0"):
        run = CliRunner().invoke(main, ["synth", "-o", str(tmp_path), *arguments.split()])
        assert run.exit_code == 0, run.output
    assert asked == [((4000, 2000), 120), ((30_000, 15_000), 1000), ((900, 600), 0)]


def test_a_side_that_no_jpeg_holds_is_refused(tmp_path: Path) -> None:
    arguments = ["synth", "-o", str(tmp_path / "a"), "--size", f"{MAX_SIDE_PX + 1}x600"]
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 2 and str(MAX_SIDE_PX) in run.stderr
    assert not (tmp_path / "a").exists()


def test_the_longest_side_can_be_written(tmp_path: Path) -> None:
    with Canvas(tmp_path / "a.jpg", MAX_SIDE_PX, 16, 3) as canvas:
        canvas.paint(MAX_SIDE_PX - 8, 0, np.full((16, 8, 3), 255))
        canvas.save(Q=90)
    found = cv2.imread(str(tmp_path / "a.jpg"))
    assert found.shape == (16, MAX_SIDE_PX, 3)
    assert found[:, -8:].min() > 250 and found[:, :-8].max() < 5


def test_compressing_takes_no_memory_for_the_whole_picture(tmp_path: Path) -> None:
    marks = Path("/proc/self/clear_refs")
    if not marks.exists():
        pytest.skip("the system does not tell the peak of a part")
    side, bands = 8000, 3
    with Canvas(tmp_path / "a.jpg", side, side, bands) as canvas:
        marks.write_text("5")  # the peak so far is forgotten
        before = _peak_bytes()
        canvas.save(Q=90)
        assert _peak_bytes() - before < side * side * bands / 2


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
