"""A glance marks where people are, leaves out what is empty, and does not depend on how the picture is cut."""

import cv2
import numpy as np
import pytest
from helpers.paths import DEMO

import tiling
from crowd3d.detect import glance as glances
from crowd3d.detect.glance import glance
from crowd3d.models.engine import torch_engine
from crowd3d.picture.reading import Reading
from tiling import Band


def _glanced(path, low_px=25.0):
    with tiling.open_image(path) as source:
        band = Band(low_px, 2 * low_px, (source.width, source.height), max_upscale=2.0)
        glance(Reading(source), [band], torch_engine())
    return band


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A part of the demo, reduced so that people are 25 to 50 px tall, in the middle of a grey picture."""
    part = cv2.imread(str(DEMO))[300:1000, 400:1400]
    part = cv2.resize(part, (400, 280), interpolation=cv2.INTER_AREA)
    picture = np.full((1600, 2400, 3), 114, np.uint8)
    picture[700:980, 1000:1400] = part
    path = tmp_path_factory.mktemp("glance") / "crowd.png"
    cv2.imwrite(str(path), picture)
    return path


def test_somebody_can_be_where_the_crowd_is_and_nowhere_else(crowd):
    band = _glanced(crowd)
    rows, columns = np.nonzero(band.is_possible)
    assert len(rows) > 20
    u, v = (columns + 0.5) * band.cell_px, (rows + 0.5) * band.cell_px
    assert (u > 1000 - 64).all() and (u < 1400 + 64).all()
    assert (v > 700 - 64).all() and (v < 980 + 64).all()


def test_other_sizes_are_looked_for_on_the_reduced_picture(crowd, tmp_path):
    double = tmp_path / "double.png"
    cv2.imwrite(str(double), cv2.resize(cv2.imread(str(crowd)), None, fx=2, fy=2))
    small, large = _glanced(crowd, 25.0), _glanced(double, 50.0)
    assert small.chance.shape == large.chance.shape
    both = small.is_possible & large.is_possible
    assert both.sum() > 0.9 * small.is_possible.sum()


@pytest.mark.parametrize("kind", ["black", "coloured", "gradient"])
def test_nobody_is_in_an_empty_picture(tmp_path, kind):
    picture = np.zeros((700, 1100, 3), np.uint8)
    if kind == "coloured":
        picture[:] = 20, 90, 200
    if kind == "gradient":
        picture[:] = np.linspace(60, 220, 700).astype(np.uint8)[:, None, None]
    path = tmp_path / "empty.png"
    cv2.imwrite(str(path), picture)
    assert not _glanced(path).is_possible.any()


def test_cutting_into_blocks_changes_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (640, 900, 3), dtype=np.uint8), (0, 0), 3)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), picture)
    monkeypatch.setattr(glances, "POSSIBLE", -1e3)  # everywhere, so that all of the map is compared
    whole = _glanced(path)
    monkeypatch.setattr(glances, "_BLOCK_PX", 128)
    cut = _glanced(path)
    assert whole.is_possible.all() and cut.is_possible.all()
    np.testing.assert_allclose(cut.chance[:-4, :-4], whole.chance[:-4, :-4], atol=0.05)


def test_what_is_left_when_time_is_over_stays_possible(crowd):
    with tiling.open_image(crowd) as source:
        band = Band(25.0, 50.0, (source.width, source.height), max_upscale=2.0)
        glance(Reading(source), [band], torch_engine(), is_over=lambda: True)
    assert band.is_possible.all()
