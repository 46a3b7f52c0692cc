"""A focal length that the camera wrote down is believed as far as the picture is still the camera's."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips

from crowd3d.picture.camera_hint import CameraHint
from crowd3d.picture.exif import focal_prior
from tiling import open_image

PHONE = {"FocalLengthIn35mmFilm": 26.0, "PixelXDimension": 4000.0, "PixelYDimension": 3000.0}


def test_the_equivalent_focal_length_keeps_the_diagonal_field_of_view():
    focal_px, log_sd = focal_prior(PHONE, 4000, 3000)
    assert 2500 / focal_px == pytest.approx(np.hypot(18, 12) / 26)
    assert 0.03 < log_sd < 0.15


def test_a_scaled_or_turned_picture_keeps_it():
    half, _ = focal_prior(PHONE, 2000, 1500)
    turned, _ = focal_prior(PHONE, 3000, 4000)
    whole, _ = focal_prior(PHONE, 4000, 3000)
    assert half == pytest.approx(whole / 2) and turned == pytest.approx(whole)


@pytest.mark.parametrize(
    ("tags", "size"),
    [
        ({}, (4000, 3000)),
        (PHONE, (4000, 2250)),  # cropped
        (PHONE | {"PixelXDimension": 16000.0}, (16000, 3000)),  # stitched
        (PHONE | {"FocalLengthIn35mmFilm": 0.0}, (4000, 3000)),  # "unknown", says the standard
        (PHONE | {"FocalLengthIn35mmFilm": float("nan")}, (4000, 3000)),
    ],
)
def test_what_the_tags_do_not_tell_is_not_invented(tags, size):
    assert focal_prior(tags, *size) is None


@pytest.fixture
def picture(tmp_path):
    """A JPEG with the EXIF record of a phone."""
    image = pyvips.Image.new_from_array(np.full((300, 400, 3), 90, np.uint8)).copy()
    for name, value in (("FocalLengthIn35mmFilm", "26"), ("FocalLength", "4250/1000")):
        image.set_type(pyvips.GValue.gstr_type, f"exif-ifd2-{name}", value)
    image.write_to_file(str(tmp_path / "phone.jpg"))
    return tmp_path / "phone.jpg"


def test_it_is_read_from_a_file_and_hinted(picture):
    with open_image(picture) as source:
        assert source.exif["FocalLength"] == pytest.approx(4.25)
        assert source.exif["FocalLengthIn35mmFilm"] == 26.0
        known = CameraHint().resolve(source.width, source.height, source.xmp, source.exif)
        given = CameraHint(fov_deg=50.0).resolve(400, 300, b"", source.exif)
    assert known.camera is None
    assert known.focal_prior[0] == pytest.approx(250 * 26 / np.hypot(18, 12))
    assert given.focal_prior is None  # what the user says is exact
    assert CameraHint(projection="cylindrical").resolve(400, 300, b"", PHONE).focal_prior is None


def test_a_file_without_a_record_has_no_numbers(tmp_path):
    pyvips.Image.black(64, 48).write_to_file(str(tmp_path / "plain.png"))
    with open_image(tmp_path / "plain.png") as source:
        assert "FocalLengthIn35mmFilm" not in source.exif
