"""What a first glance costs, keeps and leaves out: python benchmarks/glance.py --coco COCO

Milliseconds for 512x512 pixels, beside the network that looks closely: both take turns on the same pixels.

With photographs: each is reduced so that its people are about 26, 36 and 47 px tall. Counted are the people of
25-50 px who raise any logit over `POSSIBLE` in their box, and the blocks of 32 px without anybody that do so
too; also after the photographs were darkened, made hazy, noisy, grey and coarse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import cv2
import numpy as np
import numpy.typing as npt
import torch
from shared.machine import taking_turns
from shared.photographs import coco_pictures
from shared.results import Cell, Table, save_option, show
from torch.nn import functional as F

from crowd3d import models
from crowd3d.models.glance_s import POSSIBLE, STRIDE

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

SIDE_PX, PICTURES, ROUNDS = 512, 4, 5
HEIGHTS_PX = (26.0, 36.0, 47.0)
COUNTED_PX = (25.0, 50.0)
MOST_ENLARGED = 1.6
BLOCK = 4  # cells
MARGIN_PX = 8.0  # around people, where blocks are nobody's and nobody else's
KEPT = (0.95, 0.98, 0.99, 0.995, 0.998)


def _changed(factor: float, air: float = 0.0) -> Callable[[FloatArray], FloatArray]:
    return lambda x: factor * x + (1 - factor) * air


def _coarse(x: FloatArray) -> FloatArray:
    coded = cv2.imencode(".jpg", x.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 35])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.float64)


WAYS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "as it is": lambda x: x,
    "a quarter of the light": _changed(0.25),
    "haze, 30 % contrast left": _changed(0.3, 200),
    "haze, 15 % contrast left": _changed(0.15, 190),
    "noise of 10": lambda x: x + np.random.default_rng(0).normal(0, 10, x.shape),
    "grey": lambda x: np.repeat(x.mean(axis=2, keepdims=True), 3, axis=2),
    "JPEG of quality 35": _coarse,
}


class Seen(NamedTuple):
    """Highest logits: of each person counted, and of each block without anybody."""

    people: FloatArray
    blocks: FloatArray


def reduced(pixels: Pixels, boxes: FloatArray) -> Iterator[tuple[Pixels, float]]:
    """The picture at the scales at which its people have the heights wanted."""
    usual = float(np.median(boxes[:, 3] - boxes[:, 1]))
    for height in HEIGHTS_PX:
        scale = height / usual
        if scale <= MOST_ENLARGED:
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=way)
            yield np.asarray(small, np.uint8), scale


def glanced(pixels: Pixels) -> FloatArray:
    """Logits (R, C) of a picture of any size."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    rgb = torch.from_numpy(padded).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        return np.asarray(models.shared("glance-s")(rgb)[0, 0].numpy(), np.float64)


def seen(pixels: Pixels, boxes: FloatArray, counts: npt.NDArray[np.bool_]) -> Seen:
    """What is seen of people in boxes (N, 4), and where nobody is."""
    logits = glanced(pixels)
    height = boxes[:, 3] - boxes[:, 1]
    counts = counts & (height >= COUNTED_PX[0]) & (height <= COUNTED_PX[1])
    people = [logits[_cells(box, 0)].max(initial=-np.inf) for box in boxes[counts]]
    is_near = np.zeros(logits.shape, bool)
    for box in boxes:
        is_near[_cells(box, MARGIN_PX)] = True
    blocks, near = _blocks(logits), _blocks(is_near.astype(np.float64)) > 0
    return Seen(np.asarray(people, np.float64), blocks[~near])


def _cells(box: FloatArray, margin_px: float) -> tuple[slice, slice]:
    x0, y0 = np.floor((box[:2] - margin_px) / STRIDE).clip(0).astype(int)
    x1, y1 = (np.floor((box[2:] + margin_px) / STRIDE) + 1).clip(0).astype(int)
    return slice(y0, y1), slice(x0, x1)


def _blocks(cells: FloatArray) -> FloatArray:
    return np.asarray(F.max_pool2d(torch.from_numpy(cells)[None], BLOCK)[0].numpy())


def photographs(folder: Path) -> list[Table]:
    """How many people and blocks are kept, by threshold and by light."""
    found: dict[str, list[Seen]] = {way: [] for way in WAYS}
    for picture in coco_pictures(folder):
        pixels = cv2.imread(str(picture.path), cv2.IMREAD_COLOR)
        if pixels is None or not picture.counts.any():
            continue
        rgb = np.asarray(pixels[..., ::-1], np.uint8)
        for small, scale in reduced(rgb, picture.boxes_px[picture.counts]):
            for way, change in WAYS.items():
                changed = change(small.astype(np.float64)).clip(0, 255).astype(np.uint8)
                found[way].append(seen(changed, picture.boxes_px * scale, picture.counts))
    joined = {
        way: Seen(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        for way, parts in found.items()
    }
    plain = joined["as it is"]
    curve = Table(
        {"people kept": "{:.1%}", "threshold": "{:.2f}", "blocks kept": "{:.1%}"},
        [
            [kept, limit := float(np.quantile(plain.people, 1 - kept)), _over(plain.blocks, limit)]
            for kept in KEPT
        ],
        "by threshold",
    )
    light = Table(
        {"photographs": "{}", "people": "{:.0f}", "kept": "{:.1%}", "blocks kept": "{:.1%}"},
        [
            [way, float(len(one.people)), _over(one.people, POSSIBLE), _over(one.blocks, POSSIBLE)]
            for way, one in joined.items()
        ],
        f"over the threshold that is used, {POSSIBLE:g}",
    )
    return [curve, light]


def _over(values: FloatArray, limit: float) -> float:
    return float((values > limit).mean())


def speed() -> Table:
    """Milliseconds a picture, with two threads."""
    torch.set_num_threads(2)
    rgb = torch.from_numpy(
        np.random.default_rng(0).uniform(0, 255, (PICTURES, 3, SIDE_PX, SIDE_PX))
    )
    batch = rgb.float().contiguous(memory_format=torch.channels_last)
    networks = {name: models.shared(name) for name in ("crowd3d-s", "glance-s")}

    def look(name: str) -> Callable[[], object]:
        return lambda: networks[name](batch)

    with torch.inference_mode():
        times = taking_turns({name: look(name) for name in networks}, ROUNDS)
    columns = {"network": "{}", "ms": "{:.1f}", "ms of processor": "{:.1f}"}
    rows: list[list[Cell]] = [
        [name, 1000 * one.median_s / PICTURES, 1000 * one.median_processor_s / PICTURES]
        for name, one in times.items()
    ]
    return Table(columns, rows, f"{SIDE_PX}x{SIDE_PX} px")


@click.command(help=__doc__)
@click.option(
    "--coco", metavar="COCO", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@save_option
def main(coco: Path | None, save: bool) -> None:
    """Measure and print."""
    show("glance", [speed(), *(photographs(coco) if coco else [])], save=save)


if __name__ == "__main__":
    main()
