"""Damage that decoders pass over is found, sound pictures are not accused, and --damaged reads on."""

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

import tiling
from tiling import damage

WIDTH, HEIGHT = 640, 480
KINDS: dict[str, dict[str, Any]] = {
    "plain.jpg": {"Q": 90},
    "optimised.jpg": {"Q": 90, "optimize_coding": True},
    "restarts.jpg": {"Q": 90, "restart_interval": 8},
    "progressive.jpg": {"Q": 90, "interlace": True},
    "lossy.webp": {"Q": 85},
    "a.png": {},
    **{
        f"{where}_{name}.tif": {
            "compression": name,
            "tile": where == "tiles",
            "tile_width": 128,
            "tile_height": 128,
        }
        for where in ("tiles", "strips")
        for name in ("deflate", "lzw", "webp", "jpeg")
    },
    "pyramid.tif": {"compression": "deflate", "tile": True, "pyramid": True},
}
LOADERS = {".jpg": "jpegload", ".webp": "webpload"}


def _scene() -> Any:
    """Something with edges at all sizes, as photographs have: cosines, blocks and a little noise."""
    rng = np.random.default_rng(5)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    grey = sum(40 * np.cos(u / k + v / (k + 5) + k) for k in (3, 17, 60)) + 20 * (
        (u // 37 + v // 23) % 3
    )
    noise = rng.normal(0, 6, (HEIGHT, WIDTH, 3))
    return np.clip(grey[..., None] + [100, 120, 90] + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    image = pyvips.Image.new_from_array(_scene())
    for name, options in KINDS.items():
        image.write_to_file(str(folder / name), **options)
    return folder


def _spoilt(data: bytes, how: str) -> bytes:
    """The file with a twentieth of its middle zeroed, overwritten, or cut out and closed again."""
    start, n = int(len(data) * 0.5), len(data) // 20
    if how == "cut":
        return data[:start] + data[start + n :]
    middle = bytes(n) if how == "zeroed" else np.random.default_rng(1).bytes(n)
    return data[:start] + middle + data[start + n :]


@pytest.mark.parametrize("name", KINDS)
def test_sound_pictures_are_read(sound: Path, name: str) -> None:
    with tiling.open_image(sound / name) as source:
        source.prepare()
        assert source.damage is None
    with tiling.open_image(sound / name, damaged=True) as source:
        assert source.damage is None and source.remarks == []


@pytest.mark.parametrize("how", ["zeroed", "overwritten", "cut"])
@pytest.mark.parametrize("name", KINDS)
def test_damage_is_told(sound: Path, tmp_path: Path, name: str, how: str) -> None:
    path = tmp_path / name
    path.write_bytes(_spoilt((sound / name).read_bytes(), how))
    with pytest.raises(tiling.ImageError, match="truncated or damaged") as caught:
        with tiling.open_image(path) as source:
            source.read(0, 0, WIDTH, HEIGHT)
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize(
    "name", ["tiles_deflate.tif", "tiles_lzw.tif", "tiles_webp.tif", "pyramid.tif"]
)
def test_missing_tiles_are_counted_and_grey(sound: Path, tmp_path: Path, name: str) -> None:
    from tiling.tiff_tags import directories

    path = tmp_path / name
    data = bytearray((sound / name).read_bytes())
    parts = directories(sound / name)[0].parts
    for tile in (1, 7):
        at, n = parts[tile]
        data[at : at + n] = np.random.default_rng(tile).bytes(n)
    path.write_bytes(data)
    with tiling.open_image(path, damaged=True) as source:
        pixels, found = source.read(0, 0, WIDTH, HEIGHT), source.damage
        again = source.read(0, 0, WIDTH, HEIGHT, (WIDTH // 4, HEIGHT // 4))
    assert found is not None and found.missing == pytest.approx(2 * 128 * 128 / (WIDTH * HEIGHT))
    assert found.what == f"2 of {len(parts)} tiles"
    with tiling.open_image(sound / name) as source:
        whole = source.read(0, 0, WIDTH, HEIGHT)
    assert (
        pixels[:128, 128:256] == 114
    ).all()  # the second tile of five in a row, and the third of the second row
    assert (pixels[128:256, 256:384] == 114).all()
    assert np.abs(again[8:24, 40:56].astype(int) - 114).max() <= 1
    same = (pixels == whole).all(axis=2)
    assert same[:, :128].all() and same[256:].all()


def test_a_jpeg_that_is_cut_off_misses_its_rest(sound: Path, tmp_path: Path) -> None:
    data = (sound / "plain.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: int(0.6 * len(data))])
    with tiling.open_image(tmp_path / "a.jpg", damaged=True) as source:
        found = source.damage
        assert found is not None and "Premature end" in found.what
        assert found.missing == pytest.approx(0.4, abs=0.08)
        with tiling.open_image(sound / "plain.jpg") as whole:
            assert (source.read(0, 0, WIDTH, 200) == whole.read(0, 0, WIDTH, 200)).all()


def test_what_is_wrong_behind_zeros_is_counted(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(_spoilt((sound / "lossy.webp").read_bytes(), "zeroed"))
    with tiling.open_image(tmp_path / "a.webp", damaged=True) as source:
        found = source.damage
        assert found is not None and found.missing == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("tail", [b"", b"\0" * 3, b"\0" * 900, b"\xff" * 900])
def test_padding_behind_a_jpeg_is_harmless(sound: Path, tail: bytes) -> None:
    data = (sound / "plain.jpg").read_bytes()
    assert damage.of_jpeg(data[:-2] + tail + data[-2:]) is None
    assert damage.of_jpeg(data + tail + b"a second picture, say, as telephones append one") is None


def test_a_header_that_cannot_be_read_is_left_to_the_decoder(sound: Path) -> None:
    data = bytearray((sound / "plain.jpg").read_bytes())
    at = data.index(b"\xff\xc0") + 9
    for bands in (0, 2, 5, 255):  # no colour space has so many
        data[at] = bands
        assert damage.of_jpeg(bytes(data)) is None
    assert damage.of_jpeg(b"") is damage.of_jpeg(b"\xff\xd8\xff") is None


def test_left_over_data_are_not(sound: Path) -> None:
    data = (sound / "plain.jpg").read_bytes()
    assert "extraneous bytes" in str(damage.of_jpeg(data[:-2] + b"\x12\x34" * 200 + data[-2:]))


def test_odd_headers_of_jpegs_are_harmless(sound: Path) -> None:
    plain = (sound / "plain.jpg").read_bytes()
    data = bytearray(plain[:2] + b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + plain[2:])
    at = data.index(b"JFIF\0") + 5
    data[at] = 9  # a revision of the future
    assert damage.of_jpeg(bytes(data)) is None
    cut = bytes(data[: len(data) // 2]) + bytes(data[len(data) // 2 + 4000 :])
    assert damage.of_jpeg(cut) is not None


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("kind", ["flat", "noise", "slope", "alpha"])
def test_no_sound_webp_is_accused(kind: str, lossless: bool) -> None:
    rng = np.random.default_rng(2)
    for side in (33, 200):
        flat = np.full((side, side, 3), 200, np.uint8)
        pixels = {
            "flat": flat,
            "noise": rng.integers(0, 256, (side, side, 3), np.uint8),
            "slope": np.broadcast_to(
                (np.arange(side) % 256).astype(np.uint8)[:, None, None], flat.shape
            ),
            "alpha": np.concatenate([flat, flat[..., :1]], axis=2),
        }[kind]
        for quality in (10, 90):
            image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels))
            assert damage.of_webp(image.webpsave_buffer(Q=quality, lossless=lossless)) is None


def test_a_deflated_part_is_checked_to_its_checksum() -> None:
    whole = zlib.compress(bytes(range(256)) * 5000)
    assert damage._is_whole_deflate(whole)
    assert damage._is_whole_deflate(whole + b"padding")
    assert not damage._is_whole_deflate(whole[:-1])
    assert not damage._is_whole_deflate(whole[:-4] + b"\0\0\0\0")
    assert not damage._is_whole_deflate(b"")


# A picture that changes while it is read


def test_a_replaced_picture_is_noticed(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes((sound / "pyramid.tif").read_bytes())
    with tiling.open_image(path) as source:
        source.prepare()
        source.check_unchanged()
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
        source.check_unchanged()  # touched only
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if nothing had happened
        with pytest.raises(tiling.ImageError, match="changed while it was read"):
            source.check_unchanged()
        path.unlink()
        with pytest.raises(tiling.ImageError, match="changed while it was read"):
            source.check_unchanged()


def test_a_picture_replaced_between_hashing_and_decoding(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes((sound / "plain.jpg").read_bytes())
    other = (sound / "restarts.jpg").read_bytes()
    with tiling.open_image(path) as source:
        decode = source._decoding.run

        def replaced() -> Any:
            path.write_bytes(other)
            return decode()

        monkeypatch.setattr(source._decoding, "run", replaced)
        with pytest.raises(tiling.ImageError, match="changed while it was read"):
            source.prepare()


# What a header declares


def _progressive(width: int, height: int) -> bytes:
    data = bytearray(pyvips.Image.black(64, 64, bands=3).jpegsave_buffer(interlace=True))
    at = data.index(b"\xff\xc2") + 5
    data[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize("sides", [(30_000, 30_000), (65_500, 61_000)])
def test_a_jpeg_cannot_declare_more_than_it_holds(tmp_path: Path, sides: tuple[int, int]) -> None:
    (tmp_path / "a.jpg").write_bytes(_progressive(*sides))
    with pytest.raises(tiling.ImageError, match=rf"declares {sides[0]} x {sides[1]} px"):
        tiling.open_image(tmp_path / "a.jpg")


def test_flat_pictures_hold_what_they_declare(tmp_path: Path) -> None:
    image = pyvips.Image.black(2400, 2400, bands=3)
    for name, options in (
        ("a.jpg", {"interlace": True, "optimize_coding": True}),
        ("a.png", {"compression": 9}),
    ):
        image.write_to_file(str(tmp_path / name), **options)
        with tiling.open_image(tmp_path / name) as source:
            assert (source.read(0, 0, 2400, 2400, (40, 40)) == 0).all()


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_texts_that_unpack_to_gigabytes_are_not_unpacked(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.png"
    pyvips.Image.black(64, 64, bands=3).pngsave(path)
    png = path.read_bytes()
    packed = zlib.compress(bytes(20_000_000), 9)
    head = b"Comment\0\0" if kind != b"iTXt" else b"Comment\0\1\0en\0Comment\0"
    body = head + packed
    chunk = len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
    path.write_bytes(png[:33] + chunk + png[33:])
    tiling.open_image(path).prepare()
    path.write_bytes(png[:33] + 4 * chunk + png[33:])
    with pytest.raises(tiling.ImageError, match="texts unpack to more than 64 MB"):
        tiling.open_image(path)
