"""What was looked at: whoever is in a covered cell is whole in a tile, and nothing needed is left out."""

import numpy as np
import pytest

import tiling
from tiling import Band, Tile

SIZE = (3000, 1700)


def _band(low: float = 50.0, size: tuple[int, int] = SIZE) -> Band:
    return Band(low, 2 * low, size, max_upscale=2.0)


def _tile(x: float, y: float, side: float) -> Tile:
    return Tile(x, y, side, side, 512, 512, 0, 0, (0.0, 1.0))


def _centre(band: Band, row: int, column: int) -> tuple[float, float]:
    return (column + 0.5) * band.cell_px, (row + 0.5) * band.cell_px


def _shows(tile: Tile, u: float, v: float, height: float) -> bool:
    """Whether nearly all of somebody is in the tile, or cut by the border of the picture."""
    tall, wide = 0.4 * height, 0.1667 * height
    return bool(
        (u - wide >= tile.x or tile.x <= 0)
        and (v - tall >= tile.y or tile.y <= 0)
        and (u + wide <= tile.x + tile.side_w or tile.x + tile.side_w >= SIZE[0])
        and (v + tall <= tile.y + tile.side_h or tile.y + tile.side_h >= SIZE[1])
    )


def test_bands_are_octaves_from_the_shortest_person_to_the_whole_picture():
    bands = tiling.height_bands((4000, 900), 25.0, 2.0)
    assert [(band.low_px, band.high_px) for band in bands] == [
        (25, 50), (50, 100), (100, 200), (200, 400), (400, 800)
    ]  # fmt: skip
    assert len(tiling.height_bands((40, 32), 60.0, 2.0)) == 1


@pytest.mark.parametrize("low", [25.0, 50.0, 200.0])
@pytest.mark.parametrize("share", [0.002, 0.1, 1.0])
def test_tiles_show_everybody_in_the_needed_cells(low, share):
    band = _band(low)
    rng = np.random.default_rng(int(low + 1000 * share))
    needed = rng.random(band.chance.shape) < share
    needed[0, 0] = needed[-1, -1] = True
    tiles = band.tiles(needed, 512, level=1)
    for row, column in np.argwhere(needed)[:: max(1, int(needed.sum()) // 300)]:
        u, v = _centre(band, row, column)
        assert any(_shows(tile, u, v, band.high_px) for tile in tiles)
    assert all(band.is_shown(tile) for tile in tiles)
    band.mark(tiles)
    assert band.looked[needed].all()


def test_few_needed_cells_need_few_tiles():
    band = _band(25.0)
    needed = np.zeros_like(band.looked)
    assert band.tiles(needed, 512, 0) == []
    needed[20, 30] = True
    assert len(band.tiles(needed, 512, 0)) == 1


def test_a_marked_cell_shows_whoever_has_the_middle_in_it():
    band = _band()
    tiles = [_tile(700, 400, 400), _tile(0, 0, 300), _tile(2700, 1400, 300)]
    band.mark(tiles)
    marked = np.argwhere(band.looked)
    assert len(marked) > 50
    for row, column in marked:
        u, v = _centre(band, row, column)
        assert any(_shows(tile, u, v, band.high_px) for tile in tiles)
    assert not band.looked.all()


@pytest.mark.parametrize(
    ("side", "shown"), [(255.0, True), (420.0, True), (600.0, False), (150.0, False)]
)
def test_only_tiles_of_the_right_scale_count(side, shown):
    band = _band(50.0)
    assert band.is_shown(_tile(0, 0, side)) is shown
    band.mark([_tile(0, 0, side)])
    assert band.looked.any() == shown


def test_the_smallest_are_seen_at_the_largest_scale_there_is():
    band = _band(25.0)
    assert band.is_shown(_tile(0, 0, 256.0))  # enlarged twice, no tile does more
    assert not band.is_shown(_tile(0, 0, 300.0))


def test_left_is_what_is_possible_and_neither_looked_at_nor_taken():
    band = _band()
    band.chance[:, : band.chance.shape[1] // 2] = -np.inf
    half = band.is_possible.sum()
    assert band.left(np.zeros((0, 4))).sum() == half
    band.mark([_tile(2000, 0, 400)])
    looked = band.left(np.zeros((0, 4))).sum()
    assert looked < half
    giant, same = np.array([[2500, 900, 2700, 1400]]), np.array([[2500, 900, 2540, 990]])
    assert band.left(giant).sum() < band.left(same).sum() < looked
    tiny = np.array([[2500, 900, 2510, 920]])
    assert band.left(tiny).sum() == looked


def test_chances_are_sums_over_the_needed_cells():
    band = _band()
    rng = np.random.default_rng(2)
    band.chance[:] = rng.normal(-2, 2, band.chance.shape)
    band.chance[rng.random(band.chance.shape) < 0.3] = -np.inf
    needed = rng.random(band.chance.shape) < 0.5
    corners = rng.uniform(-200, 2800, (40, 2))
    tiles = [_tile(x, y, 410.0) for x, y in corners]
    slow = []
    for tile in tiles:
        total = 0.0
        for row, column in np.argwhere(needed):
            u, v = _centre(band, row, column)
            if tile.x < u < tile.x + tile.side_w and tile.y < v < tile.y + tile.side_h:
                total += np.exp(min(band.chance[row, column], 5.0))
        slow.append(total)
    np.testing.assert_allclose(band.chances(tiles, needed), slow, rtol=1e-5, atol=1e-6)


def test_a_band_meets_tiles_that_answer_for_its_people():
    band = _band(50.0)
    for heights, meets in (
        ((10, 40), False),
        ((10, 51), True),
        ((99, 300), True),
        ((100, 300), False),
    ):
        tile = Tile(0, 0, 400, 400, 512, 512, 0, 0, heights)
        assert band.meets(tile) is meets
