"""Are renders as hard to read as photographs? python benchmarks/realism.py --coco DIR --pets DIR

The default network reads our renders, COCO photographs (`person_keypoints.json`, `images/`) and PETS 2009
footage (`vtest.avi`, `view1_frames_0_399.json`) with the same tiles, thresholds and matching. Counted are
people over 60 px who are clearly visible. To compare with COCO, visible is defined by keypoints. To compare
with PETS, it is defined by boxes, and only people no taller than those in PETS are counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import torch
from shared import stages
from shared.photographs import (
    Picture,
    coco_pictures,
    owners,
    pets_frames,
    seen_by_boxes,
    seen_by_keypoints,
)
from shared.results import Cell, Table, save_option, show

from crowd3d.scene.detections import Detections
from crowd3d.synth import synthesize

MIN_HEIGHT_PX = 60.0
BANDS_PX = (MIN_HEIGHT_PX, 90.0, 140.0, 240.0, np.inf)
PRESETS = ("street", "plaza", "park", "steep", "wide", "largecrowd")


def renders(
    scratch: Path, presets: tuple[str, ...], seeds: int, size: tuple[int, int], people: int
) -> dict[str, list[tuple[Picture, Picture]]]:
    """Rendered pictures of each preset, each as two Pictures: people counted by keypoints, and by boxes."""
    made: dict[str, list[tuple[Picture, Picture]]] = {name: [] for name in presets}
    for name, pictures in made.items():
        for seed in range(seeds):
            folder = scratch / f"{name}_{seed}"
            truth = synthesize(folder, seed=seed, size=size, n_people=people, preset_name=name)
            path, boxes = folder / "image.jpg", truth.boxes_px
            by_keypoints = Picture(path, boxes, seen_by_keypoints(truth.keypoints_px))
            pictures.append((by_keypoints, Picture(path, boxes, seen_by_boxes(boxes, size))))
    return made


COLUMNS = {"pictures": "{}", "people": "{}", "found": "{}", "recall": "{:.2f}"} | {
    f"from {low:.0f} px": "{:.0f} of {:.0f}" for low in BANDS_PX[:-1]
}


def recall(
    name: str,
    pictures: list[Picture],
    look: Callable[[Path], Detections],
    tallest_px: float = np.inf,
) -> list[Cell]:
    """A row of the table: numbers of counted and found people, in total and by height."""
    height, hits = [], []
    for picture in pictures:
        found = owners(look(picture.path), picture.boxes_px)
        hit = np.isin(np.arange(len(picture.boxes_px)), found)
        tall = picture.boxes_px[:, 3] - picture.boxes_px[:, 1]
        counts = picture.counts & (tall >= MIN_HEIGHT_PX) & (tall < tallest_px)
        height.append(tall[counts])
        hits.append(hit[counts])
    tall, hit = np.concatenate(height), np.concatenate(hits)
    bands: list[Cell] = []
    for low, high in pairwise(BANDS_PX):
        rows = hit[(tall >= low) & (tall < high)]
        bands.append([int(rows.sum()), len(rows)] if len(rows) else None)
    return [name, len(hit), int(hit.sum()), float(hit.mean()) if len(hit) else None, *bands]


@click.command(help=__doc__)
@click.option("--coco", required=True, metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option("--pets", required=True, metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option("--preset", "presets", multiple=True, default=PRESETS, show_default=True)
@click.option("--seeds", default=2, show_default=True, help="Renders of each preset.")
@click.option("--size", default=(2400, 1350), show_default=True, type=(int, int))
@click.option("--people", default=60, show_default=True)
@click.option("--every", default=40, show_default=True, help="Frames between two of PETS.")
@click.option("--threads", default=2, show_default=True)
@click.option("--cache", type=click.Path(path_type=Path), help="Folder that keeps the renders.")
@save_option
def main(
    coco: Path,
    pets: Path,
    presets: tuple[str, ...],
    seeds: int,
    size: tuple[int, int],
    people: int,
    every: int,
    threads: int,
    cache: Path | None,
    save: bool,
) -> None:
    torch.set_num_threads(threads)
    seen: dict[Path, Detections] = {}

    def look(path: Path) -> Detections:
        if path not in seen:
            seen[path] = stages.scout(path)
        return seen[path]

    with tempfile.TemporaryDirectory() as temporary:
        made = renders(cache or Path(temporary), presets, seeds, size, people)
        by_keypoints = {name: [k for k, _ in pictures] for name, pictures in made.items()}
        all_by_keypoints = [k for pictures in by_keypoints.values() for k in pictures]
        all_by_boxes = [b for pictures in made.values() for _, b in pictures]
        frames = [frame for _, frame in pets_frames(pets, Path(temporary), every)]
        tallest = max((float(np.ptp(p.boxes_px[:, 1::2], axis=1).max()) for p in frames), default=0)
        rows = [
            recall("COCO photographs", list(coco_pictures(coco)), look),
            recall("renders, counted like COCO", all_by_keypoints, look),
            recall("PETS frames", frames, look, tallest + 1),
            recall("renders, counted like PETS", all_by_boxes, look, tallest + 1),
            *(
                recall(f"renders: {name}", pictures, look)
                for name, pictures in by_keypoints.items()
            ),
        ]
    show("realism", [Table(COLUMNS, rows)], save=save)


if __name__ == "__main__":
    main()
