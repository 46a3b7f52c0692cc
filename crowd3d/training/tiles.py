"""Training tiles: small renders as the network is shown them, upright, at its scale, with exact truth.

A tile is a scene of its own whose camera is the virtual camera of an upright window: it looks along the
tile's central ray without roll (but for a little, as perspective pictures are cut without being turned),
at the distance where a standing adult has the wanted height.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.camera import Camera
from crowd3d.errors import DataError, OutputError
from crowd3d.synth import Truth, View
from crowd3d.synth.motion import read_motion
from crowd3d.synth.presets import preset
from crowd3d.synth.render import Renderer, sample_setting
from crowd3d.synth.truth import truth_of
from crowd3d.synth.world import PERSON_M
from crowd3d.training.run_folder import claim

_MIN_HEIGHT_M = 0.7  # of the camera
_CHEST_M = 0.9  # what the camera looks at
_FARTHEST = 0.65  # height of the farthest people, of those in the middle
_QUALITY = (70, 96)  # of the JPEG a tile is kept as, which is an augmentation too


@dataclass(frozen=True)
class TileRecipe:
    """Where the tiles come from; ranges are uniform, that of sizes is log-uniform."""

    count: int = 800
    held_out: int = 60  # tiles of other seeds that only validate
    side_px: int = 512
    people: tuple[int, int] = (6, 14)
    presets: tuple[str, ...] = ("plaza", "street", "park", "phone", "dense", "slope")
    fov_deg: tuple[float, float] = (8.0, 60.0)
    elevation_deg: tuple[float, float] = (-2.0, 45.0)
    roll_sd_deg: float = 1.5
    person_px: tuple[float, float] = (75.0, 210.0)  # a standing adult in the middle of the tile


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8 RGB and everything about the people in it."""

    rgb: npt.NDArray[np.uint8]
    truth: Truth


def tile_view(rng: np.random.Generator, recipe: TileRecipe, person_px: float) -> View:
    """A camera whose whole picture is one tile, with adults of that height in its middle."""
    side = recipe.side_px
    camera = Camera.from_fov(side, side, float(rng.uniform(*recipe.fov_deg)))
    elevation_deg = float(rng.uniform(*recipe.elevation_deg))
    elevation = math.radians(elevation_deg)
    away_m = camera.focal_px * PERSON_M * math.cos(elevation) / person_px
    height_m = max(_CHEST_M + away_m * math.sin(elevation), _MIN_HEIGHT_M)
    return View.of_angles(camera, height_m, elevation_deg, float(rng.normal(0, recipe.roll_sd_deg)))


def render_tile(
    seed: int, recipe: TileRecipe, motion: npt.NDArray[np.float64] | None = None
) -> Tile:
    """The tile of a seed.

    Args:
        motion: (M, 24, 3) recorded poses for most people; see `crowd3d.synth.motion`.
    """
    rng = np.random.default_rng([seed, 17])
    person_px = math.exp(rng.uniform(*np.log(recipe.person_px)))
    view = tile_view(rng, recipe, person_px)
    least_px = _FARTHEST * person_px * 1000 / recipe.side_px
    place = replace(preset(str(rng.choice(recipe.presets))), person_px=least_px, depth_power=0.0)
    count = int(rng.integers(recipe.people[0], recipe.people[1] + 1))
    size = (recipe.side_px, recipe.side_px)
    setting = sample_setting(seed, size, count, place, view, motion)
    rgb = np.zeros((recipe.side_px, recipe.side_px, 3), np.uint8)
    for (x, y, w, h), pixels, _ in Renderer(setting).tiles():
        rgb[y : y + h, x : x + w] = pixels
    return Tile(rgb, truth_of(setting))


def save_tile(path: Path, tile: Tile, seed: int) -> None:
    """As one `.npz` without pickles, the picture as JPEG; an incomplete file never has the name.

    Raises:
        OutputError: the file cannot be written.
    """
    quality = int(np.random.default_rng([seed, 18]).integers(*_QUALITY))
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(tile.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    scratch = path.with_suffix(".tmp")
    try:
        with open(scratch, "wb") as file:
            np.savez(file, allow_pickle=False, jpeg=jpeg, **vars(tile.truth))
        os.replace(scratch, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None


def load_tile(path: Path) -> Tile:
    """What `save_tile` wrote.

    Raises:
        DataError: the file is damaged or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        bgr = cv2.imdecode(arrays.pop("jpeg"), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError("its picture is no JPEG")
        return Tile(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), Truth(**arrays))
    except (OSError, ValueError, KeyError, TypeError, cv2.error) as error:
        raise DataError(f"{path} is not a training tile ({error}); delete it") from None


def tile_path(folder: Path, seed: int) -> Path:
    """Where the tile of a seed is kept."""
    return folder / f"{seed:08d}.npz"


@lru_cache(maxsize=1)
def _poses(motion: Path | None) -> npt.NDArray[np.float64] | None:
    """Read once a process."""
    return None if motion is None else read_motion(motion)


def _make(folder: Path, seed: int, recipe: TileRecipe, motion: Path | None) -> None:
    save_tile(tile_path(folder, seed), render_tile(seed, recipe, _poses(motion)), seed)


def tile_identity(recipe: TileRecipe, motion: Path | None) -> dict[str, Any]:
    """What decides the tile of a seed."""
    facts = asdict(recipe) | {"motion": motion is not None}
    return {key: value for key, value in facts.items() if key not in ("count", "held_out")}


class TileStream:
    """The tiles of a recipe, rendered ahead by worker processes and kept in a folder.

    Args:
        motion: folder of CMU motion capture (ASF, AMC) to take most poses from.
        workers: processes; with 1, a tile is rendered when it is asked for.

    Raises:
        OutputError: the folder cannot be written.
        DataError: it holds tiles of another recipe.
    """

    def __init__(
        self, folder: Path, recipe: TileRecipe, motion: Path | None = None, workers: int = 1
    ) -> None:
        self.folder, self.recipe, self.motion = folder, recipe, motion
        claim(folder, tile_identity(recipe, motion))
        self._pool = (
            ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None
        )
        self._pending: dict[int, Future[None]] = {}

    def __enter__(self) -> TileStream:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def order(self, seeds: Iterable[int]) -> None:
        """Have tiles rendered that will be asked for."""
        for seed in seeds:
            missing = seed not in self._pending and not tile_path(self.folder, seed).exists()
            if self._pool is not None and missing:
                self._pending[seed] = self._pool.submit(
                    _make, self.folder, seed, self.recipe, self.motion
                )

    def get(self, seed: int) -> Tile:
        """The tile of a seed, as soon as it is there.

        Raises:
            OutputError: it cannot be written.
            DataError: what is there is no tile.
            crowd3d.training.mocap.MocapError: a motion file that cannot be read.
        """
        path = tile_path(self.folder, seed)
        if seed in self._pending:
            self._pending.pop(seed).result()
        elif not path.exists():
            _make(self.folder, seed, self.recipe, self.motion)
        return load_tile(path)
