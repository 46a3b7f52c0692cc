"""A focal length that the camera wrote down is believed as far as the picture is still the camera's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from crowd3d.picture.camera_hint import CameraHint
from crowd3d.picture.exif import focal_prior
from crowd3d.picture.sensors import sensor_width_mm
from tiling import open_image
from tiling.loading import exif_model

SIDES = {"PixelXDimension": 4000.0, "PixelYDimension": 3000.0}
PHONE = {"FocalLengthIn35mmFilm": 26.0, **SIDES}
# A DSLR of 2007: 3888 px on 22.2 mm, in inches.
REFLEX = {
    "FocalLength": 50.0,
    "FocalPlaneXResolution": 3888000 / 876,
    "FocalPlaneResolutionUnit": 2.0,
    "PixelXDimension": 3888.0,
    "PixelYDimension": 2592.0,
}


def test_the_equivalent_focal_length_keeps_the_diagonal_field_of_view():
    focal_px, log_sd = focal_prior(PHONE, 4000, 3000)
    assert 2500 / focal_px == pytest.approx(np.hypot(18, 12) / 26)
    assert 0.03 < log_sd < 0.15


def test_a_scaled_or_turned_picture_keeps_it():
    half, _ = focal_prior(PHONE, 2000, 1500)
    turned, _ = focal_prior(PHONE, 3000, 4000)
    whole, _ = focal_prior(PHONE, 4000, 3000)
    assert half == pytest.approx(whole / 2) and turned == pytest.approx(whole)


def test_the_focal_plane_tells_the_sensor():
    focal_px, log_sd = focal_prior(REFLEX, 3888, 2592)
    assert focal_px == pytest.approx(50 / (25.4 * 876 / 1000) * 3888)
    assert log_sd < focal_prior(PHONE, 4000, 3000)[1]
    zero = REFLEX | {"FocalLengthIn35mmFilm": 0.0}
    assert focal_prior(zero, 1944, 1296)[0] == pytest.approx(focal_px / 2)
    in_cm = {"FocalPlaneResolutionUnit": 3.0, "FocalPlaneXResolution": 38880 / 22.25}
    assert focal_prior(REFLEX | in_cm, 3888, 2592)[0] == pytest.approx(focal_px, rel=1e-3)
    said = PHONE | {"FocalPlaneXResolution": 100.0, "FocalLength": 4.2}
    assert focal_prior(said, 4000, 3000) == focal_prior(PHONE, 4000, 3000)  # 35 mm comes first


@pytest.mark.parametrize(
    ("model", "width_mm"),
    [
        ("Canon Canon EOS 40D", 22.3),
        ("Canon Canon EOS 5D Mark II", 36.0),
        ("Canon Canon EOS R10", 22.3),
        ("Canon Canon EOS R6m2", 36.0),
        ("Canon Canon EOS-1D Mark III", 28.1),
        ("NIKON CORPORATION NIKON D70", 23.6),
        ("NIKON CORPORATION NIKON D700", 36.0),
        ("NIKON CORPORATION NIKON D7000", 23.6),
        ("NIKON CORPORATION NIKON D3S", 36.0),
        ("NIKON CORPORATION NIKON D300", 23.6),
        ("NIKON CORPORATION NIKON Z 6_2", 36.0),
        ("NIKON CORPORATION NIKON Z 50", 23.6),
        ("SONY ILCE-7M3", 36.0),
        ("SONY ILCE-6000", 23.6),
        ("SONY DSC-RX100M3", 13.2),
        ("SONY DSC-RX1R", 36.0),
        ("FUJIFILM X-T30", 23.6),
        ("FUJIFILM X-S1", 8.8),
        ("OLYMPUS IMAGING CORP. E-M5", 17.3),
        ("Panasonic DMC-GH4", 17.3),
        ("Panasonic DMC-FZ1000", 13.2),
        ("Leica Camera AG LEICA M (Typ 240)", 36.0),
        ("Apple iPhone 4", 4.54),
    ],
)
def test_cameras_of_known_series_have_their_sensor(model, width_mm):
    assert sensor_width_mm(model)[0] == width_mm
    focal_px, _ = focal_prior({"FocalLength": width_mm}, 3000, 2000, model)
    assert focal_px == pytest.approx(3000)  # as long as the sensor is wide


def test_a_series_of_several_sensors_is_less_sure():
    sure = focal_prior({"FocalLength": 50.0}, 3000, 2000, "Canon EOS 40D")[1]
    series = focal_prior({"FocalLength": 6.0}, 4000, 3000, "SONY DSC-W55")[1]
    assert series > 2 * sure


@given(st.text(max_size=300))
def test_no_model_is_too_odd(model):
    found = sensor_width_mm(model)
    assert found is None or 4 < found[0] < 60


def test_a_digital_zoom_is_counted_in_and_doubted():
    plain = focal_prior(REFLEX, 3888, 2592)
    for not_used in (0.0, 1.0, float("nan"), 1e9):
        assert focal_prior(REFLEX | {"DigitalZoomRatio": not_used}, 3888, 2592) == plain
    zoomed = focal_prior(REFLEX | {"DigitalZoomRatio": 2.0}, 3888, 2592)
    assert zoomed[0] == pytest.approx(2 * plain[0]) and zoomed[1] == plain[1]
    # Of a 35 mm equivalent nobody knows whether it is counted in: both are within one standard deviation.
    once, log_sd = focal_prior(PHONE | {"DigitalZoomRatio": 2.0}, 4000, 3000)
    bare, bare_sd = focal_prior(PHONE, 4000, 3000)
    assert bare < once < 2 * bare
    assert abs(np.log(once / bare)) < log_sd and abs(np.log(2 * bare / once)) < log_sd > bare_sd


def test_a_crop_is_told_from_a_smaller_copy():
    whole, sd = focal_prior(PHONE, 4000, 3000)
    assert focal_prior(PHONE, 4000, 2250) == (
        pytest.approx(whole),
        pytest.approx(sd),
    )  # rows cut off
    upright, upright_sd = focal_prior(PHONE, 1500, 3000)  # of a picture taken upright, or not
    assert 0 < np.log(whole / upright) < upright_sd < 0.2
    # Both sides are shorter, and the shape is another: cut out as it is, or cut and scaled down.
    unsure, unsure_sd = focal_prior(PHONE, 1920, 1080)
    assert whole * 1920 / 4000 < unsure < whole
    assert unsure_sd > 0.3 and np.log(whole / unsure) < unsure_sd
    assert focal_prior(PHONE, 5000, 3000) is None  # larger than it was taken


@pytest.mark.parametrize(
    ("tags", "size"),
    [
        ({}, (4000, 3000)),
        (SIDES | {"FocalLength": 4.2}, (4000, 3000)),  # of an unknown sensor
        (PHONE | {"PixelXDimension": 16000.0}, (16000, 3000)),  # stitched
        (PHONE | {"FocalLengthIn35mmFilm": 0.0}, (4000, 3000)),  # "unknown", says the standard
        (PHONE | {"FocalLengthIn35mmFilm": float("nan")}, (4000, 3000)),
        (REFLEX | {"FocalLength": 0.0}, (3888, 2592)),
        (REFLEX | {"FocalPlaneXResolution": 180.0}, (3888, 2592)),  # a sensor of half a metre
        (REFLEX | {"FocalPlaneResolutionUnit": 7.0}, (3888, 2592)),
        (REFLEX | {"FocalPlaneXResolution": float("nan")}, (3888, 2592)),
    ],
)
def test_what_the_tags_do_not_tell_is_not_invented(tags, size):
    assert focal_prior(tags, *size) is None


def _with_record(path, ifd0=(), ifd2=()):
    image = pyvips.Image.new_from_array(np.full((300, 400, 3), 90, np.uint8)).copy()
    for ifd, entries in ((0, ifd0), (2, ifd2)):
        for name, value in entries:
            image.set_type(pyvips.GValue.gstr_type, f"exif-ifd{ifd}-{name}", value)
    image.write_to_file(str(path))
    return path


def test_it_is_read_from_a_file_and_hinted(tmp_path):
    record = (("FocalLengthIn35mmFilm", "26"), ("FocalLength", "4250/1000"))
    with open_image(_with_record(tmp_path / "phone.jpg", ifd2=record)) as source:
        assert source.exif["FocalLength"] == pytest.approx(4.25)
        assert source.exif["FocalLengthIn35mmFilm"] == 26.0
        known = CameraHint().resolve(source.width, source.height, source.xmp, source.exif)
        given = CameraHint(fov_deg=50.0).resolve(400, 300, b"", source.exif)
    assert known.camera is None
    assert known.focal_prior[0] == pytest.approx(250 * 26 / np.hypot(18, 12))
    assert given.focal_prior is None  # what the user says is exact
    assert CameraHint(projection="cylindrical").resolve(400, 300, b"", PHONE).focal_prior is None


def test_the_model_is_read_from_a_file(tmp_path):
    record = (("Make", "Canon"), ("Model", "Canon EOS 40D"))
    with open_image(_with_record(tmp_path / "camera.jpg", ifd0=record)) as source:
        assert source.camera_model == "Canon Canon EOS 40D"


@pytest.mark.parametrize("model", ["M (Typ 240)", "a (b), c", "", "x, ASCII, "])
def test_brackets_in_a_model_are_its_own(model):
    printed = f"{model} ({model}, ASCII, {len(model) + 1} components, {len(model) + 1} bytes)"
    record = {"exif-ifd0-Model": printed}
    image = SimpleNamespace(get=record.get, get_typeof=lambda name: int(name in record))
    assert exif_model(image) == model.strip()


def test_a_reflex_without_the_equivalent_has_a_prior(tmp_path):
    record = (
        ("FocalLength", "50/1"),
        ("FocalPlaneXResolution", "3888000/876"),
        ("FocalPlaneResolutionUnit", "2"),
        ("PixelXDimension", "3888"),
        ("PixelYDimension", "2592"),
    )
    with open_image(_with_record(tmp_path / "reflex.jpg", ifd2=record)) as source:
        tags = source.exif
    # libvips writes the picture's own size: what is left of the record is the sensor's resolution.
    assert tags["FocalPlaneXResolution"] == pytest.approx(3888000 / 876, rel=1e-6)
    assert tags["FocalPlaneResolutionUnit"] == 2.0


def test_a_file_without_a_record_has_no_numbers(tmp_path):
    pyvips.Image.black(64, 48).write_to_file(str(tmp_path / "plain.png"))
    with open_image(tmp_path / "plain.png") as source:
        assert "FocalLengthIn35mmFilm" not in source.exif and source.camera_model == ""
