"""What a picture takes is known from its header, and one that does not fit is refused before it is decoded."""

from types import SimpleNamespace

import numpy as np
import pytest
import pyvips
from click.testing import CliRunner

import tiling
from crowd3d.cli import main
from tiling import ResourceError, needs
from tiling.needs import PROGRAM_BYTES

SIDE = 600


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The same pixels in every kind of file."""
    folder = tmp_path_factory.mktemp("needs")
    pixels = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    picture = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    picture.jpegsave(folder / "baseline.jpg")
    picture.jpegsave(folder / "reduced.jpg", interlace=True)
    picture.jpegsave(folder / "full.jpg", interlace=True, subsample_mode="off")
    picture.pngsave(folder / "plain.png")
    picture.pngsave(folder / "interlaced.png", interlace=True)
    picture.cast("ushort").copy(interpretation="rgb16").pngsave(folder / "deep.png", interlace=True)
    picture.webpsave(folder / "picture.webp")
    picture.tiffsave(folder / "tiled.tif", tile=True)
    picture.tiffsave(folder / "pyramid.tif", tile=True, pyramid=True)
    return folder


def _needs(path):
    with tiling.open_image(path) as source:
        return source.needs


@pytest.mark.parametrize(
    "name,as_a_whole,remedy",
    [
        ("baseline.jpg", 0, ""),
        ("reduced.jpg", 3, "jpegtran"),
        ("full.jpg", 6, "jpegtran"),
        ("plain.png", 0, ""),
        ("interlaced.png", 3, "vips copy"),
        ("deep.png", 6, "vips copy"),
        ("picture.webp", 4, ""),
        ("tiled.tif", 0, ""),
    ],
)
@pytest.mark.parametrize("is_mapped", [False, True])
def test_bytes_a_pixel(pictures, monkeypatch, name, as_a_whole, remedy, is_mapped):
    monkeypatch.setattr(needs, "MEMORY_BYTES", 0 if is_mapped else 2**30)
    found = _needs(pictures / name)
    stored = 1 if name == "tiled.tif" else 4
    in_memory = as_a_whole if is_mapped else as_a_whole + stored
    assert found.memory_bytes == PROGRAM_BYTES + in_memory * SIDE**2
    assert found.temporary_bytes == (stored * SIDE**2 if is_mapped else 0)
    assert bool(found.as_a_whole) == (as_a_whole > 0)
    assert found.remedy.startswith(remedy) and bool(found.remedy) == bool(remedy)


def test_a_pyramid_is_read_in_place(pictures):
    assert _needs(pictures / "pyramid.tif").memory_bytes == PROGRAM_BYTES


def test_a_limit_refuses_before_anything_is_decoded(pictures, monkeypatch):
    def never(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr("tiling.decoding.build_levels", never)
    with tiling.open_image(pictures / "reduced.jpg", max_memory_gb=1.0) as source:
        with pytest.raises(ResourceError, match=r"progressive.*limit is 1 GB.*jpegtran -copy all"):
            source.prepare()
        with pytest.raises(ResourceError, match="limit is 1 GB"):
            source.read(0, 0, 64, 64)


def test_only_files_that_are_decoded_as_a_whole_are_refused_for_want_of_free_memory(
    pictures, monkeypatch
):
    monkeypatch.setattr(needs, "available_bytes", lambda: 1e6)
    with tiling.open_image(pictures / "full.jpg") as source:
        with pytest.raises(ResourceError, match=r"0\.0 GB are free; make one"):
            source.prepare()
    with tiling.open_image(pictures / "baseline.jpg") as source:
        source.prepare()


def test_a_small_picture_fits_into_little_memory_whatever_its_kind(pictures, monkeypatch):
    """What the program itself takes is no reason to refuse one kind of file and not another."""
    monkeypatch.setattr(needs, "available_bytes", lambda: 0.1e9)
    for name in ("full.jpg", "interlaced.png", "picture.webp"):
        with tiling.open_image(pictures / name) as source:
            source.prepare()
            assert source.thumbnail(8).shape == (8, 8, 3), name


def test_a_full_disk_is_told_before_the_work(pictures, monkeypatch):
    monkeypatch.setattr(needs, "MEMORY_BYTES", 0)
    monkeypatch.setattr(needs.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with tiling.open_image(pictures / "baseline.jpg") as source:
        with pytest.raises(ResourceError, match="set TMPDIR"):
            source.prepare()


def test_a_container_has_less_than_its_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "_CGROUP", tmp_path)
    monkeypatch.setattr(needs, "_MEMINFO", tmp_path / "meminfo")
    assert needs.available_bytes() == float("inf")
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    5000 kB\n")
    assert needs.available_bytes() == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert needs.available_bytes() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert needs.available_bytes() == 5000 * 1024


def test_the_command_line_says_what_a_large_picture_takes_and_refuses_with_the_remedy(
    pictures, tmp_path, monkeypatch
):
    monkeypatch.setattr("crowd3d.commands.reconstruct._LARGE_BYTES", 0)
    arguments = ["reconstruct", str(pictures / "full.jpg"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*arguments, "--memory", "1"])
    assert done.exit_code == 3
    told, refused = done.stderr.strip().splitlines()
    assert "megapixels take 1.1 GB of memory" in told and "progressive JPEG" in told
    assert "the limit is 1 GB" in refused and "jpegtran" in refused
    assert not (tmp_path / "out").exists()
