"""Reading pictures: exact geometry, no aliasing, every pixel format, and malformed files."""

import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiling
from tiling.pyramid import Halver
from tiling.resample import axis_weights, resample

WIDTH, HEIGHT = 701, 403


def _gradient(u: Any, v: Any) -> Any:
    """Values of a linear picture at continuous coordinates, (..., 3)."""
    u, v = np.broadcast_arrays(u, v)
    return np.stack([20 + 0.3 * u, 10 + 0.5 * v, 30 + 0.15 * u + 0.2 * v], axis=-1)


def _gradient_image() -> Any:
    u, v = np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5
    return np.rint(_gradient(u[None, :], v[:, None])).astype(np.uint8)


def _noise(width: int, height: int, bands: int = 3) -> Any:
    return np.random.default_rng(7).integers(0, 256, (height, width, bands), dtype=np.uint8)


def _save(pixels: np.ndarray, path: Path, **options: Any) -> Path:
    pyvips.Image.new_from_array(pixels).write_to_file(str(path), **options)
    return path


@pytest.fixture(scope="module", params=["g.png", "g.tif", "tiled.tif", "pyramid.tif", "subifd.tif"])
def gradient(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("g") / request.param
    tile = {"tile": True, "tile_width": 64, "tile_height": 64}
    options: dict[str, Any] = {
        "tiled.tif": tile,
        "pyramid.tif": {**tile, "pyramid": True, "bigtiff": True},
        "subifd.tif": {**tile, "pyramid": True, "subifd": True},
    }.get(request.param, {})
    return tiling.open_image(_save(_gradient_image(), path, **options))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    x=st.floats(0, WIDTH - 60),
    y=st.floats(0, HEIGHT - 60),
    w=st.floats(10, 600),
    h=st.floats(10, 350),
    out=st.tuples(st.integers(5, 90), st.integers(5, 90)),
)
def test_gradient_is_read_exactly_at_any_region_and_size(
    gradient: tiling.ImageSource, x: float, y: float, w: float, h: float, out: tuple[int, int]
) -> None:
    w, h = min(w, WIDTH - x), min(h, HEIGHT - y)
    pixels = gradient.read(x, y, w, h, out)
    assert pixels.shape == (out[1], out[0], 3) and pixels.dtype == np.uint8
    u = x + (np.arange(out[0]) + 0.5) * w / out[0]
    v = y + (np.arange(out[1]) + 0.5) * h / out[1]
    expected = _gradient(u[None, :], v[:, None])
    # away from the border, where a filter has only the picture's own pixels to read
    reach_u, reach_v = max(2.0, 3 * w / out[0]), max(2.0, 3 * h / out[1])
    inner_u = (u > reach_u) & (u < WIDTH - reach_u)
    inner_v = (v > reach_v) & (v < HEIGHT - reach_v)
    error = np.abs(pixels - expected)[inner_v][:, inner_u]
    # libvips rounds the levels of the pyramids that it writes less carefully than we do ours
    foreign = gradient.path.name in ("pyramid.tif", "subifd.tif")
    assert error.size == 0 or error.max() <= (2.1 if foreign else 1.3)


def test_full_resolution_region_is_the_array_itself(gradient: tiling.ImageSource) -> None:
    expected = _gradient_image()
    assert (gradient.width, gradient.height) == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(gradient.read(0, 0, WIDTH, HEIGHT), expected)
    np.testing.assert_array_equal(gradient.read(13, 7, 50, 31), expected[7:38, 13:63])


def test_outside_of_the_picture_is_grey(gradient: tiling.ImageSource) -> None:
    pixels = gradient.read(-10, -20, 40, 40)
    assert (pixels[:20] == 114).all() and (pixels[:, :10] == 114).all()
    np.testing.assert_array_equal(pixels[20:, 10:], _gradient_image()[:20, :30])
    half = gradient.read(-10.4, 50, 30, 30)  # the pixel whose centre is 0.1 inside is not grey
    assert (half[:, :10] == 114).all() and (half[:, 10] != 114).any()
    assert (gradient.read(5000, 0, 30, 30) == 114).all()
    assert (gradient.read(0, -31, 30, 30) == 114).all()
    far = gradient.read(-3 * WIDTH, -3 * HEIGHT, 7 * WIDTH, 7 * HEIGHT, (70, 70))
    assert (far[:30] == 114).all() and (far[30:40, 30:40] != 114).any()


@pytest.mark.parametrize("shrink", [2, 3, 5.5, 16, 23])
def test_shrinking_does_not_alias(tmp_path: Path, shrink: float) -> None:
    board = ((np.indices((800, 800)).sum(axis=0) % 2) * 255).astype(np.uint8)
    stripes = np.broadcast_to((np.arange(800) % 3 == 0) * np.uint8(255), (800, 800))
    for name, image, mean in (("board", board, 127.5), ("stripes", stripes, 85.0)):
        source = tiling.open_image(_save(np.ascontiguousarray(image), tmp_path / f"{name}.png"))
        size = int(700 / shrink)
        pixels = source.read(50.3, 49.6, size * shrink, size * shrink, (size, size))
        # a box pyramid leaves at most a tenth of the finest detail, nearest pixels would leave all
        assert np.abs(pixels.astype(float) - mean).max() <= (26 if shrink < 4 else 8)


def _halved(image: np.ndarray, cuts: list[int]) -> np.ndarray:
    halver = Halver()
    pieces = [halver.feed(rows) for rows in np.split(image, cuts) if len(rows)]
    return np.concatenate([piece for piece in [*pieces, halver.finish()] if len(piece)])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 23), st.integers(1, 17), st.lists(st.integers(0, 22), max_size=6))
def test_halving_in_strips_equals_its_naive_twin(rows: int, columns: int, cuts: list[int]) -> None:
    image = _noise(columns, rows)
    padded = np.pad(image, ((1, 2), (1, 2), (0, 0)), mode="edge").astype(float)
    weights = np.outer([1, 3, 3, 1], [1, 3, 3, 1])[..., None] / 64
    expected = np.array(
        [
            [
                (padded[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] * weights).sum(axis=(0, 1))
                for j in range((columns + 1) // 2)
            ]
            for i in range((rows + 1) // 2)
        ]
    )
    answer = _halved(image, sorted(cut for cut in cuts if cut < rows))
    assert answer.shape == expected.shape
    assert np.abs(answer - expected).max() <= 0.5


def test_halving_is_unbiased() -> None:
    noise = _noise(400, 301)
    assert abs(_halved(noise, [100]).mean() - noise.mean()) < 0.1


@settings(deadline=None, max_examples=60)
@given(
    st.floats(-20, 60),
    st.floats(-20, 60),
    st.floats(0.5, 90),
    st.floats(0.5, 90),
    st.integers(1, 40),
)
def test_resample_equals_its_naive_twin(x: float, y: float, w: float, h: float, n: int) -> None:
    image = _noise(37, 29)
    first_x, weights_x = axis_weights(x, w, n)
    first_y, weights_y = axis_weights(y, h, n + 3)
    expected = np.zeros((n + 3, n, 3))
    for i in range(n + 3):
        for j in range(n):
            rows = np.clip(first_y[i] + np.arange(weights_y.shape[1]), 0, 28)
            columns = np.clip(first_x[j] + np.arange(weights_x.shape[1]), 0, 36)
            patch = image[rows][:, columns]
            expected[i, j] = np.einsum("a,b,abc->c", weights_y[i], weights_x[j], patch)
    assert np.abs(resample(image, x, y, w, h, n, n + 3) - expected).max() <= 0.51


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    image = pyvips.Image.new_from_array(_noise(120, 70)).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    path = tmp_path / "o.tif"
    image.write_to_file(str(path))
    upright = pyvips.Image.new_from_file(str(path)).autorot().numpy()
    source = tiling.open_image(path)
    assert (source.height, source.width) == upright.shape[:2]
    np.testing.assert_array_equal(source.read(0, 0, source.width, source.height), upright)
    np.testing.assert_array_equal(source.read(11, 5, 40, 33), upright[5:38, 11:51])
    plain = tiling.open_image(_save(np.ascontiguousarray(upright), tmp_path / "plain.tif"))
    box: Any = (3.3, -2.7, 61.4, 50.2, (31, 47))
    difference = source.read(*box).astype(int) - plain.read(*box)
    assert np.abs(difference).max() <= 1


def _variants() -> dict[str, Any]:
    image = pyvips.Image.new_from_array(np.full((64, 80, 3), (200, 100, 50), dtype=np.uint8))
    grey = image[0]
    linear = image.colourspace("scrgb")
    return {
        "rgb.jpg": image,
        "rgb.webp": image,
        "grey.png": grey,
        "grey.jpg": grey,
        "deep.png": image.colourspace("rgb16"),
        "deepgrey.tif": grey.colourspace("grey16"),
        "float.tif": linear,
        "lab.tif": image.colourspace("lab"),
        "cmyk.jpg": image.colourspace("cmyk"),
        "opaque.png": image.bandjoin(255),
        "deepalpha.png": image.colourspace("rgb16").bandjoin(65535).copy(interpretation="rgb16"),
        "bilevel.png": None,
    }


@pytest.mark.parametrize("name", [name for name in _variants() if name != "bilevel.png"])
def test_every_pixel_format_becomes_8_bit_rgb(tmp_path: Path, name: str) -> None:
    _variants()[name].write_to_file(str(tmp_path / name))
    pixels = tiling.open_image(tmp_path / name).read(10, 10, 32, 32)
    expected = (200, 200, 200) if "grey" in name else (200, 100, 50)
    limit = 12 if name.startswith("cmyk") else 6
    assert pixels.dtype == np.uint8 and pixels.shape == (32, 32, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= limit


def test_transparency_becomes_the_letterbox_grey(tmp_path: Path) -> None:
    pixels = np.full((64, 64, 4), 255, dtype=np.uint8)
    pixels[:, 32:, 3] = 0
    source = tiling.open_image(_save(pixels, tmp_path / "a.png"))
    answer = source.read(0, 0, 64, 64)
    assert (answer[:, :32] == 255).all() and (answer[:, 32:] == 114).all()


def test_thumbnail_and_identity(tmp_path: Path) -> None:
    path = _save(_noise(300, 200), tmp_path / "n.png")
    source = tiling.open_image(path)
    assert source.thumbnail(100).shape == (67, 100, 3)
    assert source.thumbnail(9999).shape == (200, 300, 3)
    copy = tmp_path / "copy.png"
    copy.write_bytes(path.read_bytes())
    assert tiling.open_image(copy).identity == source.identity
    copy.write_bytes(path.read_bytes() + b"x")
    assert tiling.open_image(copy).identity != source.identity


def test_concurrent_reads_agree_with_serial_ones(tmp_path: Path) -> None:
    options: Any = {"tile": True, "tile_width": 64, "tile_height": 64}
    path = _save(_noise(500, 400), tmp_path / "n.tif", **options)
    boxes: list[Any] = [(i * 7.3, i * 5.1, 150.0, 120.0, (40, 30)) for i in range(30)]
    source = tiling.open_image(path)
    expected = [source.read(*box) for box in boxes]
    source.close()
    answers: list[Any] = [None] * len(boxes)

    def work(k: int) -> None:
        for i in range(k, len(boxes), 4):
            answers[i] = source.read(*boxes[i])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer, truth in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(answer, truth)


def test_a_picture_too_large_for_memory_reads_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _save(_noise(600, 500), tmp_path / "n.png")
    in_memory = tiling.open_image(path)
    box: Any = (20.4, 31.2, 500, 400, (60, 70))
    expected = in_memory.read(*box), in_memory.read(5, 6, 70, 80)
    monkeypatch.setattr("tiling.pyramid.MEMORY_BYTES", 0)
    monkeypatch.setattr("tiling.pyramid._RESIDENT_BYTES", 50_000)
    on_disk = tiling.open_image(path)
    np.testing.assert_array_equal(on_disk.read(*box), expected[0])
    np.testing.assert_array_equal(on_disk.read(5, 6, 70, 80), expected[1])


# Malformed input


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello, I am a text file", "not a JPEG"),
        (b"GIF89a" + bytes(50), "not a JPEG"),
        (b"P6 100000 100000 255 ", "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG"),
        (b"\xff\xd8\xff", "truncated or damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "truncated or damaged"),
        (b"II*\0" + bytes(4), "truncated or damaged"),
        (b"MM\0+\0\x08\0\0" + b"\xff" * 40, "truncated or damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "truncated or damaged"),
        (_png_header(100_000, 100_000), "the limit is"),
        (_png_header(1, 1), "too small"),
        (_png_header(31, 500), "too small"),
        (_png_header(40, 4001), "strip"),
        (_png_header(0, 10), "truncated or damaged"),
    ],
)
def test_malformed_files_are_refused_at_opening(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(tiling.ImageError, match=message) as caught:
        tiling.open_image(path)
    assert "photo.jpg" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(tiling.ImageError, match="no such file"):
        tiling.open_image(tmp_path / "nothing.jpg")
    with pytest.raises(tiling.ImageError, match="is a directory"):
        tiling.open_image(tmp_path)


def test_max_pixels_is_the_callers_choice(tmp_path: Path) -> None:
    path = _save(_noise(100, 100), tmp_path / "n.png")
    assert tiling.open_image(path, max_pixels=10_000).width == 100
    with pytest.raises(tiling.ImageError, match="max_pixels"):
        tiling.open_image(path, max_pixels=9_999)


@pytest.mark.parametrize("name", ["a.jpg", "p.jpg", "a.png", "i.png", "a.webp", "s.tif", "t.tif"])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_truncated_pictures_are_never_grey(tmp_path: Path, name: str, keep: float) -> None:
    options: Any = {
        "p.jpg": {"interlace": True},
        "i.png": {"interlace": True},
        "t.tif": {"tile": True, "tile_width": 64, "tile_height": 64},
    }.get(name) or {}
    path = _save(_noise(400, 300), tmp_path / name, **options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(tiling.ImageError, match="truncated or damaged") as caught:
        source = tiling.open_image(path)
        source.read(0, 0, 400, 300, (100, 75))
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = _save(_noise(200, 200), tmp_path / "n.png")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(tiling.ImageError, match="truncated or damaged"):
        tiling.open_image(path).prepare()


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0, 0, 0, 10), None),
        ((0, 0, -5, 10), None),
        ((float("nan"), 0, 5, 10), None),
        ((0, 0, float("inf"), 10), (5, 5)),
        ((0, 0, 10, 10), (0, 5)),
        ((0, 0, 10, 10), (10**6, 10**6)),
    ],
)
def test_senseless_regions_are_refused(tmp_path: Path, box: Any, size: Any) -> None:
    source = tiling.open_image(_save(_noise(64, 64), tmp_path / "n.png"))
    with pytest.raises(tiling.ImageError):
        x, y, w, h = box
        source.read(x, y, w, h, size)
