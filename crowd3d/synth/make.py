"""Makes a picture of a crowd and its truth: in memory, or as the files of a folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crowd3d.errors import ConfigError, OutputError
from crowd3d.progress import Reporter
from crowd3d.synth.cast.motion import read_motion
from crowd3d.synth.draw.canvas import Canvas
from crowd3d.synth.draw.rasterizer import Rasterizer, choose_rasterizer
from crowd3d.synth.draw.render import Renderer, Setting, areas, sample_setting
from crowd3d.synth.place.preset import Preset
from crowd3d.synth.place.presets import preset
from crowd3d.synth.place.world import View
from crowd3d.synth.truth import Truth, annotation, truth_of, write_json

MAX_SIDE_PX = 65_500  # what a JPEG can hold


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
    renderer = Renderer(setting)
    for (x, y, w, h), pixels, _ in renderer.tiles():
        picture[y : y + h, x : x + w] = pixels
    return picture, _as_drawn(truth_of(setting), renderer.visibility())


def synthesize(
    out: str | Path,
    *,
    seed: int = 0,
    size: tuple[int, int] = (4096, 1638),
    n_people: int = 120,
    preset_name: str | Preset = "plaza",
    view: View | None = None,
    quality: int = 90,
    segmentation: bool = False,
    rasterizer: str = "embree",
    motion: str | Path | None = None,
    progress: Reporter | None = None,
) -> Truth:
    """Write `image.jpg`, `truth.npz`, `annotation.json` and `camera.json` into a folder.

    The picture goes through a raw file beside it, tile by tile, so memory does not grow with its size.

    Args:
        quality: of the JPEG.
        segmentation: write `segmentation.png` too: 16 bits a pixel, 0 = nobody, else the person's id + 1.
        rasterizer: embree, pytorch3d or auto; see `crowd3d.synth.draw.rasterizer`.
        motion: folder of CMU motion capture (ASF, AMC) to take most poses from.

    Returns:
        The truth; its visibility is that of the drawn figures, clothes and bags included.

    Raises:
        ConfigError: an unknown preset or a size or number out of range.
        OutputError: the folder cannot be written.
        crowd3d.data.cmu.MocapError: a motion file that cannot be read.
    """
    drawer = choose_rasterizer(rasterizer)
    poses = None if motion is None else read_motion(motion)
    setting = _setting(seed, size, n_people, preset_name, view, poses)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        seen = write_picture(
            setting,
            folder / "image.jpg",
            quality,
            progress,
            folder / "segmentation.png" if segmentation else None,
            drawer,
        )
        truth = _as_drawn(truth_of(setting), seen)
        truth.save(folder / "truth.npz")
        write_json(folder / "annotation.json", annotation(truth, "image.jpg"))
        write_json(folder / "camera.json", setting.world.view.camera.to_dict())
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
    return truth


def _setting(
    seed: int,
    size: tuple[int, int],
    n_people: int,
    preset_name: str | Preset,
    view: View | None,
    motion: npt.NDArray[np.float64] | None = None,
) -> Setting:
    width, height = size
    if not (16 <= width <= MAX_SIDE_PX and 16 <= height <= MAX_SIDE_PX):
        raise ConfigError(f"a picture of {width}x{height} px; give sides from 16 to {MAX_SIDE_PX}")
    if seed < 0 or n_people < 0:
        raise ConfigError("the seed and the number of people must not be negative")
    if view is not None and (view.camera.width, view.camera.height) != (width, height):
        raise ConfigError("the camera of the view is for a picture of another size")
    chosen = preset_name if isinstance(preset_name, Preset) else preset(preset_name)
    return sample_setting(seed, (width, height), n_people, chosen, view, motion)


def _as_drawn(truth: Truth, visibility: npt.NDArray[np.float64]) -> Truth:
    """The truth with what was seen of everybody, where their whole outline is known."""
    known = np.isfinite(visibility)
    return replace(truth, visibility=np.where(known, visibility, truth.visibility))


def write_picture(
    setting: Setting,
    path: Path,
    quality: int = 90,
    progress: Reporter | None = None,
    segmentation: Path | None = None,
    rasterizer: Rasterizer | None = None,
) -> npt.NDArray[np.float64]:
    """Render a setting into a JPEG, tile by tile; an incomplete file never has the name.

    Returns:
        (N,) share of everybody's drawn outline that is seen, NaN where it is not known.
    """
    width, height = setting.size
    if progress is not None:
        progress.start("render", len(areas(setting.size)))
    renderer = Renderer(setting, rasterizer)
    with Canvas(path, width, height, 3) as picture, ExitStack() as more:
        people = None
        if segmentation is not None:
            people = more.enter_context(Canvas(segmentation, width, height, 1))
        for (x, y, _, _), pixels, who in renderer.tiles():
            picture.paint(x, y, pixels)
            if people is not None:
                people.paint(x, y, (who[..., None] + 1).astype(np.uint16))
            if progress is not None:
                progress.advance()
        picture.save(Q=quality, strip=True)
        if people is not None:
            people.save(compression=6, bitdepth=16)
    return renderer.visibility()
