"""From a file to levels of pixels: decoded strictly, so that damage is noticed, or as far as it goes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any

import pyvips

from tiling.damage import CHECKS, Damage, mapped, part_check, share_behind
from tiling.errors import ImageError
from tiling.loading import PictureFile, damaged, load
from tiling.memory import nothing_collected
from tiling.pyramid import Level, RegionStore, SequentialStore, build_levels, strips
from tiling.samples import Bands, Range, bands_of, range_of, to_srgb8
from tiling.tiff_tags import Directory, directories
from tiling.tiles import Tiles, told

_CUT_OFF = "Premature end of JPEG file"  # what was decoded before is right
_TO_FIND = {"jpegload": "warning"}  # what fails where damage begins


@dataclass(frozen=True)
class Decoded:
    """The pixels of a picture.

    Attributes:
        levels: from fine to coarse.
        remarks: what had to be found out or left out, in words.
        damage: what is wrong with them; None if nothing is.
    """

    levels: list[Level]
    remarks: list[str] = field(default_factory=list)
    damage: Damage | None = None


class Decoding:
    """One file that is decoded, in the file's own orientation.

    Args:
        header: its undecoded picture; tolerant: whether a damaged picture is read all the same.
    """

    def __init__(self, file: PictureFile, header: Any, tolerant: bool) -> None:
        self._file, self._header, self._tolerant = file, header, tolerant
        self._fail_on = "none" if tolerant else "error"

    def run(self) -> Decoded:
        """Decodes the picture.

        Raises:
            ImageError: it is truncated, damaged or changed meanwhile.
            ResourceError: temporary space is short.
        """
        with self._named_errors():
            if self._header.get_typeof("tile-width"):
                return self._tiled()
            return self._in_strips()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except pyvips.Error as error:
            raise self._failed(error) from error
        except OSError as error:
            raise ImageError(
                f"{self._file.path}: cannot be read ({error.strerror}); was it moved meanwhile?"
            ) from error

    def _failed(self, reason: Exception | str) -> ImageError:
        return damaged(self._file.path, reason, can_read_on=not self._tolerant)

    def _opened(self, access: str) -> Any:
        image = load(self._file, fail_on=self._fail_on, access=access)
        if (image.width, image.height) != (self._header.width, self._header.height):
            raise ImageError(f"{self._file.path}: the file changed while it was open; start again")
        return image

    def _remarks(self, bands: Bands, span: Range) -> list[str]:
        return [text for text in (self._file.remark, bands.remark, span.remark) if text]

    # -- decoded once, top to bottom

    def _in_strips(self) -> Decoded:
        image = self._opened("sequential")
        bands = bands_of(image, self._file.path, self._file.first)
        damage = self._damage() if self._tolerant else None
        with ThreadPoolExecutor(1) as pool:
            verdict = None if self._tolerant else pool.submit(self._verdict)  # beside the decoder
            span = range_of(image, bands)
            if span.was_measured and self._file.loader:
                image = self._opened("sequential")
            levels = build_levels(SequentialStore(to_srgb8(image, bands, span), self._failed))
            if verdict is not None and (what := verdict.result()) is not None:
                raise self._failed(what)
        return Decoded(levels, self._remarks(bands, span), damage)

    def _verdict(self) -> str | None:
        """What is wrong with the data although they can be decoded; None if nothing is."""
        check = CHECKS.get(self._file.loader)
        if check is None:
            bad = self._bad_strips()
            return f"{len(bad)} of its strips, the first is number {bad[0] + 1}" if bad else None
        if self._file.span is not None:
            return check(self._file.data())
        with mapped(self._file.path) as data:
            return check(data)

    def _bad_strips(self) -> list[int]:
        first = self._file.first
        is_whole = part_check(first) if first is not None else None
        if first is None or is_whole is None:
            return []
        with mapped(self._file.path) as data:
            return [
                k for k, (at, n) in enumerate(first.parts) if n and not is_whole(data[at : at + n])
            ]

    def _damage(self) -> Damage | None:
        """What is wrong, and how much of the picture may be."""
        what = self._verdict()
        if what is None and self._file.loader == "jpegload":
            return None  # libvips fails on harmless warnings as well
        rows, height = 0, self._header.height
        try:
            fail_on = _TO_FIND.get(self._file.loader, "error")
            strict = load(self._file, fail_on=fail_on, access="sequential")
            one_band = strict.extract_band(0).cast("uchar")
            for strip in strips(SequentialStore(one_band, self._failed)):
                rows += len(strip)
        except ImageError as error:
            what = what or str(error).split(" (", 1)[-1].rsplit(");", 1)[0]
        if what is None:
            return None
        share = 1.0 - rows / height
        if _CUT_OFF in what:
            return Damage(what, share)
        return Damage(what, share_behind(self._file.data(), self._file.loader, share))

    # -- tiles, read in place

    def _tiled(self) -> Decoded:
        if not self._tolerant:
            self._fail_on = self._strict_for_tiles()
        image = self._opened("random")
        bands = bands_of(image, self._file.path, self._file.first)
        span = range_of(image, bands)
        tiles = self._tiles(0, image)
        damage = None
        if self._tolerant:
            tiles.missing = self._missing(tiles)
            area = sum(w * h for _, _, w, h in map(tiles.box, tiles.missing))
            what = f"{len(tiles.missing)} of {tiles.count} tiles"
            damage = Damage(what, area / (tiles.width * tiles.height)) if area else None
        full = RegionStore(to_srgb8(image, bands, span), self._failed, tiles)
        levels = [Level(1.0, full)]
        if damage is None:
            levels += [
                Level(
                    scale,
                    RegionStore(to_srgb8(page, bands, span), self._failed, self._tiles(k, page)),
                )
                for k, (scale, page) in enumerate(self._reduced(), 1)
            ]
        if len(levels) == 1:
            levels = build_levels(full, is_stored=True)
        return Decoded(levels, self._remarks(bands, span), damage)

    def _strict_for_tiles(self) -> str:
        """What libvips must fail on: it passes over damaged tiles unless it fails on warnings.

        Then it fails on every tile of a file whose header alone makes libtiff warn, as those of sound pictures
        may. For such a file there are the checks of `damage.part_check`.
        """
        with nothing_collected(), told() as heard:
            load(self._file, fail_on="warning", access="random")
        return "error" if heard else "warning"

    def _tiles(self, number: int, page: Any) -> Tiles:
        """The tiles of the main picture, which is number 0, or of a smaller one."""
        inside = self._directories
        directory = inside[number] if number < len(inside) else Directory()
        width, height = int(page.get("tile-width")), int(page.get("tile-height"))
        check = part_check(directory)
        return Tiles(
            self._file.path, directory.parts, page.width, page.height, width, height, check
        )

    @cached_property
    def _directories(self) -> list[Directory]:
        """Those of the picture and its smaller copies, as `_reduced` numbers them."""
        inside = directories(self._file.path)
        if not self._header.get_typeof("n-subifds"):
            return [one for one in inside if not one.is_below]
        return inside[:1] + list(takewhile(lambda one: one.is_below, inside[1:]))

    def _missing(self, tiles: Tiles) -> frozenset[int]:
        """Tiles whose bytes are damaged, or that libvips cannot decode."""
        bad = set(tiles.damaged(range(tiles.count)))
        region = pyvips.Region.new(
            load(self._file, fail_on=self._strict_for_tiles(), access="random")
        )
        for tile in range(tiles.count):
            try:
                with nothing_collected(), told():
                    region.fetch(*tiles.box(tile))
            except pyvips.Error:
                bad.add(tile)
        return frozenset(bad)

    def _reduced(self) -> Iterator[tuple[float, Any]]:
        """(scale, picture) of the pages or sub-images of a tiled TIFF that halve it again and again."""
        header, before = self._header, 1.0
        key, count = "page", int(header.get("n-pages"))
        if header.get_typeof("n-subifds"):
            key, count = "subifd", int(header.get("n-subifds")) + 1
        for k in range(1, count):
            page = load(
                self._file, fail_on=self._fail_on, access="random", **{key: k - (key == "subifd")}
            )
            scale = 2.0 ** round(math.log2(header.width / page.width))
            # halvings round up or down at every step, so k steps are at most one pixel off
            near = max(
                abs(header.width / scale - page.width), abs(header.height / scale - page.height)
            )
            is_like = page.bands == header.bands and page.get_typeof("tile-width")
            if scale != 2.0 * before or near > 1.0 or not is_like:
                return
            before = scale
            yield scale, page
