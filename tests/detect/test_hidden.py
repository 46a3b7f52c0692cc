"""Who is hidden by whom."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d.detect.hidden import _COLUMNS, _NEARER, _ROWS, _SLENDER, hidden_share


def naive(box_px: np.ndarray, is_solid: np.ndarray) -> np.ndarray:
    """Point by point."""
    shares = []
    for i, (left, top, right, bottom) in enumerate(box_px):
        covered = []
        for row in _ROWS:
            for column in _COLUMNS:
                u, v = left + column * (right - left), top + row * (bottom - top)
                covered.append(
                    any(
                        j != i
                        and is_solid[j]
                        and other[3] > bottom + _NEARER * (bottom - top)
                        and abs(u - (other[0] + other[2]) / 2)
                        < _SLENDER * (other[2] - other[0]) / 2
                        and other[1] < v < other[3]
                        for j, other in enumerate(box_px)
                    )
                )
        shares.append(np.mean(covered))
    return np.array(shares)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25))
def test_it_is_what_a_look_at_every_point_says(seed, count):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 200, (count, 2)), rng.uniform(20, 120, (count, 2))
    box, solid = np.hstack([corner, corner + size]), rng.random(count) < 0.7
    np.testing.assert_allclose(hidden_share(box, solid), naive(box, solid))


def test_the_nearer_hides_the_farther_and_not_the_other_way():
    box = np.array([[100.0, 100, 140, 220], [100, 150, 140, 280]])
    share = hidden_share(box, np.ones(2, bool))
    assert share[0] > 0.5 and share[1] == 0
    assert (hidden_share(box, np.zeros(2, bool)) == 0).all()
    assert len(hidden_share(np.zeros((0, 4)), np.zeros(0, bool))) == 0
