"""Every format that people have: the right pixels, or one line that says what to install or to do."""

import io
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvips
from helpers.odd_pictures import COLOURS, HEIGHT, SIZE, WIDTH, dng, halves, jpeg, psd, tiff
from PIL import Image

import tiling
from tiling import foreign
from tiling.formats import AVIF, HEIC, format_of


def is_halves(path: Path, most: int = 6) -> bool:
    """Whether a file shows `halves`, but for what its compression loses."""
    with tiling.open_image(path) as source:
        assert (source.width, source.height) == SIZE
        pixels = source.read(0, 0, *SIZE).astype(int)
    inner = [slice(4, WIDTH // 2 - 4), slice(WIDTH // 2 + 4, WIDTH - 4)]
    return all(
        np.abs(pixels[:, at] - c).max() <= most for at, c in zip(inner, COLOURS, strict=True)
    )


@pytest.mark.parametrize("name", ["a.bmp", "a.jp2", "a.j2k", "rle.psd", "a.psd", "a.avif", "a.dng"])
def test_formats_of_the_core(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.psd":
        path.write_bytes(psd(halves()))
    elif name == "rle.psd":
        planes = halves().transpose(2, 0, 1).reshape(-1, 2, WIDTH // 2)
        packed = [b"".join(bytes([257 - WIDTH // 2, row[0]]) for row in line) for line in planes]
        head = psd(halves())[:38]
        lengths = b"".join(struct.pack(">H", len(line)) for line in packed)
        path.write_bytes(head + struct.pack(">H", 1) + lengths + b"".join(packed))
    elif name == "a.dng":
        path.write_bytes(dng(jpeg(halves())))
    elif name == "a.avif":
        pyvips.Image.new_from_array(halves()).heifsave(path, compression="av1", Q=90)
    else:
        Image.fromarray(halves()).save(path)
    assert is_halves(path, 12 if name == "a.avif" else 6)


def test_a_raw_picture_shows_its_preview_upright_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    path.write_bytes(dng(jpeg(halves()), orientation=6))
    with tiling.open_image(path) as source:
        assert (source.width, source.height) == SIZE[::-1]
        assert (
            np.abs(source.read(0, 0, 64, 40).astype(int) - COLOURS[0]).max() <= 6
        )  # left is up now
        assert source.remarks == ["the preview inside of a raw picture was read"]
    path.write_bytes(dng(None))
    with pytest.raises(tiling.ImageError, match="raw picture without a JPEG preview; develop it"):
        tiling.open_image(path)


def test_a_deep_jpeg_2000(tmp_path: Path) -> None:
    deep = np.full((HEIGHT, WIDTH), 40_000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.jp2", irreversible=False)
    with tiling.open_image(tmp_path / "deep.jp2") as source:
        assert np.abs(source.read(0, 0, 64, 64).astype(int) - round(40_000 / 257)).max() <= 1


@pytest.mark.parametrize(("name", "module"), [("a.heic", "pi_heif"), ("a.jxl", "imagecodecs")])
def test_what_needs_an_extra_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    heads = {"a.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.jxl": b"\xff\x0a" + bytes(60)}
    (tmp_path / name).write_bytes(heads[name] + bytes(100))
    monkeypatch.setitem(sys.modules, module, None)
    extra = name[2:]
    with pytest.raises(tiling.ResourceError, match=rf"pip install 'crowd3d\[{extra}\]'"):
        tiling.open_image(tmp_path / name)


def test_heic_by_its_extra(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")  # the encoder; ours is the decoder alone
    pytest.importorskip("pi_heif")
    data = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(halves())).save(data, quality=95)
    (tmp_path / "a.heic").write_bytes(data.getvalue())
    assert is_halves(tmp_path / "a.heic", 14)


def test_jpeg_xl_by_its_extra(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(halves(), lossless=True))
    assert is_halves(tmp_path / "a.jxl", 0)
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(halves(), usecontainer=True))
    assert is_halves(tmp_path / "a.jxl", 24)


def test_jpeg_xl_decoder_that_is_not_there_can_be_any(tmp_path: Path, monkeypatch: Any) -> None:
    # SizeHeader by hand: not small, 64 rows (9 bits of 63), no ratio, 96 columns; then all default.
    bits, n = 0, 0
    for value, width in ((0, 1), (0, 2), (HEIGHT - 1, 9), (0, 3), (0, 2), (WIDTH - 1, 9), (1, 1)):
        bits |= value << n
        n += width
    data = b"\xff\x0a" + bits.to_bytes(14, "little") + bytes(40)
    assert foreign.jxl_size(data) == SIZE
    assert foreign.jxl_size(b"\xff\x0a") == foreign.jxl_size(bytes(40)) == (0, 0)
    decoder = SimpleNamespace(jpegxl_decode=lambda content: halves())
    monkeypatch.setitem(sys.modules, "imagecodecs", decoder)
    (tmp_path / "a.jxl").write_bytes(data)
    assert is_halves(tmp_path / "a.jxl", 0)


def test_names_do_not_matter_and_brands_do() -> None:
    assert format_of(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf\0\0\0\0") is AVIF
    assert format_of(b"\0\0\0\x18ftypheix\0\0\0\0mif1heix\0\0\0\0") is HEIC
    assert format_of(b"\0\0\0\x18ftypisom\0\0\0\0mp41avc1\0\0\0\0") is None  # a video


@pytest.mark.parametrize(
    "url", ["https://example.org/a.jpg", "s3://bucket/a.tif", "HTTP://a/b.png"]
)
def test_addresses_are_to_be_downloaded_first(url: str) -> None:
    with pytest.raises(tiling.ImageError, match="download the picture first"):
        tiling.open_image(url)
    with pytest.raises(tiling.ImageError, match="download the picture first"):
        tiling.open_image(Path(url))


@pytest.mark.parametrize("name", ["a.bmp", "a.jp2", "a.psd"])
def test_truncated_and_huge_ones_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    path.write_bytes(psd(noise)) if name == "a.psd" else Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    if name != "a.jp2":  # its scalable stream is a coarser picture when cut
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(tiling.ImageError, match="truncated or damaged") as caught:
            tiling.open_image(path).prepare()
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    with pytest.raises(tiling.ImageError, match="the limit is 100"):
        tiling.open_image(path, max_pixels=100)
    path.write_bytes(whole[:20])
    with pytest.raises(tiling.ImageError, match="truncated or damaged"):
        tiling.open_image(path)


def test_a_compression_that_is_not_read_is_named(tmp_path: Path) -> None:
    one = {
        256: ("I", [64]),
        257: ("I", [64]),
        259: ("H", [50000]),
        273: ("blob", [0]),
        279: ("I", [99]),
    }
    (tmp_path / "a.tif").write_bytes(tiff([one], [bytes(99)]))
    with pytest.raises(tiling.ImageError, match="compression 50000 is not read; store"):
        tiling.open_image(tmp_path / "a.tif")
