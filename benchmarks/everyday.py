"""Who is found in everyday photographs, and how well: python benchmarks/everyday.py COCO

COCO is a folder with `person_keypoints.json` and `images/`. Every picture is reconstructed as everybody gets
it. COCO annotates at most about thirteen people of a picture and puts a box around the rest of a crowd: who is
found in such a box, or anywhere in a picture with so many, is no error if nobody's annotation matches.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from shared.photographs import COCO_ANNOTATIONS, Picture, coco_pictures, owners
from shared.results import Table, save_option, show
from shared.stages import DEFAULT

import crowd3d
from crowd3d.detect.chance import least_for
from crowd3d.evaluate.metrics.oks import oks_matrix
from crowd3d.scene.people import People

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MOST_ANNOTATED = 13
TALL_PX = 60.0
PRECISIONS = (0.9, 0.8)


@dataclass(frozen=True)
class Annotated:
    """A picture, the boxes of its crowds (K, 4), keypoints (N, 17, 3) and areas (N,) of who has keypoints."""

    picture: Picture
    crowds_px: FloatArray
    keypoints_px: FloatArray
    area_px2: FloatArray


@dataclass(frozen=True)
class Answer:
    """Counts of one picture: annotated people, those found, false ones, tall ones that count, those found."""

    annotated: int
    found: int
    false: int
    tall: int
    tall_found: int
    similarity: FloatArray


def annotated(folder: Path) -> Iterator[Annotated]:
    """The pictures of the folder."""
    values = json.loads((folder / COCO_ANNOTATIONS).read_text(encoding="utf-8"))
    name_of = {image["id"]: image["file_name"] for image in values["images"]}
    rows_of: dict[str, list[dict[str, object]]] = {}
    for row in values["annotations"]:
        rows_of.setdefault(name_of[row["image_id"]], []).append(row)
    for picture in coco_pictures(folder):
        rows = rows_of[picture.path.name]
        crowds = np.array([row["bbox"] for row in rows if row["iscrowd"]], float).reshape(-1, 4)
        crowds[:, 2:] += crowds[:, :2]
        told = [row for row in rows if not row["iscrowd"] and row["num_keypoints"]]
        keypoints = np.array([row["keypoints"] for row in told], float).reshape(-1, 17, 3)
        yield Annotated(picture, crowds, keypoints, np.array([row["area"] for row in told], float))


def answer(one: Annotated, people: People) -> Answer:
    """Compare people with annotations, one to one."""
    boxes = one.picture.boxes_px
    owner = owners(people, boxes)
    found = np.isin(np.arange(len(boxes)), owner)
    middle = (people.box_px[:, :2] + people.box_px[:, 2:]) / 2
    low, high = one.crowds_px[:, None, :2], one.crowds_px[:, None, 2:]
    in_crowd = ((middle >= low) & (middle <= high)).all(axis=2).any(axis=0)
    in_crowd |= len(boxes) >= MOST_ANNOTATED
    tall = (boxes[:, 3] - boxes[:, 1] > TALL_PX) & one.picture.counts
    similar = oks_matrix(
        people.keypoints_px[..., :2],
        one.keypoints_px[..., :2],
        one.area_px2,
        one.keypoints_px[..., 2] > 0,
    )
    rows, columns = linear_sum_assignment(-similar)
    best = np.zeros(len(similar))
    best[rows] = similar[rows, columns]
    false = int(((owner < 0) & ~in_crowd).sum())
    return Answer(
        len(boxes), int(found.sum()), false, int(tall.sum()), int(found[tall].sum()), best
    )


def main_table(pictures: list[Annotated]) -> Table:
    """Everything by the precision asked for."""
    rows = []
    for precision in PRECISIONS:
        config = DEFAULT.replace(min_probability=least_for(precision))
        start = time.perf_counter()
        answers = []
        for one in pictures:
            scene = crowd3d.reconstruct(one.picture.path, config=config)
            answers.append(answer(one, scene.people))
        seconds = (time.perf_counter() - start) / len(pictures)
        total = {
            key: sum(getattr(a, key) for a in answers)
            for key in ("annotated", "found", "false", "tall", "tall_found")
        }
        right = total["found"] / max(1, total["found"] + total["false"])
        similarity = np.concatenate([a.similarity for a in answers])
        rows.append(
            [
                precision,
                [total["found"], total["annotated"]],
                total["false"],
                right,
                [total["tall_found"], total["tall"]],
                float(similarity.mean()),
                int((similarity > 0.5).sum()),
                seconds,
            ]
        )
        click.echo(f"precision {precision}: {seconds * len(pictures):.0f} s", err=True)
    columns = {
        "--precision": "{:g}",
        "annotated people found": "{:.0f} of {:.0f}",
        "others": "{:.0f}",
        "precision": "{:.3f}",
        "of clearly visible ones over 60 px": "{:.0f} of {:.0f}",
        "mean keypoint similarity of all annotated": "{:.3f}",
        "similarity over 0.5": "{:.0f}",
        "s a picture": "{:.1f}",
    }
    return Table(columns, rows, "COCO photographs, whole pipeline")


@click.command(help=__doc__)
@click.argument("coco", type=click.Path(path_type=Path, exists=True, file_okay=False))
@save_option
def main(coco: Path, save: bool) -> None:
    show("everyday", [main_table(list(annotated(coco)))], save=save)


if __name__ == "__main__":
    main()
