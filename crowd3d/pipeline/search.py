"""Where to look next in a picture, and what was seen there: from coarse to fine, the likeliest places first."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from crowd3d.config import Config
from crowd3d.detect.detector import Detector
from crowd3d.detect.glance import glance
from crowd3d.detect.selection import everybody, newcomers, scout_people
from crowd3d.picture.reading import Reading
from crowd3d.picture.windows import Windows, windows
from crowd3d.pipeline.looked import Looked
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.standing import BoolArray, FloatArray, standing_height_px
from tiling import Band, Tile, height_bands, plan_tiles, scout_tiles

# Share of a whole turn that is covered twice. It is as wide as anybody who is far enough away to be seen
# completely.
_SEAM_SHARE = 1 / 8
# Share of the picture's height. Larger people are looked for everywhere: it takes few tiles, and of people so
# near often only a part is seen.
_GLANCED = 1 / 4
_FIRST_TILES = 64  # searched before the first new fit; then twice as many each time
_MOST_PLANNED = 1_000_000  # more would be a mistake of the camera
# Outside of what camera and ground expect: least number of tiles, their share of all tiles so far, and how many
# people a tile must bring for the search to go on.
_LEAST_SAMPLE, _SAMPLE_SHARE, _FRUITFUL = 4, 0.1, 0.25


@dataclass
class Search:
    """The search for people in one picture.

    Attributes:
        known: what is known about the camera.
        bands: what was looked at, for people of which height, and where somebody could be.
        found: all detections of the tiles that were read without knowing how tall people are.
        n_tiles: number of tiles read so far.
        is_cut_short: whether a limit kept tiles from being read.
    """

    reading: Reading
    detector: Detector
    config: Config
    known: KnownCamera
    bands: list[Band]
    found: Detections = field(default_factory=Detections.empty)
    n_tiles: int = 0
    is_cut_short: bool = False
    _before_plan: list[BoolArray] = field(default_factory=list)
    _began_s: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(
        cls, reading: Reading, detector: Detector, known: KnownCamera, config: Config
    ) -> Search:
        """Glance at the whole picture, then look with a coarse pyramid wherever somebody could be."""
        width, height = reading.size_px
        bands = height_bands(reading.size_px, config.min_person_px, config.max_upscale)
        search = cls(reading, detector, config, known, bands)
        small = [band for band in bands if band.high_px <= _GLANCED * height]
        glance(reading, small, detector.engine, lambda: search.stopped_by == "max_minutes")
        scouts = scout_tiles(
            _planned_width(width, known.turn_px),
            height,
            tile_px=config.tile_px,
            max_tiles=config.scout_tiles,
            max_upscale=config.max_upscale,
        )
        scouts = [scouts[i] for i in np.flatnonzero(search._chances(scouts) > 0)]
        search.found = search._look(scouts, windows(known.camera), "scout")
        return search

    def looked(self, people: Detections) -> Looked:
        """What was looked at, now that these people are found."""
        return Looked.of(self.bands, people.box_px, self.stopped_by if self.is_cut_short else None)

    @property
    def stopped_by(self) -> str | None:
        """The limit that has been reached; None if the search may go on."""
        if time.monotonic() - self._began_s > 60 * self.config.max_minutes:
            return "max_minutes"
        return "max_tiles" if self.n_tiles >= self.config.max_tiles else None

    @property
    def _room(self) -> int:
        """How many tiles may still be read."""
        return 0 if self.stopped_by else self.config.max_tiles - self.n_tiles

    def onward(self) -> Iterator[None]:
        """Look wherever somebody could be, the likeliest places first; pauses after ever more tiles."""
        count = _FIRST_TILES
        while not self.is_cut_short:
            tiles = self._left(scout_people(self.found, self.config, self.known.turn_px))
            if not tiles:
                return
            self.reading.report.start("search", len(tiles))
            seen = self._look(tiles[:count], windows(self.known.camera))
            self.found = Detections.cat([self.found, seen])
            count *= 2
            yield

    def closer(self, fitted: Fitted) -> Detections:
        """All detections so far, and those in tiles planned for the given camera and ground.

        Places where nobody can be are not planned.
        Detections of earlier plans are not kept. Otherwise the evidence for a person would grow with each
        round.
        """
        for band, looked in zip(self.bands, self._before_plan, strict=False):
            band.looked = looked
        self._before_plan = [band.looked.copy() for band in self.bands]
        view = windows(fitted.camera, fitted.normal)
        tiles = _plan(self.reading.size_px, fitted, self.config)
        chance = self._chances(tiles)
        if fitted.camera.turn_px is not None:  # beyond the right border the picture begins again
            chance += self._chances([replace(t, x=t.x - fitted.camera.turn_px) for t in tiles])
        order = np.flatnonzero(chance > 0)
        if len(order) > self._room:
            order = order[np.argsort(-chance[order], kind="stable")]
        tiles = [tiles[i] for i in order]
        return Detections.cat([self.found, self._look(tiles, view, "infer")])

    def around(self, fitted: Fitted, found: Detections) -> Detections:
        """Sample the places where camera and ground expect nobody of that size, but somebody could be.

        It goes on as long as it brings new people. Returns the detections `found` and those in the tiles that
        were read.
        """
        view = windows(fitted.camera, fitted.normal)
        people = Detections.cat(everybody(found, fitted, self.config))
        first = self.n_tiles
        patience = allowed = max(_LEAST_SAMPLE, round(_SAMPLE_SHARE * first))
        at_once = math.ceil(allowed / 2)
        while patience > 0 and (tiles := self._left(people)) and not self.is_cut_short:
            self.reading.report.start("around", len(tiles))
            sample = tiles[: max(at_once, (self.n_tiles - first) // 4)]
            seen = self._look(sample, view)
            found = Detections.cat([found, seen])
            fresh = newcomers(seen, people, self.config, self.known.turn_px)
            people = Detections.cat([people, fresh])
            is_fruitful = len(fresh) >= _FRUITFUL * len(sample)
            patience = allowed if is_fruitful else patience - len(sample)
        return found

    def _left(self, people: Detections) -> list[Tile]:
        """Tiles for whatever was not looked at, though somebody could be there, the likeliest first.

        Args:
            people: are known; nobody else is looked for where they are.
        """
        tiles: list[Tile] = []
        chances: list[FloatArray] = [np.zeros(0)]
        for level, band in enumerate(self.bands):
            needed = band.left(people.box_px)
            some = band.tiles(needed, self.config.tile_px, level)
            tiles += some
            chances.append(band.chances(some, needed))
        order = np.argsort(-np.concatenate(chances), kind="stable")
        return [tiles[i] for i in order]

    def _chances(self, tiles: Sequence[Tile]) -> FloatArray:
        """(N,) how many people to expect in planned tiles, up to a factor; 0 if nobody can be there."""
        chance = np.zeros(len(tiles))
        for band in self.bands:
            rows = [i for i, tile in enumerate(tiles) if band.meets(tile)]
            chance[rows] += band.chances([tiles[i] for i in rows], band.is_possible)
        return chance

    def _look(self, tiles: Sequence[Tile], view: Windows, stage: str = "") -> Detections:
        """All detections in the given tiles, or in as many as the limits allow."""
        within = tiles[: self._room]
        numbered = [replace(t, index=self.n_tiles + i) for i, t in enumerate(within)]
        parts: list[Detections] = []
        n_read = 0
        for part in self.detector.each(self.reading, numbered, view, stage):
            parts.append(part)
            n_read = min(n_read + self.detector.batch_size, len(numbered))
            if self.stopped_by == "max_minutes":
                break
        self.n_tiles += n_read
        self.is_cut_short |= n_read < len(tiles)
        for band in self.bands:
            band.mark(numbered[:n_read])
        return Detections.cat(parts)


def _plan(size_px: tuple[int, int], fitted: Fitted, config: Config) -> list[Tile]:
    """Plan tiles in which people who stand on the ground fill the right part of the tile."""
    camera, ground = fitted.camera, fitted.ground
    return plan_tiles(
        _planned_width(size_px[0], camera.turn_px),
        size_px[1],
        lambda middle_px: standing_height_px(camera, ground, middle_px, config.stature_m),
        tile_px=config.tile_px,
        fill=(config.person_fill_min, config.person_fill_max),
        min_person_px=config.min_person_px,
        max_tiles=_MOST_PLANNED,
        max_upscale=config.max_upscale,
    )


def _planned_width(width: int, turn_px: float | None) -> int:
    """Columns to cover with tiles; in a whole turn some twice, so that people on the seam are whole in one."""
    return width if turn_px is None else width + math.ceil(_SEAM_SHARE * turn_px)
