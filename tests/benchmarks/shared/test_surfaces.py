"""Empty pictures are the same every time, of the right size, and what they claim to be."""

import numpy as np
import pytest
import pyvips
from shared import surfaces

from tiling import open_image

SIZE = (700, 420)
MAKERS = {
    "asphalt": surfaces.asphalt,
    "empty place": surfaces.empty_place,
    "noise": surfaces.noise,
    "foliage": lambda size, seed: surfaces.foliage(size, seed, tile_px=256),
}


@pytest.mark.parametrize("draw", MAKERS.values(), ids=MAKERS)
def test_the_same_seed_gives_the_same_picture(draw):
    first = draw(SIZE, 1)
    assert (first.width, first.height, first.bands, first.format) == (*SIZE, 3, "uchar")
    assert np.array_equal(first.numpy(), draw(SIZE, 1).numpy())
    assert not np.array_equal(first.numpy(), draw(SIZE, 2).numpy())


def test_asphalt_is_weak_noise_of_many_grains():
    pixels = surfaces.asphalt((2000, 1000), 1).numpy().astype(float)[..., 0]
    assert 4 < pixels.std() < 8
    coarse = pixels[:960, :1984].reshape(30, 32, 62, 32).mean(axis=(1, 3))
    assert coarse.std() > 0.6  # white noise of this strength would leave 0.2


def test_an_empty_place_has_nothing_but_the_noise_of_a_sensor():
    pixels = surfaces.empty_place(SIZE, 1).numpy().astype(float)
    across = pixels.std(axis=1)  # the place itself is the same along a line
    assert np.abs(across.mean() - 2.0) < 0.2
    bands = [pixels[:, :, band] - pixels[:, :, band].mean(axis=1)[:, None] for band in range(3)]
    assert abs(np.corrcoef(bands[0].ravel(), bands[1].ravel())[0, 1]) < 0.02


def test_noise_is_strong():
    assert (surfaces.noise(SIZE, 1).numpy().std(axis=(0, 1)) > 35).all()


def test_a_tile_of_leaves_goes_on_at_its_edges():
    tile = surfaces.leaves(512, 5.0, np.random.default_rng(1)).astype(float)
    for axis in (0, 1):
        inside = np.abs(np.diff(tile, axis=axis)).mean()
        seam = np.abs(np.take(tile, 0, axis) - np.take(tile, -1, axis)).mean()
        assert seam < 2 * inside  # of strangers: 6 times


def test_leaves_cover_what_their_layers_say():
    tile = surfaces.leaves(512, 0.7, np.random.default_rng(1))
    assert (tile.max(axis=2) == 0).mean() == pytest.approx(np.exp(-0.7), abs=0.1)


def test_foliage_does_not_repeat():
    pixels = surfaces.foliage((1024, 256), 1, tile_px=256).numpy().astype(float)
    first, later = pixels[:, :256].ravel(), pixels[:, 256:512].ravel()
    assert np.corrcoef(first, later)[0, 1] < 0.6


def test_copies_lie_where_they_should(tmp_path):
    small = pyvips.Image.new_from_array(
        np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8)
    )
    x, y = surfaces.middle((200, 100), (60, 40))
    one = surfaces.in_the_middle(small, surfaces.plain((200, 100), 114)).numpy()
    assert np.array_equal(one[y : y + 40, x : x + 60], small.numpy())
    assert (one[:y] == 114).all() and (one[:, x + 60 :] == 114).all()
    many = surfaces.mosaic(small, 3, 2).numpy()
    assert np.array_equal(many[40:, 60:120], small.numpy())
    surfaces.save(surfaces.mosaic(small, 3, 2), tmp_path / "many.jpg")
    with open_image(tmp_path / "many.jpg") as source:
        assert (source.width, source.height) == (180, 80)
    assert [path.name for path in tmp_path.iterdir()] == ["many.jpg"]
