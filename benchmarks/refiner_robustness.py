"""What wrong 2D poses cost the lift and crowdnet-s: python benchmarks/refiner_robustness.py

People in rendered pictures that were not used in training are given 2D poses in eight ways: the true ones; with
errors of estimators in crowds (only the kinds of error that the row names); with the modelled errors of the
embedded detector; those of the detector itself; and, joint by joint, the one of two that is nearer to the
truth. Shown are MPJPE of the lift and of crowdnet-s after it, and how much both rise compared with true 2D
poses for the same people. Everybody is seen in a window around the 2D pose that is given.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import cv2
import numpy as np
import numpy.typing as npt
import torch
from shared import stages
from shared.crowdnet_pairs import disturbed_poses, true_poses
from shared.held_out_pictures import RECIPE, settings
from shared.results import Cell, Table, save_option, show

from crowd3d import body, lift, models
from crowd3d.body.rig import rig_of
from crowd3d.evaluate.metrics.matching import hungarian
from crowd3d.evaluate.metrics.oks import oks_matrix
from crowd3d.models.crowdnet_s import CrowdNetS
from crowd3d.picture import person_windows
from crowd3d.synth.draw.render import Setting
from crowd3d.synth.truth import Truth
from crowd3d.training.common.pose_errors import Kind
from crowd3d.training.crops.data import chosen, crops_of, rows_of
from crowd3d.training.crops.examples import Examples, as_examples
from crowd3d.training.crops.fit import measure
from crowd3d.training.crops.prompts import detected_poses, wrong_poses
from crowd3d.training.crops.recipe import read_recipe
from crowd3d.training.crops.scene import Pixels, SceneRecipe, paint, rule_poses, true_fit
from tiling import open_image

FloatArray = npt.NDArray[np.float64]
Rows = dict[str, npt.NDArray[Any]]

SEEDS = range(95_000, 95_008)
_SAME = 0.35  # least keypoint similarity of a found person to the true one
TRUE, ITSELF = "true 2D pose", "the detector itself"


@dataclass(frozen=True)
class Told:
    """People of all pictures with 2D poses of one kind.

    Attributes:
        who: (N,) number of each person, the same for all kinds of 2D poses.
        examples: input and truth of the networks.
    """

    who: npt.NDArray[np.int64]
    examples: Examples

    def of(self, who: npt.NDArray[np.int64]) -> Examples:
        """The examples of the given people, in that order."""
        row_of = {int(i): row for row, i in enumerate(self.who)}
        return self.examples.picked(torch.tensor([row_of[int(i)] for i in who]))


def ways(
    truth: Truth, who: npt.NDArray[np.int64], recipe: SceneRecipe, seed: int, found: FloatArray
) -> dict[str, FloatArray]:
    """2D poses (len(who), 17, 3) of each kind; the keys are the rows of the table."""
    rng = np.random.default_rng([seed, 19])
    good, jitter = (Kind.GOOD,), (Kind.GOOD, Kind.JITTER)
    true, wrong = true_poses(truth, who), disturbed_poses(truth, who, rng)
    return {
        TRUE: true,
        "good joints only": disturbed_poses(truth, who, rng, good),
        "good and jitter": disturbed_poses(truth, who, rng, jitter),
        "all errors": wrong,
        "and what training adds": wrong_poses(truth, who, recipe, rng),
        "model of the detector": detected_poses(truth, who, recipe, rng),
        ITSELF: found,
        "the nearer of it and all errors": nearer(wrong, found, true),
    }


def nearer(one: FloatArray, other: FloatArray, true: FloatArray) -> FloatArray:
    """(N, 17, 3) the better of two 2D poses for each joint, chosen with knowledge of the truth."""
    off = [np.linalg.norm((p - true)[..., :2], axis=-1) for p in (one, other)]
    better = (other[..., 2] > person_windows.MIN_SCORE) & ((off[1] < off[0]) | (one[..., 2] == 0))
    return np.where((better & (true[..., 2] > 0))[..., None], other, one)


def detected(
    setting: Setting, truth: Truth, who: npt.NDArray[np.int64], picture: Pixels
) -> FloatArray:
    """(len(who), 17, 3) 2D poses found by the pipeline; zeros for people who were not found."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        cv2.imwrite(str(path), picture[..., ::-1])
        with open_image(path, max_pixels=picture.size) as source:
            source.prepare()
            seen = stages.find(source, fixed=true_fit(setting)).people
    true, boxes = truth.keypoints_px[who], truth.boxes_px[who]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    alike = oks_matrix(seen.keypoints_px[..., :2], true[..., :2], area, true[..., 2])
    i, j = hungarian(alike, _SAME).T
    out = np.zeros((len(who), 17, 3))
    out[i] = seen.keypoints_px[j]
    return out


def shards(recipe: SceneRecipe, seeds: range) -> Iterator[dict[str, Rows]]:
    """Yield for each picture the rows of its people, for each kind of 2D poses."""
    lifter = lift.load()
    for seed, setting, truth in settings(recipe, seeds, rule_poses(recipe.poses, 7)):
        who = chosen(truth, recipe, np.random.default_rng([seed, 12]))
        if not len(who):
            continue
        picture = paint(setting)
        told = ways(truth, who, recipe, seed, detected(setting, truth, who, picture))
        made: dict[str, Rows] = {}
        for name, poses in told.items():
            enough = person_windows.shows_enough(poses)
            tiles = [person_windows.tile_of_pose(points) for points in poses[enough]]
            rows = rows_of(setting, truth, who[enough], poses[enough], tiles, picture, lifter)
            rows["pixels"] = crops_of(rows)
            made[name] = rows | {"right": np.full(len(tiles), name == TRUE)[: len(rows["who"])]}
            made[name]["id"] = 1000 * seed + rows["who"]
        yield made


COLUMNS = {
    "told": "{}",
    "people": "{}",
    "lift mm": "{:.1f}",
    "lift: rise": "{:+.0f} %",
    "crowdnet-s mm": "{:.1f}",
    "crowdnet-s: rise": "{:+.0f} %",
}


def told_by(parts: list[dict[str, Rows]]) -> dict[str, Told]:
    """The people of all pictures together, for each kind of 2D poses."""
    return {
        name: Told(
            np.concatenate([part[name]["id"] for part in parts]),
            as_examples(part[name] for part in parts),
        )
        for name in parts[0]
    }


def table(told: dict[str, Told], network: CrowdNetS) -> Table:
    """A line for each kind of 2D poses, over the people for whom all kinds have enough keypoints.

    The detector itself does not find everybody, so its line is over fewer people.
    """
    rig = rig_of(body.load("open", level="crowd"))
    shown = {name: set(those.who.tolist()) for name, those in told.items()}
    everybody = set.intersection(*(who for name, who in shown.items() if name != ITSELF))
    result = Table(COLUMNS, [])
    for name, those in told.items():
        who = np.array(sorted(everybody & shown[ITSELF] if name == ITSELF else everybody))
        right, now = (measure(network, t.of(who), rig) for t in (told[TRUE], those))
        row: list[Cell] = [name, len(who)]
        for key in ("before_mpjpe_mm", "after_mpjpe_mm"):
            row += [now[key], None if name == TRUE else 100 * (now[key] / right[key] - 1)]
        result.rows.append(row)
    return result


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True, path_type=Path), default=None)
@click.option("--pictures", default=len(SEEDS), show_default=True)
@save_option
def main(weights: Path | None, pictures: int, save: bool) -> None:
    torch.set_num_threads(1)
    parts = list(shards(read_recipe(RECIPE).groups["plain"].scene, SEEDS[:pictures]))
    network = cast(CrowdNetS, models.build("crowdnet-s", weights or "embedded"))
    show("refiner_robustness", [table(told_by(parts), network)], save=save)


if __name__ == "__main__":
    main()
