"""Are the renders as hard to read as photographs? python benchmarks/realism.py --coco DIR --pets DIR

The default network looks at our renders, at COCO photographs (`person_keypoints.json`, `images/`) and at
PETS 2009 footage (`vtest.avi`, `view1_frames_0_399.json`) with the same tiles, thresholds and matching. Counted
are people over 60 px who are clearly visible: against COCO by seen keypoints, against PETS by boxes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment

from crowd3d import models
from crowd3d.config import Config
from crowd3d.detect import selection
from crowd3d.detect.detector import Detector
from crowd3d.scene.detections import Detections
from crowd3d.synth import Truth, synthesize
from tiling import box_iou, open_image, scout_tiles

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MIN_HEIGHT_PX, MATCH_IOU = 60.0, 0.4
BANDS_PX = (60.0, 90.0, 140.0, 240.0, np.inf)
PRESETS = ("street", "plaza", "park", "steep", "wide", "largecrowd")
_SEEN_KEYPOINTS = 8  # of 17, for a person who counts as visible
_HIDDEN_SHARE = 0.3  # of a box behind nearer boxes, for a person who does not
_TRUNK = [5, 6, 11, 12]


@dataclass
class Picture:
    """A picture with boxes (N, 4) of everybody annotated and a mask (N,) of those who count."""

    path: Path
    boxes_px: FloatArray
    counts: BoolArray


def seen_by_keypoints(keypoints: FloatArray) -> BoolArray:
    """(N, 17, 3) with COCO's flags: half of the keypoints seen, and the whole trunk in the picture."""
    flag = keypoints[..., 2]
    trunk = (flag[:, _TRUNK] > 0).all(axis=1)
    return np.asarray(((flag == 2).sum(axis=1) >= _SEEN_KEYPOINTS) & trunk)


def seen_by_boxes(boxes: FloatArray, size: tuple[int, int]) -> BoolArray:
    """(N, 4) boxes inside the picture that no nearer one (whose bottom is lower) covers much."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    hidden = (shared * nearer).sum(axis=1) / np.maximum(area, 1e-9)
    inside = (boxes[:, :2] > 1).all(axis=1) & (boxes[:, 2:] < np.array(size) - 1).all(axis=1)
    return np.asarray((hidden < _HIDDEN_SHARE) & inside)


def coco_pictures(folder: Path) -> Iterator[Picture]:
    values = json.loads((folder / "person_keypoints.json").read_text(encoding="utf-8"))
    for image in values["images"]:
        rows = [
            a for a in values["annotations"] if a["image_id"] == image["id"] and not a["iscrowd"]
        ]
        if rows:
            box = np.array([a["bbox"] for a in rows], np.float64)
            points = np.array([a["keypoints"] for a in rows], np.float64).reshape(-1, 17, 3)
            boxes = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)
            yield Picture(folder / "images" / image["file_name"], boxes, seen_by_keypoints(points))


def pets_pictures(folder: Path, scratch: Path, every: int, first: int = 0) -> Iterator[Picture]:
    values = json.loads((folder / "view1_frames_0_399.json").read_text(encoding="utf-8"))
    video = cv2.VideoCapture(str(folder / "vtest.avi"))
    for index in range(len(values["frames"])):
        good, frame = video.read()
        if not good or index % every != first % every:
            continue
        box = np.array([p["box_xcycwh"] for p in values["frames"][str(index)]]).reshape(-1, 4)
        boxes = np.concatenate([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], axis=1)
        path = scratch / f"pets_{index}.png"
        cv2.imwrite(str(path), frame)
        yield Picture(path, boxes, seen_by_boxes(boxes, (frame.shape[1], frame.shape[0])))


def renders(
    scratch: Path, presets: list[str], seeds: int, size: tuple[int, int], people: int
) -> list[tuple[Picture, Picture]]:
    """Each render twice: who counts by keypoints, and by boxes."""
    found = []
    for name in presets:
        for seed in range(seeds):
            folder = scratch / f"{name}_{seed}"
            truth: Truth = synthesize(
                folder, seed=seed, size=size, n_people=people, preset_name=name
            )
            path, boxes = folder / "image.jpg", truth.boxes_px
            found.append(
                (
                    Picture(path, boxes, seen_by_keypoints(truth.keypoints_px)),
                    Picture(path, boxes, seen_by_boxes(boxes, size)),
                )
            )
    return found


def found_in(path: Path, detector: Detector, config: Config) -> Detections:
    """Everybody found at a fixed pyramid of scales, without any knowledge of the camera."""
    source = open_image(path)
    tiles = scout_tiles(
        source.width, source.height, tile_px=config.tile_px, max_tiles=config.scout_tiles
    )
    found = Detections.cat(list(detector.detect(source, tiles)))
    return selection.unplaced_people(found, config)


def owners(people: Detections, boxes: FloatArray) -> npt.NDArray[np.int64]:
    """(N,) row of the annotated box that each found person has to themselves, -1 for nobody's."""
    owner = np.full(len(people), -1)
    if len(boxes) and len(people):
        overlap = np.array([box_iou(np.tile(b, (len(people), 1)), people.box_px) for b in boxes])
        row, column = linear_sum_assignment(-overlap)
        good = overlap[row, column] >= MATCH_IOU
        owner[column[good]] = row[good]
    return owner


def recall(
    pictures: list[Picture], look: Callable[[Path], Detections], tallest_px: float = np.inf
) -> dict[str, object]:
    """Found and counted people, altogether and by height."""
    height, hits = [], []
    for picture in pictures:
        found = owners(look(picture.path), picture.boxes_px)
        hit = np.isin(np.arange(len(picture.boxes_px)), found)
        tall = picture.boxes_px[:, 3] - picture.boxes_px[:, 1]
        chosen = picture.counts & (tall >= MIN_HEIGHT_PX) & (tall < tallest_px)
        height.append(tall[chosen])
        hits.append(hit[chosen])
    tall, hit = np.concatenate(height), np.concatenate(hits)
    bands = {}
    for low, high in pairwise(BANDS_PX):
        rows = hit[(tall >= low) & (tall < high)]
        if len(rows):
            bands[f"from {low:.0f} px"] = [int(rows.sum()), len(rows)]
    share = float(hit.mean()) if len(hit) else float("nan")
    return {"found": int(hit.sum()), "people": len(hit), "recall": share, "bands": bands}


@click.command()
@click.option("--coco", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--pets", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--preset", "presets", multiple=True, default=PRESETS, show_default=True)
@click.option("--seeds", default=2, show_default=True, help="Renders of each preset.")
@click.option("--size", default=(2400, 1350), show_default=True, type=(int, int))
@click.option("--people", default=60, show_default=True)
@click.option("--every", default=40, show_default=True, help="Frames between two of PETS.")
@click.option("--threads", default=2, show_default=True)
@click.option("--out", default="realism.json", type=click.Path(path_type=Path))
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the renders.")
def main(
    coco: Path,
    pets: Path,
    presets: tuple[str, ...],
    seeds: int,
    size: tuple[int, int],
    people: int,
    every: int,
    threads: int,
    out: Path,
    keep: Path | None,
) -> None:
    """Compare the recall on renders with that on photographs."""
    torch.set_num_threads(threads)
    config = Config()
    detector = Detector(models.build(), "cpu", config.batch_size, config.min_center_score)
    seen: dict[Path, Detections] = {}

    def look(path: Path) -> Detections:
        if path not in seen:
            seen[path] = found_in(path, detector, config)
        return seen[path]

    with tempfile.TemporaryDirectory() as temporary:
        made = renders(keep or Path(temporary), list(presets), seeds, size, people)
        frames = list(pets_pictures(pets, Path(temporary), every))
        tallest = max((float(np.ptp(p.boxes_px[:, 1::2], axis=1).max()) for p in frames), default=0)
        rows = {
            "coco": recall(list(coco_pictures(coco)), look),
            "renders, as coco": recall([k for k, _ in made], look),
            "pets": recall(frames, look, tallest + 1),
            "renders, as pets": recall([b for _, b in made], look, tallest + 1),
        }
        for index, name in enumerate(presets):
            rows[f"  {name}"] = recall(
                [k for k, _ in made[index * seeds : (index + 1) * seeds]], look
            )
    for name, row in rows.items():
        bands = "  ".join(f"{band}: {a}/{b}" for band, (a, b) in row["bands"].items())  # type: ignore[attr-defined]
        click.echo(f"{name:18} {row['found']:4} of {row['people']:4}  {row['recall']:.3f}  {bands}")
    out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
