"""The lens is read from edges that ought to be straight, and from nothing else."""

import numpy as np
import pytest

import optim
from optim import Lens, fit_with_free_center, lens_from_edges
from optim.projection import project, rays

SIZE = (1600, 1200)
UNIT_PX = float(np.hypot(*SIZE) / 2)
CENTER = np.array(SIZE) / 2


def bent(points_px: np.ndarray, k1: float) -> np.ndarray:
    """Pixels of a lens without distortion as one with k1 (radii in half diagonals) shows them."""
    return project(rays(points_px, UNIT_PX, CENTER), UNIT_PX, CENTER, (k1, 0.0))


def straight_edges(seed: int, n: int = 30, k1: float = 0.0, noise_px: float = 0.15) -> list:
    rng = np.random.default_rng(seed)
    edges = []
    for _ in range(n):
        start = rng.uniform([100, 100], [1500, 1100])
        angle = rng.uniform(0, 2 * np.pi)
        steps = np.arange(0.0, rng.uniform(120, 400))
        points = bent(start + steps[:, None] * [np.cos(angle), np.sin(angle)], k1)
        inside = ((points > 0) & (points < SIZE)).all(axis=1)
        edges.append(points[inside] + rng.normal(0, noise_px, (inside.sum(), 2)))
    return [edge for edge in edges if len(edge) > 60]


@pytest.mark.parametrize("k1", [-0.06, -0.02, 0.0, 0.03])
def test_the_distortion_that_bent_the_edges_is_found(k1):
    lens = lens_from_edges(straight_edges(1, k1=k1), SIZE)
    assert lens.k1 == pytest.approx(k1, abs=4 * lens.sd)
    assert lens.sd < 0.01
    assert lens.is_bent == (abs(k1) > 3 * lens.sd)


def test_the_spread_is_honest():
    apart = []
    for seed in range(40):
        lens = lens_from_edges(straight_edges(seed, n=25, k1=-0.02), SIZE)
        apart.append((lens.k1 + 0.02) / lens.sd)
    assert np.mean(np.abs(apart) < 2) > 0.85
    assert np.sqrt(np.mean(np.square(apart))) > 0.2  # and not so wide that it says nothing


def test_edges_that_are_curved_in_the_world_are_left_aside():
    rng = np.random.default_rng(3)
    arcs = []
    for _ in range(12):
        angle = np.linspace(0, rng.uniform(0.5, 1.5), 200) + rng.uniform(0, 2 * np.pi)
        middle = rng.uniform([400, 300], [1200, 900])
        arcs.append(middle + rng.uniform(80, 250) * np.stack([np.cos(angle), np.sin(angle)], 1))
    lens = lens_from_edges(straight_edges(4) + arcs, SIZE)
    assert not lens.is_bent
    only_arcs = lens_from_edges(arcs, SIZE)
    assert not only_arcs.is_bent


def test_without_edges_nothing_is_claimed():
    for edges in ([], [np.zeros((3, 2))], [np.full((50, 2), 7.0)]):
        lens = lens_from_edges(edges, SIZE)
        assert lens.k1 == pytest.approx(0.0, abs=1e-9) and not lens.is_bent
        assert lens.sd > 0.02


def test_order_mirror_and_scale_do_not_matter():
    edges = straight_edges(5, k1=-0.04)
    lens = lens_from_edges(edges, SIZE)
    turned = lens_from_edges([edge[::-1] for edge in edges[::-1]], SIZE)
    mirrored = lens_from_edges([[SIZE[0], 0] + edge * [-1, 1] for edge in edges], SIZE)
    assert turned.k1 == pytest.approx(lens.k1, abs=1e-9)
    assert mirrored.k1 == pytest.approx(lens.k1, abs=1e-6)


def test_what_is_no_edge_is_refused():
    with pytest.raises(optim.BadInput, match=r"\(M, 2\)"):
        lens_from_edges([np.zeros((20, 3))], SIZE)
    with pytest.raises(optim.BadInput, match="image_size"):
        lens_from_edges([], (0, 5))


def crowd(k1: float, seed: int) -> np.ndarray:
    """People before a wide camera that looks down by 25 degrees, through a lens with k1 in half diagonals."""
    rng = np.random.default_rng(seed)
    pitch, n, focal = np.radians(25), 250, 1200.0
    up = np.array([0.0, -np.cos(pitch), -np.sin(pitch)])
    ahead = np.array([0.0, -np.sin(pitch), np.cos(pitch)])
    foot = np.stack([rng.uniform(-7, 7, n), np.zeros(n), np.zeros(n)], axis=1)
    foot += rng.uniform(8, 25, n)[:, None] * ahead - 6.0 * up
    heights = optim.anthropometry.HEIGHT_FRACTION.copy()
    heights[7:11] = 0.5
    points = foot[:, None] + (rng.normal(1.70, 0.08, n)[:, None] * heights)[..., None] * up
    pixels = bent(project(points, focal, CENTER), k1) + rng.normal(0, 1.0, (n, 17, 2))
    inside = ((pixels > 0) & (pixels < SIZE)).all(axis=(1, 2))
    return np.concatenate([pixels, np.full((n, 17, 1), 0.8)], axis=2)[inside]


def test_people_and_edges_together_undo_a_lens():
    up = np.array([0.0, -np.cos(np.radians(25)), -np.sin(np.radians(25))])
    with_lens, without = [], []
    for seed in range(3):
        people = crowd(-0.06, seed)
        lens = lens_from_edges(straight_edges(seed, k1=-0.06), SIZE)
        for found, errors in ((lens, with_lens), (None, without)):
            fit = fit_with_free_center(people, SIZE, center_sd_px=60.0, lens=found)
            errors.append([abs(np.log(fit.focal_px / 1200.0)), np.arccos(fit.normal @ up)])
        assert fit.distortion == (0.0, 0.0)
    assert np.all(np.mean(with_lens, axis=0) < 0.5 * np.mean(without, axis=0))


def test_a_lens_that_edges_do_not_exclude_to_be_straight_changes_nothing():
    people = crowd(0.0, 1)
    doubtful = Lens(k1=-0.02, sd=0.01, unit_px=UNIT_PX, edges=10.0)
    plain = fit_with_free_center(people, SIZE, center_sd_px=60.0)
    same = fit_with_free_center(people, SIZE, center_sd_px=60.0, lens=doubtful)
    assert same.focal_px == plain.focal_px and same.distortion == (0.0, 0.0)


def test_the_answer_bends_pixels_as_the_lens_did():
    lens = lens_from_edges(straight_edges(2, k1=-0.06), SIZE)
    fit = fit_with_free_center(crowd(-0.06, 2), SIZE, center_sd_px=60.0, lens=lens)
    where = CENTER + np.array([[500.0, 300.0], [-300.0, 100.0]])
    true = rays(where, UNIT_PX, CENTER, (-0.06, 0.0))
    found = rays(where, fit.focal_px, fit.center_px, fit.distortion)
    straight = true[:, :2] / true[:, 2:] * UNIT_PX + CENTER
    answer = found[:, :2] / found[:, 2:] * fit.focal_px + fit.center_px
    assert np.abs(answer - straight).max() < 0.5 * np.abs(where - straight).max()
    assert "estimated" in fit.report["distortion"]


def test_a_given_unit_of_radii_is_checked():
    with pytest.raises(optim.BadInput, match="distortion_unit_px"):
        optim.fit_ground_camera(crowd(0.0, 1), SIZE, distortion=(0.1, 0), distortion_unit_px=-1.0)
