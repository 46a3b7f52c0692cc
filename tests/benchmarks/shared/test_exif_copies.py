"""A copy with EXIF has the same pixels and tells its focal length."""

import numpy as np
import pytest
import pyvips
from shared.exif_copies import with_focal_length

from crowd3d.picture.camera_hint import CameraHint
from tiling import open_image


@pytest.mark.parametrize("focal_px", [300.0, 1500.0])
def test_the_focal_length_is_read_from_the_copy(tmp_path, focal_px):
    picture = tmp_path / "image.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    pyvips.Image.new_from_array(noise).write_to_file(str(picture))
    copy = with_focal_length(picture, focal_px)
    with open_image(copy) as told, open_image(picture) as plain:
        known = CameraHint().resolve(told.width, told.height, told.xmp, told.exif)
        whole = (0, 0, 400, 300, (400, 300))
        np.testing.assert_array_equal(told.read(*whole), plain.read(*whole))
        assert "FocalLengthIn35mmFilm" not in plain.exif
    assert known.camera is None
    assert known.focal_prior[0] == pytest.approx(focal_px, rel=0.5 / 26)  # whole millimetres
