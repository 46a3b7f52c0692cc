"""Plans: every person whole in some tile at the right size, Crowd3D's rows, exact coordinates."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiling
from tiling import PlanError, Tile

FILL = (0.3, 0.6)
# Crowd3D's published parameters (h_min, h_max, band), picture width, and the patches that follow
SCENES = [
    (400, 1175, (0, 6515), 19200, 193),
    (280, 1100, (0, 6515), 19200, 328),
    (260, 968, (0, 6518), 19200, 457),
    (520, 1110, (0, 6525), 19200, 174),
    (700, 1250, (0, 6285), 19200, 96),
    (500, 1160, (0, 6286), 19200, 183),
    (350, 1000, (0, 6271), 19200, 305),
    (530, 1770, (0, 6359), 19200, 106),
    (390, 1590, (0, 6337), 19200, 198),
    (350, 2350, (3580, 13700), 26753, 233),
    (900, 1800, (4700, 23810), 31746, 317),
    (100, 2000, (5300, 14238), 26000, 935),
]


def _plane(at_origin: float, slope_x: float, slope_y: float) -> Any:
    """A ground plane under perspective: height is linear, and nobody beyond the horizon."""

    def height_px(points: np.ndarray) -> np.ndarray:
        height = at_origin + points[:, 0] * slope_x + points[:, 1] * slope_y
        return np.where(height > 0, height, np.nan)

    return height_px


def _is_seen(tiles: list[Tile], center: np.ndarray, height: float, size: tuple[int, int]) -> bool:
    """Whether an upright person, as far as in the picture, is whole in a tile of fitting scale."""
    half = np.array([0.37 * height, 0.5 * height])
    low, high = np.maximum(center - half, 0.0), np.minimum(center + half, size)
    for tile in tiles:
        share = height / tile.side_h
        small_enough = share <= FILL[1] and tile.height_range_px[0] <= height
        big_enough = share >= FILL[0] or tile.scale >= 2.0 - 1e-9
        whole = (low >= (tile.x - 1e-6, tile.y - 1e-6)).all() and (
            high <= (tile.x + tile.side_w + 1e-6, tile.y + tile.side_h + 1e-6)
        ).all()
        if small_enough and big_enough and whole:
            return True
    return False


@settings(deadline=None, max_examples=60)
@given(
    width=st.integers(300, 9000),
    height=st.integers(300, 5000),
    top=st.floats(-400, 600),
    growth=st.floats(-300, 900),
    roll=st.floats(-300, 300),
    seed=st.integers(0, 2**31),
)
def test_every_predicted_person_is_whole_in_a_tile_of_fitting_scale(
    width: int, height: int, top: float, growth: float, roll: float, seed: int
) -> None:
    height_px = _plane(top, roll / width, growth / height)
    tiles = tiling.plan_tiles(width, height, height_px, fill=FILL, min_person_px=30)
    centers = np.random.default_rng(seed).uniform((0, 0), (width, height), (60, 2))
    heights = height_px(centers)
    for center, person in zip(centers, heights, strict=True):
        if np.isfinite(person) and person >= 30:
            assert _is_seen(tiles, center, float(person), (width, height))


def test_places_where_nobody_stands_get_no_tiles() -> None:
    horizon = _plane(-200, 0.0, 0.2)  # at row 1000
    tiles = tiling.plan_tiles(4000, 3000, horizon, min_person_px=40)
    assert tiles and min(tile.y + tile.side_h / 2 for tile in tiles) > 1000
    assert tiling.plan_tiles(4000, 3000, lambda p: np.full(len(p), np.nan)) == []
    assert tiling.plan_tiles(4000, 3000, lambda p: np.full(len(p), -3.0)) == []


def test_bounds_limit_the_plan() -> None:
    def constant(points: np.ndarray) -> np.ndarray:
        return np.full(len(points), 200.0)

    everything = tiling.plan_tiles(6000, 4000, constant)
    part = tiling.plan_tiles(6000, 4000, constant, bounds=(3000, 2000, 3500, 2300))
    assert len(part) <= 4 < len(everything)
    assert {tile.level for tile in everything} == {everything[0].level}
    assert _is_seen(part, np.array([3250.0, 2100.0]), 200.0, (6000, 4000))


def test_tiles_follow_people_and_not_the_picture() -> None:
    growing = _plane(260.0, 0.0, (968 - 260) / 6518)
    tiles = tiling.plan_tiles(19200, 6518, growing)
    assert len(tiles) <= 457  # as many as the hand-tuned rows for the same scene, or fewer
    assert [tile.index for tile in tiles] == list(range(len(tiles)))
    assert all(tile.x >= 0 and tile.x + tile.side_w <= 19200 + 1e-6 for tile in tiles)
    assert len({tile.scale for tile in tiles}) >= 4
    assert tiles == tiling.plan_tiles(19200, 6518, growing)


def test_too_many_tiles_are_refused_with_a_way_out() -> None:
    with pytest.raises(PlanError, match="min_person_px"):
        tiling.plan_tiles(90_000, 90_000, lambda p: np.full(len(p), 30.0), max_tiles=500)


@pytest.mark.parametrize(
    "options",
    [
        {"fill": (0.6, 0.3)},
        {"fill": (0.0, 0.5)},
        {"step": 3.0},
        {"step": 1.0},
        {"overlap": (0.5, 3.0)},
        {"overlap": (-1.0, 1.0)},
        {"min_person_px": 0.0},
        {"max_upscale": 0.0},
        {"bounds": (50, 50, 40, 60)},
        {"tile_px": 0},
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        tiling.plan_tiles(1000, 1000, lambda p: np.full(len(p), 100.0), **options)


def test_a_height_map_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(PlanError, match="heights for"):
        tiling.plan_tiles(1000, 1000, lambda p: np.ones(3))


@settings(deadline=None)
@given(
    st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(1, 1e4), st.floats(1, 1e4)),
    st.tuples(st.integers(16, 2048), st.integers(16, 2048)),
    st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
)
def test_to_scene_and_to_tile_are_inverse(box: Any, out: Any, point: Any) -> None:
    x, y, w, h = box
    tile = Tile(x, y, w, h, out[0], out[1], 0, 0, (1.0, 2.0))
    np.testing.assert_allclose(tile.to_scene(tile.to_tile(point)), point, atol=1e-6)
    np.testing.assert_allclose(tile.to_scene((0, 0)), box[:2])
    corner = (box[0] + box[2], box[1] + box[3])
    np.testing.assert_allclose(tile.to_tile(corner), out, atol=1e-6)


@settings(deadline=None, max_examples=80)
@given(st.integers(32, 40_000), st.integers(32, 40_000), st.integers(1, 200))
def test_scouts_cover_the_picture_within_the_budget(width: int, height: int, budget: int) -> None:
    tiles = tiling.scout_tiles(width, height, max_tiles=budget)
    assert len(tiles) <= max(1, budget)
    assert max(tile.scale for tile in tiles) <= 2.0 + 1e-9
    points = np.random.default_rng(0).uniform((0, 0), (width, height), (40, 2))
    for level in {tile.level for tile in tiles}:
        inside = np.zeros(len(points), dtype=bool)
        for tile in (tile for tile in tiles if tile.level == level):
            local = tile.to_tile(points)
            inside |= ((local >= -1e-6) & (local <= 512 + 1e-6)).all(axis=1)
        assert inside.all()
    coarsest = tiles[0]
    assert coarsest.side_w >= max(width, height) * (1 - 1e-9) or coarsest.scale >= 2.0


@pytest.mark.parametrize(("h_min", "h_max", "band", "width", "patches"), SCENES)
def test_rows_give_the_published_patches(
    h_min: int, h_max: int, band: tuple[int, int], width: int, patches: int
) -> None:
    tiles = tiling.plan_rows(width, h_min, h_max, band)
    assert len(tiles) == patches
    assert min(tile.x for tile in tiles) == 0
    assert max(tile.x + tile.side_w for tile in tiles) >= width - 2
    assert max(tile.x + tile.side_w for tile in tiles) <= width
    assert min(tile.y for tile in tiles) == band[0]
    assert max(tile.y + tile.side_h for tile in tiles) == band[1]


def test_row_heights_of_the_published_example() -> None:
    n, q, rows = tiling.geometric_rows(260, 968, (0, 6518))
    assert n == 6 and math.isclose(q, 1.293, abs_tol=5e-4)
    heights = [end - start for start, end in rows]
    assert heights == [520, 596, 672, 770, 869, 996, 1123, 1288, 1453, 1666, 1881]


@pytest.mark.parametrize(
    ("h_min", "h_max", "band"),
    [
        (500, 900, (0, 900)),  # a band of less than one row: the published code never ends
        (500, 900, (0, 1000)),
        (500, 900, (800, 100)),
        (0, 900, (0, 6000)),
        (100, -5, (0, 6000)),
        (500, 0.001, (0, 1001)),
    ],
)
def test_rows_that_cannot_be_are_refused(h_min: int, h_max: float, band: tuple[int, int]) -> None:
    with pytest.raises(PlanError):
        tiling.plan_rows(19200, h_min, h_max, band)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 20_000),
    st.floats(1, 3000),
    st.floats(1, 3000),
    st.tuples(st.integers(0, 5000), st.integers(0, 20_000)),
)
def test_rows_always_end(width: int, h_min: float, h_max: float, band: tuple[int, int]) -> None:
    try:
        rows = tiling.geometric_rows(h_min, h_max, band)[2]
    except PlanError:
        return
    assert rows[0][0] == band[0] and rows[-1][1] == band[1]
    assert all(end > start for start, end in rows)
