"""A scene drawn from a seed, and its picture tile by tile: memory stays bounded at any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.synth.cast import crowd
from crowd3d.synth.cast.everyone import Cast
from crowd3d.synth.cast.motion import recast
from crowd3d.synth.cast.outfits import Outfits, sample_gear, sample_outfits
from crowd3d.synth.cast.people import Bodies, make_bodies
from crowd3d.synth.draw import lens
from crowd3d.synth.draw.rasterizer import Rasterizer
from crowd3d.synth.draw.shading import Shader
from crowd3d.synth.draw.stage import Area, Stage
from crowd3d.synth.place.preset import Preset
from crowd3d.synth.place.world import View, World, sample_world

_TILE_PX = 1024
_RECORDED_SHARE = 0.6  # of people, where recorded poses are given
_NO_STRIDES = ("stairs", "tribune")  # steps are too narrow for most recorded poses


@dataclass
class Setting:
    """A whole scene before it is drawn; everything follows from the seed."""

    world: World
    cast: Cast
    bodies: Bodies
    outfits: Outfits
    lens: lens.Lens
    seed: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.world.view.camera.width, self.world.view.camera.height


def sample_setting(
    seed: int,
    size: tuple[int, int],
    n_people: int,
    preset: Preset,
    view: View | None = None,
    motion: npt.NDArray[np.float64] | None = None,
) -> Setting:
    """Draws camera, place, light, people and clothes.

    Args:
        size: width and height in pixels.
        n_people: how many to place; fewer if there is no room.
        view: a camera to use instead of the preset's.
        motion: (M, 24, 3) recorded poses for most of those who do not sit; see `motion.read_motion`.
    """
    streams = [np.random.default_rng([seed, k]) for k in range(5)]
    world = sample_world(streams[0], size, preset, view)
    cast = crowd.place_people(streams[1], world, preset, n_people)
    if motion is not None and world.terrain not in _NO_STRIDES:
        cast = recast(np.random.default_rng([seed, 5]), cast, motion, _RECORDED_SHARE)
    gear = sample_gear(
        np.random.default_rng([seed, 6]),
        ~cast.child & ~cast.seated & ~np.isin(np.arange(len(cast)), cast.carrier),
        preset.umbrellas,
        preset.phones,
        preset.prams,
    )
    outfits = sample_outfits(streams[2], cast.child, gear)
    bodies = make_bodies(streams[3], cast, world, outfits.sole_m)
    rows = zip(cast.position_m, cast.level, strict=True)
    floor = np.array([world.floor_m(float(x), float(z), level) for (x, z), level in rows])
    thighs = np.minimum(bodies.joints_m[:, 0, 1], bodies.joints_m[:, [4, 5], 1].mean(axis=1))
    world.boxes = world.boxes.with_more(crowd.seats(cast, world, thighs - floor - 0.085))
    return Setting(world, cast, bodies, outfits, lens.sample_lens(streams[4], world.light), seed)


def areas(size: tuple[int, int], tile_px: int = _TILE_PX) -> list[Area]:
    """Tiles in reading order."""
    width, height = size
    return [
        (x, y, min(tile_px, width - x), min(tile_px, height - y))
        for y in range(0, height, tile_px)
        for x in range(0, width, tile_px)
    ]


class Renderer:
    """Draws a setting tile by tile, and counts meanwhile what is seen of everybody."""

    def __init__(self, setting: Setting, rasterizer: Rasterizer | None = None) -> None:
        self.setting = setting
        self._stage = Stage(setting.world, setting.bodies, setting.outfits, setting.cast)
        self._shader = Shader(self._stage, rasterizer)
        self._seen_px = np.zeros(len(setting.cast), np.int64)

    def tiles(
        self,
    ) -> Iterator[tuple[Area, npt.NDArray[np.uint8], npt.NDArray[np.int32]]]:
        """Each tile's area, its (h, w, 3) pixels, and (h, w) who is seen there (-1 nobody)."""
        setting, pad = self.setting, lens.MARGIN_PX
        self._seen_px[:] = 0
        for index, (x, y, w, h) in enumerate(areas(setting.size)):
            self._stage.forget_above(y - pad)
            wider = (x - pad, y - pad, w + 2 * pad, h + 2 * pad)
            radiance, who = self._shader.tile(wider)
            rng = np.random.default_rng([setting.seed, 99, index])
            pixels = lens.develop(radiance, setting.lens, rng, wider[:2], setting.size)
            inner = (slice(pad, pad + h), slice(pad, pad + w))
            seen = who[inner]
            self._seen_px += np.bincount(seen[seen >= 0], minlength=len(self._seen_px))
            yield (x, y, w, h), pixels[inner], seen

    def visibility(self) -> npt.NDArray[np.float64]:
        """(N,) share of each figure's own outline that the tiles drawn so far show; NaN if there is none."""
        outline = self._stage.outline_px.astype(np.float64)
        return self._seen_px / np.where(outline > 0, outline, np.nan)
