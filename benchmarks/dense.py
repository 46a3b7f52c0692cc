"""Who is found in dense crowds: python benchmarks/dense.py --cache DIR --photographs PHOTOGRAPHS

Renders of four presets are made once from seeds; photographs are folders of pictures with a point on every
head: `NAME.jpg` with `GT_NAME.mat` (as ShanghaiTech names them) or `NAME.csv` (columns u and v). Somebody found
is right if their head is within 0.15 of their height, or 5 px, from the head of somebody who was not found yet.
In renders everybody counts of whom a third can be seen; whoever is less to be seen need not be found, and is no
error.

Every picture is reconstructed once for each precision that may be asked for: who is kept decides the camera,
too.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import scipy.io
from scipy.optimize import linear_sum_assignment
from shared.rendered import Crowd, rendered
from shared.results import Cell, Table, save_option, show
from shared.stages import DEFAULT

import crowd3d
from crowd3d.config import Config
from crowd3d.detect.chance import least_for
from crowd3d.scene.detections import head_middle_px
from crowd3d.scene.people import People

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CROWDS = (
    Crowd("festival", "festival", (2400, 1600), 500, 9101),
    Crowd("parade", "parade", (2400, 1600), 400, 9102),
    Crowd("platform", "platform", (2400, 1600), 150, 9103),
    Crowd("far", "far", (2400, 1600), 400, 9104),
)
NEAR, NEAR_PX = 0.15, 5.0  # of a person's height, and the least
MUST_BE_SEEN = 0.33
PRECISIONS = (0.95, 0.9, 0.8)
USUAL = "0.9"  # the default
ANYBODY = 0.15  # least probability where everybody is ranked
# What each part adds, everything after it being left out.
PARTS: dict[str, dict[str, float]] = {
    "whole bodies, enlarged twice at most": {
        "min_head_score": 1,
        "min_box_score": 1,
        "max_upscale": 2,
    },
    "+ heads": {"min_box_score": 1, "max_upscale": 2},
    "+ boxes": {"max_upscale": 2},
    "+ enlarged three times": {},
}
HEIGHTS_PX = (0, 25, 40, 60, 100, np.inf)
SHARES = (0.05, 0.2, 0.33, 0.6, 0.9, 1.01)
TENTHS = 10


@dataclass(frozen=True)
class Picture:
    """A picture and everybody's head.

    Attributes:
        heads_px: (N, 2); counts: (N,) who must be found.
        height_px, share: (N,) of renders: height and visible share; NaN of photographs.
    """

    name: str
    path: Path
    heads_px: FloatArray
    counts: BoolArray
    height_px: FloatArray
    share: FloatArray


@dataclass(frozen=True)
class Answer:
    """Who was found in a picture.

    Attributes:
        score: (M,) probabilities; right: (M,); counts: (M,) whether it is neither right nor wrong to find them.
        found: (N,) which of the true people were found.
    """

    picture: Picture
    score: FloatArray
    right: BoolArray
    counts: BoolArray
    found: BoolArray
    seconds: float


def renders(cache: Path) -> Iterator[Picture]:
    """The rendered crowds."""
    for crowd in CROWDS:
        path, truth = rendered(crowd, cache)
        heads = truth.keypoints_px[:, [3, 4], :2].mean(axis=1)
        inside = ((heads > 0) & (heads < np.array(crowd.size))).all(axis=1)
        height = truth.boxes_px[:, 3] - truth.boxes_px[:, 1]
        must = inside & (truth.visibility >= MUST_BE_SEEN)
        yield Picture(crowd.name, path, heads, must, height, truth.visibility)


def photographs(folder: Path) -> Iterator[Picture]:
    """The photographs of a folder that have points on heads."""
    for path in sorted([*folder.glob("*.jpg"), *folder.glob("*.png")]):
        mat, table = folder / f"GT_{path.stem}.mat", path.with_suffix(".csv")
        if mat.exists():
            info = scipy.io.loadmat(mat)["image_info"]
            heads = np.asarray(info[0, 0][0, 0][0], np.float64)
        elif table.exists():
            with open(table, encoding="utf-8", newline="") as file:
                heads = np.array([[float(r["u"]), float(r["v"])] for r in csv.DictReader(file)])
        else:
            continue
        unknown = np.full(len(heads), np.nan)
        yield Picture(path.stem, path, heads, np.ones(len(heads), bool), unknown, unknown)


def answer(picture: Picture, config: Config) -> Answer:
    """Reconstruct a picture and compare heads."""
    start = time.perf_counter()
    people = crowd3d.reconstruct(picture.path, config=config).people
    return compared(picture, people, time.perf_counter() - start)


def compared(picture: Picture, people: People, seconds: float) -> Answer:
    """Who is right: pairs of heads, one to one, as many as there can be."""
    middle = head_middle_px(people.keypoints_px)
    reach = np.maximum(NEAR * (people.box_px[:, 3] - people.box_px[:, 1]), NEAR_PX)
    away = np.linalg.norm(middle[:, None] - picture.heads_px[None], axis=2) / reach[:, None]
    # Those who must be found come first, then those nearer.
    cost = np.where(away <= 1, away + 2 * ~picture.counts[None], 1e3)
    rows, columns = linear_sum_assignment(cost)
    good = cost[rows, columns] < 1e3
    right, counts = np.zeros(len(people), bool), np.ones(len(people), bool)
    found = np.zeros(len(picture.heads_px), bool)
    found[columns[good]] = True
    right[rows[good]] = True
    counts[rows[good]] = picture.counts[columns[good]]
    return Answer(picture, people.score, right, counts, found, seconds)


def counts_table(answers: list[Answer], title: str) -> Table:
    """Recall, precision and F1 of each picture and of all together."""
    rows: list[list[Cell]] = []
    sums = np.zeros(4)
    for one in answers:
        wanted, hit = one.picture.counts.sum(), (one.found & one.picture.counts).sum()
        row = np.array([wanted, len(one.score), hit, (~one.right).sum()], float)
        sums += row
        rows.append([one.picture.name, *_scores(row), one.seconds])
    rows.append(["all", *_scores(sums), sum(one.seconds for one in answers)])
    columns = {
        "picture": "{}",
        "people": "{:.0f}",
        "found": "{:.0f}",
        "false": "{:.0f}",
        "recall": "{:.3f}",
        "precision": "{:.3f}",
        "F1": "{:.3f}",
        "s": "{:.0f}",
    }
    return Table(columns, rows, title)


def _scores(row: FloatArray) -> list[float]:
    wanted, found, hit, false = (float(v) for v in row)
    recall, precision = hit / max(wanted, 1), 1 - false / max(found, 1)
    return [
        wanted,
        found,
        false,
        recall,
        precision,
        2 * recall * precision / max(recall + precision, 1e-9),
    ]


def summary_table(groups: dict[str, list[Answer]], what: str, title: str) -> Table:
    """Recall and precision of all pictures together, one row a group."""
    rows: list[list[Cell]] = []
    for name, answers in groups.items():
        wanted = sum(int(one.picture.counts.sum()) for one in answers)
        hit = sum(int((one.found & one.picture.counts).sum()) for one in answers)
        found = sum(len(one.score) for one in answers)
        false = sum(int((~one.right).sum()) for one in answers)
        rows.append([name, *_scores(np.array([wanted, found, hit, false], float))])
    columns = {
        what: "{}",
        "people": "{:.0f}",
        "found": "{:.0f}",
        "false": "{:.0f}",
        "recall": "{:.3f}",
        "precision": "{:.3f}",
        "F1": "{:.3f}",
    }
    return Table(columns, rows, title)


def parts_table(pictures: list[Picture], title: str) -> Table:
    """Recall with only some of `PARTS`, everybody ranked by probability, where so many are right.

    With fewer eyes everybody is less probable, so one least probability would not compare them. The doubtful
    people who are kept for it disturb the camera: recall is lower than with the probability meant for a
    precision.
    """
    rows: list[list[Cell]] = []
    for name, settings in PARTS.items():
        config = DEFAULT.replace(min_probability=ANYBODY, **settings)
        answers = [answer(picture, config) for picture in pictures]
        order = np.argsort(-np.concatenate([one.score for one in answers]), kind="stable")
        right = np.concatenate([one.right for one in answers])[order]
        must = np.concatenate([one.right & one.counts for one in answers])[order]
        precision = np.cumsum(right) / np.arange(1, len(right) + 1)
        recall = np.cumsum(must) / sum(one.picture.counts.sum() for one in answers)
        rows.append([name, *(recall[precision >= p].max(initial=0.0) for p in PRECISIONS)])
    columns = {f"recall at precision {p:g}": "{:.3f}" for p in PRECISIONS}
    return Table({"looked for by": "{}"} | columns, rows, title)


def calibration_table(groups: dict[str, list[Answer]]) -> Table:
    """Of those whose probability is in each tenth: how many are right."""
    rows: list[list[Cell]] = []
    edges = np.linspace(0, 1, TENTHS + 1)
    for low, high in pairwise(edges):
        row: list[Cell] = [f"{low:.1f}-{high:.1f}"]
        for answers in groups.values():
            score = np.concatenate([one.score[one.counts] for one in answers])
            right = np.concatenate([one.right[one.counts] for one in answers])
            here = (score >= low) & (score < high + (high == 1) * 1e-9)
            row.append([score[here].mean(), right[here].mean(), here.sum()] if here.any() else None)
        rows.append(row)
    columns = {"probability": "{}"} | {
        f"{name}: said, right, candidates": "{:.2f}, {:.2f}, {:.0f}" for name in groups
    }
    return Table(columns, rows, "Are the probabilities right?")


def share_table(answers: list[Answer], edges: tuple[float, ...], what: str, title: str) -> Table:
    """Recall by height or visible share, of each render."""
    rows: list[list[Cell]] = []
    for low, high in pairwise(edges):
        row: list[Cell] = [f"{low:g}-{high:g}" if np.isfinite(high) else f"over {low:g}"]
        for one in answers:
            values = getattr(one.picture, what)
            here = (values >= low) & (values < high)
            if what == "height_px":
                here &= one.picture.counts
            row.append([one.found[here].mean(), here.sum()] if here.any() else None)
        rows.append(row)
    columns = {title: "{}"} | {one.picture.name: "{:.2f} of {:.0f}" for one in answers}
    return Table(columns, rows, f"Recall in renders by {title}")


@click.command(help=__doc__)
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="CACHE", help="Folder of renders."
)
@click.option(
    "--photographs",
    "folders",
    type=click.Path(path_type=Path, exists=True),
    metavar="PHOTOGRAPHS",
    multiple=True,
)
@click.option("--parts", is_flag=True, help="Also tell what each part adds.")
@save_option
def main(cache: Path | None, folders: tuple[Path, ...], parts: bool, save: bool) -> None:
    groups = {"renders": list(renders(cache))} if cache is not None else {}
    if folders:
        groups["photographs"] = [picture for folder in folders for picture in photographs(folder)]
    usual: dict[str, list[Answer]] = {}
    tables = []
    for name, pictures in groups.items():
        asked = {
            f"{precision:g}": [
                answer(picture, DEFAULT.replace(min_probability=least_for(precision)))
                for picture in pictures
            ]
            for precision in PRECISIONS
        }
        usual[name] = asked[USUAL]
        tables.append(counts_table(usual[name], name.capitalize()))
        title = f"{name.capitalize()}, by the precision asked for"
        tables.append(summary_table(asked, "--precision", title))
        tables.append(calibration_table({name: asked[f"{PRECISIONS[-1]:g}"]}))
        if parts:
            title = f"{name.capitalize()}, what each part adds"
            tables.append(parts_table(pictures, title))
    if "renders" in usual:
        tables.append(share_table(usual["renders"], HEIGHTS_PX, "height_px", "height in pixels"))
        tables.append(share_table(usual["renders"], SHARES, "share", "visible share"))
    show("dense", tables, save=save)


if __name__ == "__main__":
    main()
