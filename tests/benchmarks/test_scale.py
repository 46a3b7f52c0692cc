"""Seconds for more cores follow from those on one and on several."""

import pytest
import scale


@pytest.mark.parametrize("cores", [2, 4])
def test_what_is_shared_is_told_from_what_is_not(cores):
    a, b = scale.shared_part(3.0 + 8.0, 3.0 + 8.0 / cores, cores)
    assert (a, b) == pytest.approx((3.0, 8.0))


def test_noise_makes_nothing_negative():
    assert scale.shared_part(2.0, 2.5, 2) == (2.0, 0.0)
    assert scale.shared_part(2.0, 0.5, 2) == (0.0, 2.0)


def test_the_last_lines_add_up():
    one, some = {"open": 4.0, "infer": 16.0}, {"open": 4.0, "infer": 8.0}
    rows = scale.table(one, some, 2).rows
    assert rows[-2] == ["all", 20.0, 12.0, 8.0, 6.0, 5.0]
    assert rows[-1] == ["times as fast", *(20.0 / s for s in (20.0, 12.0, 8.0, 6.0, 5.0))]
