"""Photographs of crowds with exact truth, drawn by rule on the CPU.

`render_scene` gives a picture and its truth in memory, `synthesize` writes them into a folder and stays within
bounded memory at any size. The same seed gives the same bytes on the same machine.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyvips

from crowd3d.camera import Camera
from crowd3d.errors import ConfigError, OutputError
from crowd3d.synth.presets import PRESETS, Preset, preset
from crowd3d.synth.render import Setting, areas, render_tiles, sample_setting
from crowd3d.synth.truth import Truth, annotation, truth_of, write_json
from crowd3d.synth.world import View

__all__ = ["PRESETS", "Camera", "Preset", "Truth", "View", "render_scene", "synthesize"]

MAX_SIDE_PX = 32_000


class Reporter(Protocol):
    """Whatever shows progress."""

    def start(self, stage: str, total: int) -> None: ...
    def advance(self, steps: int = 1) -> None: ...


def render_scene(
    seed: int = 0,
    *,
    size: tuple[int, int] = (1600, 900),
    n_people: int = 60,
    preset_name: str | Preset = "plaza",
    view: View | None = None,
) -> tuple[npt.NDArray[np.uint8], Truth]:
    """A picture of a crowd, in memory.

    Args:
        size: width and height in pixels.
        n_people: people wanted; fewer if there is no room for them.
        preset_name: a name in `PRESETS`, or a preset of your own.
        view: a camera of your own; None = drawn from the preset.

    Returns:
        (H, W, 3) uint8 RGB and the truth.

    Raises:
        ConfigError: an unknown preset or a size or number out of range.
    """
    setting = _setting(seed, size, n_people, preset_name, view)
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for (x, y, w, h), pixels, _ in render_tiles(setting):
        picture[y : y + h, x : x + w] = pixels
    return picture, truth_of(setting)


def synthesize(
    out: str | Path,
    *,
    seed: int = 0,
    size: tuple[int, int] = (4096, 1638),
    n_people: int = 120,
    preset_name: str | Preset = "plaza",
    view: View | None = None,
    quality: int = 90,
    progress: Reporter | None = None,
) -> Truth:
    """Write `image.jpg`, `truth.npz`, `annotation.json` and `camera.json` into a folder.

    The picture goes through a raw file beside it, tile by tile, so memory does not grow with its size.

    Raises:
        ConfigError: an unknown preset or a size or number out of range.
        OutputError: the folder cannot be written.
    """
    setting = _setting(seed, size, n_people, preset_name, view)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        truth = truth_of(setting)
        _write_picture(setting, folder / "image.jpg", quality, progress)
        truth.save(folder / "truth.npz")
        write_json(folder / "annotation.json", annotation(truth, "image.jpg"))
        write_json(folder / "camera.json", setting.world.view.camera.to_dict())
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
    return truth


def _setting(
    seed: int, size: tuple[int, int], n_people: int, preset_name: str | Preset, view: View | None
) -> Setting:
    width, height = size
    if not (16 <= width <= MAX_SIDE_PX and 16 <= height <= MAX_SIDE_PX):
        raise ConfigError(f"a picture of {width}x{height} px; give sides from 16 to {MAX_SIDE_PX}")
    if seed < 0 or n_people < 0:
        raise ConfigError("the seed and the number of people must not be negative")
    if view is not None and (view.camera.width, view.camera.height) != (width, height):
        raise ConfigError("the camera of the view is for a picture of another size")
    chosen = preset_name if isinstance(preset_name, Preset) else preset(preset_name)
    return sample_setting(seed, (width, height), n_people, chosen, view)


def _write_picture(setting: Setting, path: Path, quality: int, progress: Reporter | None) -> None:
    width, height = setting.size
    if progress is not None:
        progress.start("render", len(areas(setting.size)))
    handle, raw_name = tempfile.mkstemp(suffix=".raw", dir=path.parent)
    os.close(handle)
    raw = Path(raw_name)
    try:
        with open(raw, "r+b") as file:
            file.truncate(width * height * 3)
        pixels_on_disk = np.memmap(raw, np.uint8, "r+", shape=(height, width, 3))
        for (x, y, w, h), pixels, _ in render_tiles(setting):
            pixels_on_disk[y : y + h, x : x + w] = pixels
            if progress is not None:
                progress.advance()
        # libvips reads the mapped file in place.
        picture = pyvips.Image.new_from_memory(pixels_on_disk.data, width, height, 3, "uchar")
        picture = picture.copy(interpretation="srgb")
        partial = path.with_suffix(".part.jpg")
        picture.jpegsave(str(partial), Q=quality, strip=True)
        os.replace(partial, path)
    finally:
        raw.unlink(missing_ok=True)
