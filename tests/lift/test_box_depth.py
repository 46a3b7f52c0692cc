"""Depth from the size of a box, and the boxes: exact where they should be, refused when used wrongly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd3d.errors import DataError
from crowd3d.lift.box_depth import gamma_of_extent, k_m
from crowd3d.maths.box import Box

PICTURE = (19200, 6480)


def standing_box(depth_m: float, focal_px: float, height_m: float = 1.7) -> Box:
    """The tight box of an upright person on the optical axis."""
    side = focal_px * height_m / depth_m
    x, y = PICTURE[0] / 2, PICTURE[1] / 2
    return Box(np.array([x - side / 8, y - side / 2, side / 4, side]), "xywh", extended=False)


@pytest.mark.parametrize("focal_px", [1500.0, 8000.0])
@pytest.mark.parametrize("depth_m", [5.0, 20.0, 100.0])
def test_a_standing_person_of_known_extent(depth_m, focal_px):
    box = standing_box(depth_m, focal_px).extend(PICTURE)
    found = k_m(box, focal_px) * gamma_of_extent(1.7)
    np.testing.assert_allclose(found, depth_m, rtol=1e-9)
    np.testing.assert_allclose(k_m(box, 2 * focal_px), 2 * k_m(box, focal_px), rtol=1e-12)
    np.testing.assert_allclose(k_m(box, (2 * focal_px, focal_px / 2)), k_m(box, focal_px))


def test_extending_twice_raises_and_would_cost_a_fifth_of_the_depth():
    box = standing_box(20.0, 1500.0).extend(PICTURE)
    with pytest.raises(DataError, match="extended already"):
        box.extend(PICTURE)
    passed_off_as_tight = Box(box.values, "xywh", extended=False).extend(PICTURE)
    wrong = k_m(passed_off_as_tight, 1500.0) * gamma_of_extent(1.7)
    np.testing.assert_allclose(wrong, 20.0 / 1.25)


def test_tight_boxes_have_no_k():
    with pytest.raises(DataError, match="extend"):
        k_m(standing_box(20.0, 1500.0), 1500.0)


def test_a_box_in_the_wrong_format_is_named():
    with pytest.raises(DataError, match="is it xywh"):
        Box(np.array([[500.0, 400.0, 60.0, 200.0]]), "xyxy", extended=False)
    with pytest.raises(DataError, match="outside the picture"):
        Box(np.array([[-90.0, 0.0, 60.0, 200.0]]), "xywh", extended=False).extend(PICTURE)
    with pytest.raises(DataError, match="finite"):
        Box(np.array([[np.nan, 0.0, 60.0, 200.0]]), "xywh", extended=False)
    with pytest.raises(DataError, match="format"):
        Box(np.zeros((1, 4)), "yxyx", extended=False)  # type: ignore[arg-type]


@given(st.tuples(*[st.floats(0, 900)] * 2), st.tuples(*[st.floats(1, 90)] * 2), st.floats(0.5, 2.0))
def test_boxes_keep_their_place_through_formats_and_extension(left_top, size, aspect):
    box = Box(np.array([*left_top, *size]), "xywh", extended=False)
    there = box.to("xyxy")
    np.testing.assert_allclose(there.to("xywh").values, box.values, atol=1e-9)
    larger = box.extend((1000, 1000), aspect)
    np.testing.assert_allclose(larger.center_px, there.center_px)
    w, h = larger.size_px[0]
    assert w / h == pytest.approx(aspect) and larger.extended
    assert (larger.size_px >= 1.25 * box.size_px - 1e-9).all()
    assert np.isclose(larger.size_px, 1.25 * box.size_px).any()
