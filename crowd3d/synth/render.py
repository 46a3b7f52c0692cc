"""A scene drawn from a seed, and its picture tile by tile: memory stays bounded at any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowd3d.synth import crowd, lens
from crowd3d.synth.outfits import Outfits, sample_outfits
from crowd3d.synth.people import Bodies, make_bodies
from crowd3d.synth.presets import Preset
from crowd3d.synth.shading import Shader
from crowd3d.synth.stage import Area, Stage
from crowd3d.synth.world import View, World, add_boxes, sample_world

_TILE_PX = 1024


@dataclass
class Setting:
    """A whole scene before it is drawn; everything follows from the seed."""

    world: World
    cast: crowd.Cast
    bodies: Bodies
    outfits: Outfits
    lens: lens.Lens
    seed: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.world.view.camera.width, self.world.view.camera.height


def sample_setting(
    seed: int, size: tuple[int, int], n_people: int, preset: Preset, view: View | None = None
) -> Setting:
    """Draws camera, place, light, people and clothes.

    Args:
        size: width and height in pixels.
        n_people: how many to place; fewer if there is no room.
        view: a camera to use instead of the preset's.
    """
    streams = [np.random.default_rng([seed, k]) for k in range(5)]
    world = sample_world(streams[0], size, preset, view)
    cast = crowd.place_people(streams[1], world, preset, n_people)
    outfits = sample_outfits(streams[2], cast.child)
    bodies = make_bodies(streams[3], cast, world, outfits.sole_m)
    levels = np.array(world.levels_m)[cast.level]
    thighs = np.minimum(bodies.joints_m[:, 0, 1], bodies.joints_m[:, [4, 5], 1].mean(axis=1))
    world.boxes = add_boxes(world.boxes, crowd.seats(cast, world, thighs - levels - 0.085))
    return Setting(world, cast, bodies, outfits, lens.sample_lens(streams[4], world.light), seed)


def areas(size: tuple[int, int], tile_px: int = _TILE_PX) -> list[Area]:
    """Tiles in reading order."""
    width, height = size
    return [
        (x, y, min(tile_px, width - x), min(tile_px, height - y))
        for y in range(0, height, tile_px)
        for x in range(0, width, tile_px)
    ]


def render_tiles(
    setting: Setting,
) -> Iterator[tuple[Area, npt.NDArray[np.uint8], npt.NDArray[np.int32]]]:
    """Each tile's area, its (h, w, 3) pixels, and (h, w) who is seen there (-1 nobody)."""
    stage = Stage(setting.world, setting.bodies, setting.outfits)
    shader = Shader(stage)
    pad = lens.MARGIN_PX
    for index, (x, y, w, h) in enumerate(areas(setting.size)):
        stage.forget_above(y - pad)
        wider = (x - pad, y - pad, w + 2 * pad, h + 2 * pad)
        radiance, who = shader.tile(wider)
        rng = np.random.default_rng([setting.seed, 99, index])
        pixels = lens.develop(radiance, setting.lens, rng, wider[:2], setting.size)
        inner = (slice(pad, pad + h), slice(pad, pad + w))
        yield (x, y, w, h), pixels[inner], who[inner]
