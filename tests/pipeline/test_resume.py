"""A killed run goes on where it was, and ends with the same bytes as one that was left alone."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.paths import DEMO

import crowd3d
from crowd3d.detect import detector
from crowd3d.export import FILES

TIMED = {"scene.json", "report.html"}  # they tell the seconds that a run took


class Killer:
    """Progress that kills the run once so many tiles were shown to the network that finds people."""

    def __init__(self, after_tiles: int) -> None:
        self.left = after_tiles
        self.counts = True

    def start(self, stage: str, total: int) -> None:
        del total
        self.counts = stage not in ("glance", "sides")

    def advance(self, steps: int = 1) -> None:
        self.left -= steps if self.counts else 0
        if self.left <= 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the demo with a dozen people in it."""
    path = tmp_path_factory.mktemp("resume") / "crop.png"
    cv2.imwrite(str(path), cv2.imread(str(DEMO))[300:1000, 400:1400])
    return path


@pytest.fixture(scope="module")
def wide(picture: Path) -> Path:
    """The same part in the middle of a larger picture, in which a short first pass sees nobody."""
    whole = np.full((3000, 5000, 3), 114, np.uint8)
    whole[1100:1800, 2000:3000] = cv2.imread(str(picture))
    path = picture.parent / "wide.png"
    cv2.imwrite(str(path), whole)
    return path


def _tiles_inferred(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []
    look = detector._Looking.__call__

    def counted(self: Any, network: Any, pixels: Any, batch: Any) -> Any:
        counts.append(len(batch))
        return look(self, network, pixels, batch)

    monkeypatch.setattr(detector._Looking, "__call__", counted)
    return counts


@pytest.mark.parametrize("name", ["picture", "wide"])
def test_killed_run_resumes_to_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    picture: Path = request.getfixturevalue(name)
    settings = crowd3d.config.load("fast").replace(second_look=True, scout_tiles=15)
    counts = _tiles_inferred(monkeypatch)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    scene = crowd3d.reconstruct(picture, out=whole, config=settings)
    n_tiles = sum(counts)
    assert len(scene.people) >= 4 and n_tiles > 8
    with pytest.raises(KeyboardInterrupt):
        crowd3d.reconstruct(picture, out=killed, config=settings, progress=Killer(n_tiles // 2))
    assert [p.name for p in killed.iterdir()] == [".crowd3d-journal"]
    counts.clear()
    crowd3d.reconstruct(picture, out=killed, config=settings)
    assert 0 < sum(counts) < 0.75 * n_tiles
    assert sorted(p.name for p in killed.iterdir()) == sorted(FILES)
    for name in set(FILES) - TIMED:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_other_settings_look_again(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = _tiles_inferred(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        crowd3d.reconstruct(picture, out=tmp_path, config="fast", progress=Killer(6))
    counts.clear()
    settings = crowd3d.config.load("fast").replace(min_center_score=0.25)
    with pytest.raises(KeyboardInterrupt):
        crowd3d.reconstruct(picture, out=tmp_path, config=settings, progress=Killer(8))
    assert sum(counts) >= 4


def test_a_folder_in_use_is_refused(picture: Path, tmp_path: Path) -> None:
    import tiling

    with (
        tiling.Journal(tmp_path / ".crowd3d-journal"),
        pytest.raises(crowd3d.errors.OutputError, match="another process"),
    ):
        crowd3d.reconstruct(picture, out=tmp_path, config="fast")
