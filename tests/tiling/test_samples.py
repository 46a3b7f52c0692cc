"""What bands and ranges mean: the same grey comes out of every way to store it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from helpers.odd_pictures import tiff

import tiling

SIDE = 64
COLOUR = np.array([200, 100, 50])


def _picture(dtype: Any, factor: float, *extra: float) -> Any:
    """(64, 64, 3 + extra): one colour, and a white and a black corner, so that the range is used."""
    pixels = np.empty((SIDE, SIDE, 3 + len(extra)), float)
    pixels[..., :3] = COLOUR
    pixels[-4:, -4:, :3], pixels[-4:, :4, :3] = 255, 0
    pixels = pixels * factor
    pixels[..., 3:] = extra
    return pixels.astype(dtype)


def _read(path: Path, pixels: Any, **options: Any) -> tuple[Any, list[str]]:
    pyvips.Image.new_from_array(pixels).copy(interpretation="multiband").tiffsave(path, **options)
    with tiling.open_image(path) as source:
        return source.read(0, 0, 32, 32).astype(int), source.remarks


@pytest.mark.parametrize("tile", [False, True])
@pytest.mark.parametrize(("bits", "largest"), [(8, 255), (10, 1023), (12, 4095)])
def test_few_bits_in_16_are_scaled(tmp_path: Path, tile: bool, bits: int, largest: int) -> None:
    image = pyvips.Image.new_from_array(_picture(np.uint16, largest / 255)).copy(
        interpretation="rgb16"
    )
    image.tiffsave(tmp_path / "a.tif", tile=tile, tile_width=16, tile_height=16)
    with tiling.open_image(tmp_path / "a.tif") as source:
        assert np.abs(source.read(0, 0, 32, 32).astype(int) - COLOUR).max() <= 1
        assert source.remarks == [f"16-bit samples use {bits} bits only and were scaled"]


def test_all_bits_of_16_are_left_alone(tmp_path: Path) -> None:
    image = pyvips.Image.new_from_array(_picture(np.uint16, 257)).copy(interpretation="rgb16")
    image.pngsave(tmp_path / "a.png")
    with tiling.open_image(tmp_path / "a.png") as source:
        assert np.abs(source.read(0, 0, 32, 32).astype(int) - COLOUR).max() <= 1
        assert source.remarks == []


@pytest.mark.parametrize(("white", "word"), [(255.0, "0 to 255"), (65535.0, "0 to 65535")])
def test_float_that_counts_like_bytes(tmp_path: Path, white: float, word: str) -> None:
    answer, remarks = _read(tmp_path / "a.tif", _picture(np.float32, white / 255))
    assert np.abs(answer - COLOUR).max() <= 1
    assert len(remarks) == 1 and word in remarks[0] and "float samples" in remarks[0]


@pytest.mark.parametrize("exposure", [1.0, 0.5])
def test_float_of_linear_light(tmp_path: Path, exposure: float) -> None:
    coded = COLOUR / 255
    linear = np.where(
        coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4
    )  # IEC 61966-2-1
    pixels = np.broadcast_to(linear * exposure, (SIDE, SIDE, 3)).astype(np.float32).copy()
    answer, remarks = _read(tmp_path / "a.tif", pixels)
    assert remarks == ["float samples from 0 to 1 were read as linear light"]
    if exposure == 1.0:
        assert np.abs(answer - COLOUR).max() <= 1


def test_float_without_limit_keeps_what_is_not_a_highlight(tmp_path: Path) -> None:
    pixels = np.full((SIDE, SIDE, 3), 0.2, np.float32)
    pixels[:20] = 2.0
    pixels[0, :3] = 900.0  # the sun
    pixels[40, 40] = np.nan
    answer, remarks = _read(tmp_path / "a.tif", pixels)
    assert (answer[5] == 255).all()
    assert np.abs(answer[30] - 89).max() <= 1  # 0.1 of white in linear light is 89 in sRGB
    assert "with 2 as white" in remarks[0]


def test_a_fourth_band_is_transparency_only_if_the_file_says_so(tmp_path: Path) -> None:
    pixels = _picture(np.uint8, 1.0, 30)
    tags = {
        **{
            256: ("I", [SIDE]),
            257: ("I", [SIDE]),
            258: ("H", [8] * 4),
            259: ("H", [1]),
            262: ("H", [2]),
        },
        **{273: ("blob", [0]), 277: ("H", [4]), 278: ("I", [SIDE]), 279: ("I", [pixels.size])},
    }
    for extra, is_alpha in ((None, False), (0, False), (2, True)):
        one = {**tags, **({} if extra is None else {338: ("H", [extra])})}
        (tmp_path / "a.tif").write_bytes(tiff([one], [pixels.tobytes()]))
        with tiling.open_image(tmp_path / "a.tif") as source:
            answer = source.read(0, 0, 32, 32).astype(int)
            assert bool(source.remarks) != is_alpha
        expected = COLOUR * 30 / 255 + 114 * 225 / 255 if is_alpha else COLOUR
        assert np.abs(answer - expected).max() <= 1


@pytest.mark.parametrize("bands", [5, 7])
def test_many_bands_are_refused_in_one_line(tmp_path: Path, bands: int) -> None:
    pixels = np.zeros((SIDE, SIDE, bands), np.uint8)
    pyvips.Image.new_from_array(pixels).tiffsave(tmp_path / "a.tif")
    with pytest.raises(tiling.ImageError, match=f"{bands} bands in each pixel") as caught:
        tiling.open_image(tmp_path / "a.tif")
    assert "\n" not in str(caught.value)
