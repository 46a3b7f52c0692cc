"""A panorama that does not say so is told from a picture through a lens by its straight edges."""

import numpy as np
import pytest

import optim
from optim import BadInput, panorama, projection

SIZE = (1800, 750)
CENTER = (900.0, 375.0)


def _edges(project, near: float = 1.0) -> list[np.ndarray]:
    """Points along the edges of houses: posts, and level lines of two walls, above and below the eye."""
    rng = np.random.default_rng(2)
    found = []
    for height in (-6.0, -4.0, -2.0, 1.0, 2.0):
        for start in (-14.0, -6.0, 2.0, 8.0):
            along = start + np.linspace(0, 5, 80)
            found.append(np.stack([along, np.full(80, height), 12 - 0.2 * along], axis=1))
    for across in np.linspace(-14, 14, 12):
        up = np.linspace(-6, 2, 80)
        found.append(np.stack([np.full(80, across), up, np.full(80, 11.0)], axis=1))
    seen = [project(edge / [1, 1, near]) for edge in found]
    inside = [np.isfinite(e).all() and ((e > 0) & (e < SIZE)).all() for e in seen]
    return [e + rng.normal(0, 0.05, e.shape) for e, ok in zip(seen, inside, strict=True) if ok]


@pytest.mark.parametrize("fov_deg", [90, 110, 150])
def test_a_cylinder_is_clear_and_so_is_its_width(fov_deg: float):
    focal = SIZE[0] / np.radians(fov_deg)
    edges = _edges(lambda x: panorama.project(x, focal, CENTER, panorama.CYLINDRICAL))
    told = optim.straightness(edges, SIZE)
    assert told.log_odds > 20 and told.fov_deg == fov_deg and told.edges == len(edges) > 10


@pytest.mark.parametrize("k1", [0.0, -0.1, 0.05])
@pytest.mark.parametrize("fov_deg", [50, 80, 105])
def test_lenses_are_no_panoramas(fov_deg: float, k1: float):
    focal = 0.5 * SIZE[0] / np.tan(np.radians(fov_deg / 2))
    bend = k1 * (focal / np.hypot(*CENTER)) ** 2
    # The nearer, the wider the view, so that the same edges fill the picture.
    edges = _edges(lambda x: projection.project(x, focal, CENTER, (bend, 0.0)), 800 / focal)
    told = optim.straightness(edges, SIZE)
    assert told.log_odds < -4 and told.edges > 10


def test_no_edges_decide_nothing():
    assert optim.straightness([], SIZE).log_odds == 0
    assert optim.straightness([np.zeros((5, 2))], SIZE).edges == 0
    same = optim.straightness([np.full((40, 2), 7.0)], SIZE)
    assert np.isfinite(same.log_odds)
    with pytest.raises(BadInput, match="an edge must be"):
        optim.straightness([np.full((40, 2), np.nan)], SIZE)
