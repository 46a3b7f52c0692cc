"""The lift on motion not used in training, with the errors of a detector, compared with three baselines.

    python benchmarks/lift.py --mocap DIR --deepmimic DIR

Held-out motion, noise and population are those of the recipe; poses are as recorded. Two rows are trained here
with the same budget. They differ only in the output: a matrix Fisher distribution, or a 6D rotation (Zhou et
al., CVPR 2019). "refined": after limbs were fitted to the keypoints.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import torch
from shared.machine import taking_turns
from shared.results import Cell, Table, save_option, show
from torch import Tensor

from crowd3d import body, lift
from crowd3d.body.rig import Rig, chain, place_joints, rig_of, with_shape
from crowd3d.maths import posterior
from crowd3d.models.lift_net import (
    LiftNet,
    Normalised,
    Raw,
    mirror_fisher,
    mirror_keypoints,
    normalise,
)
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.lift.data import Bank, Batch, build_bank
from crowd3d.training.lift.fit import as_recorded, calibrate, draw, fit, fixed_batch, split
from crowd3d.training.lift.metrics import errors, summary
from crowd3d.training.lift.recipe import Recipe, read_recipe
from crowd3d.training.lift.train import load_clips

RECIPE = Path(__file__).parent.parent / "configs" / "recipes" / "lift.yaml"
Row = dict[str, float]


def six_d(raw: Raw) -> Tensor:
    """Rotations from the first two columns of every 3x3 output, made orthonormal by Gram-Schmidt."""
    a = torch.nn.functional.normalize(raw.fisher[..., :, 0], dim=-1)
    b = raw.fisher[..., :, 1]
    b = torch.nn.functional.normalize(b - (a * b).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack([a, b, torch.linalg.cross(a, b)], dim=-1)


def six_d_loss(
    raw: Raw, seen: Normalised, batch: Batch, rig: Rig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss from squared errors of rotation matrices and distances of joints, both weighted about equally."""
    rotations = six_d(raw)
    rotation = ((rotations - batch.rotations) ** 2).sum((-1, -2))[:, :22].mean()
    rest = with_shape(rig.joints, batch.betas)
    guess = place_joints(rig.parents, chain(rig.parents, rotations), rest)
    truth = place_joints(rig.parents, chain(rig.parents, batch.rotations), rest)
    joints = (guess - truth).norm(dim=-1)[:, 1:22].mean()
    betas = ((raw.betas - batch.betas) ** 2).mean()
    return rotation + 6 * joints + 0.1 * betas, {"rotation": rotation, "joints_m": joints}


@torch.no_grad()
def six_d_row(net: LiftNet, batch: Batch, rig: Rig) -> Row:
    """Scores of the 6D network, averaged with the mirrored person as in the lift."""
    flipped = mirror_keypoints(batch.keypoints)
    a = net(normalise(batch.keypoints, batch.elevation).features)
    b = net(normalise(flipped, batch.elevation).features)
    rotations = posterior.mode(six_d(a) + mirror_fisher(six_d(b)))
    return summary(errors(rig, rotations, (a.betas + b.betas) / 2, batch))


def mean_row(bank: Bank, batch: Batch, rig: Rig) -> Row:
    """Scores of a baseline that always answers the mean training pose, facing the camera."""
    pick = torch.multinomial(bank.chance, 20_000, replacement=True, generator=_seeded(1))
    pose = posterior.mode(bank.poses[pick].mean(0))
    pose[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ pose[0]
    rotations = pose.expand(len(batch.betas), -1, -1, -1)
    return summary(errors(rig, rotations, batch.betas.new_zeros(batch.betas.shape), batch))


def neighbour_row(bank: Bank, recipe: Recipe, batch: Batch, rig: Rig, size: int = 60_000) -> Row:
    """Scores of a baseline that answers the pose of the nearest of `size` training people.

    The distance is that of 2D keypoints, weighted by score.
    """
    known = draw(bank, rig, recipe, size, _seeded(2))

    def places(batch: Batch) -> tuple[Tensor, Tensor]:
        features = normalise(batch.keypoints, batch.elevation).features
        return features[:, :34], features[:, 34:51].repeat_interleave(2, dim=1)

    (there, there_weight), (here, here_weight) = places(known), places(batch)
    nearest = []
    for x, w in zip(torch.split(here, 512), torch.split(here_weight, 512), strict=True):
        # sum of w v (x - y)^2 over joints, expanded into matrix products
        cost = (w * x**2) @ there_weight.T - 2 * (w * x) @ (there_weight * there).T
        cost = cost + w @ (there_weight * there**2).T
        nearest.append((cost / (w @ there_weight.T).clamp_min(1e-3)).argmin(1))
    at = torch.cat(nearest)
    return summary(errors(rig, known.rotations[at], known.betas[at], batch))


def lift_rows(lifter: lift.Lift, batch: Batch, rig: Rig, name: str) -> dict[str, Row]:
    """Scores of the network alone, and with its pose refinement."""
    result = lifter(batch.keypoints, batch.elevation)
    refined = lifter.refine_pose(result, batch.keypoints, batch.elevation, rig=rig)
    return {
        key: summary(errors(rig, r.rotations, r.betas, batch), r.fisher)
        for key, r in ((name, result), (f"{name}, refined", refined))
    }


def timings(lifter: lift.Lift, batch: Batch) -> Table:
    """A table of the seconds for 1,000 people."""
    keypoints, elevation = batch.keypoints[:1000], batch.elevation[:1000]
    result = lifter(keypoints, elevation)
    times = taking_turns(
        {
            "lift": lambda: lifter(keypoints, elevation),
            "refinement": lambda: lifter.refine_pose(result, keypoints, elevation),
        },
        repeats=3,
    )
    rows: list[list[Cell]] = [[name, t.best_s, t.median_s] for name, t in times.items()]
    columns = {"of 1,000 people": "{}", "best s": "{:.2f}", "median s": "{:.2f}"}
    return Table(columns, rows, "speed")


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


COLUMNS = {  # key of `summary` -> heading and template
    "pa_mpjpe_mm": ("PA-MPJPE mm", "{:.1f}"),
    "mpjpe_mm": ("MPJPE mm", "{:.1f}"),
    "heading_median_deg": ("heading, median, degrees", "{:.1f}"),
    "heading_over_90_percent": ("heading over 90 degrees", "{:.1f} %"),
    "coverage_90_percent": ("90 % interval holds", "{:.1f} %"),
    "spearman_pairs": ("rank correlation of spread and error", "{:.2f}"),
    "spearman_people": ("the same, over people", "{:.2f}"),
    "spearman_within_joint": ("the same, within a joint", "{:.2f}"),
}


def table(rows: dict[str, Row]) -> Table:
    """The table, with a line for each entry of `rows`."""
    columns = {"pose by": "{}"} | dict(COLUMNS.values())
    return Table(columns, [[name, *(row.get(k) for k in COLUMNS)] for name, row in rows.items()])


@click.command(help=__doc__)
@click.option(
    "--mocap", "cmu", required=True, metavar="DIR", type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--deepmimic", required=True, metavar="DIR", type=click.Path(exists=True, path_type=Path)
)
@click.option("--recipe", "page", default=RECIPE, type=click.Path(exists=True, path_type=Path))
@click.option("--weights", default=None, type=click.Path(exists=True, path_type=Path))
@click.option("--people", default=8192, show_default=True, help="Held-out people.")
@click.option(
    "--baseline-steps",
    default=4500,
    show_default=True,
    help="Training of the two rows of equal budget; 0 skips them.",
)
@click.option(
    "--cache",
    default=None,
    type=click.Path(path_type=Path),
    help="Checkpoints of their training; a second call goes on from them.",
)
@save_option
def main(
    cmu: Path,
    deepmimic: Path,
    page: Path,
    weights: Path | None,
    people: int,
    baseline_steps: int,
    cache: Path | None,
    save: bool,
) -> None:
    recipe = read_recipe(page)
    rig = rig_of(body.load("open", level="crowd"))
    training, validation, held_out = split(load_clips(cmu, deepmimic, rig), recipe)
    bank = build_bank(training, recipe.poses, rig, recipe.seed)
    batch = fixed_batch(held_out, as_recorded(held_out), rig, recipe, people, recipe.seed + 4)
    lifter = lift.load(weights)
    rows = lift_rows(lifter, batch, rig, "lift")
    if baseline_steps:
        short = dataclasses.replace(recipe, steps=baseline_steps)
        names = ("six_d", "fisher")
        runs = [RunFolder(cache, name, resume=True) if cache else None for name in names]
        six_d_net = fit(rig, bank, short, runs[0], loss=six_d_loss)
        net = fit(rig, bank, short, runs[1])
        calibrate(net, fixed_batch(validation, recipe.poses, rig, recipe, 3000, recipe.seed + 3))
        rows |= lift_rows(lift.Lift(net), batch, rig, f"matrix Fisher, {baseline_steps} steps")
        rows[f"6D regression, {baseline_steps} steps"] = six_d_row(six_d_net, batch, rig)
    rows["nearest neighbour in 2D"] = neighbour_row(bank, recipe, batch, rig)
    rows["mean pose"] = mean_row(bank, batch, rig)
    show("lift", [table(rows), timings(lifter, batch)], save=save)


if __name__ == "__main__":
    main()
