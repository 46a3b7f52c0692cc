"""Training of the 3D heads: the loop, its checkpoints, its measurements; `head_steps` has what a step does."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file

from crowd3d import body, lift
from crowd3d.errors import ConfigError, DataError
from crowd3d.export.atomic import write_text
from crowd3d.lift_rig import rig_of
from crowd3d.models import heads
from crowd3d.training.head_data import HeadData, build_data, held_out_seeds, tile_seeds
from crowd3d.training.head_keep import varied_people
from crowd3d.training.head_metrics import measure
from crowd3d.training.head_recipe import HeadRecipe, identity
from crowd3d.training.head_steps import (
    FrozenSteps,
    Steps,
    Students,
    Terms,
    TrunkSteps,
    new_students,
    step_seed,
    untouched,
)
from crowd3d.training.run_folder import CHECKPOINT, RunFolder, claim
from crowd3d.training.schedule import descend, follow
from crowd3d.training.tiles import TileStream, tile_identity

_CLIP_NORM = 5.0
_SCALING_TILES = 8


class Reporter(Protocol):
    """Whatever shows progress."""

    def start(self, stage: str, total: int) -> None: ...
    def advance(self, steps: int = 1) -> None: ...


def learning_share(recipe: HeadRecipe, step: int) -> float:
    """Linear warm-up, then a half cosine to nothing."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


@dataclass
class Clock:
    """When to stop."""

    minutes: float | None = None

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    def is_over(self, done: int) -> bool:
        """Whether the time is used up, after so many steps."""
        return self.minutes is not None and self.seconds >= 60 * self.minutes


def fit(
    students: Students,
    averages: Students,
    steps: Steps,
    recipe: HeadRecipe,
    run: RunFolder | None = None,
    check: Callable[[Students], dict[str, float]] | None = None,
    clock: Clock | None = None,
) -> int:
    """Train until the recipe's steps or the time are over.

    Args:
        averages: the exponential average of the weights, which is what is measured and kept.
        run: keeps checkpoints and the log; training goes on from what it holds.
        check: called now and then with the averages; its numbers go to the log.

    Returns:
        Steps done altogether.
    """
    clock = clock or Clock()
    optimizer = torch.optim.AdamW(
        students.parameters(recipe), lr=0.0, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
    )
    done = 0
    if run is not None:
        run.parts = _parts(students, averages, optimizer, recipe)
        done = run.restore()
        run.forget_after(done)
    saved = clock.seconds
    while done < recipe.steps and not clock.is_over(done):
        terms = _step(done, students, averages, optimizer, steps, recipe)
        done += 1
        last = done == recipe.steps or clock.is_over(done)
        if run is not None and (done % recipe.log_every == 0 or last):
            numbers = {k: round(v.item(), 5) for k, v in terms.items()}
            run.log(step=done, seconds=round(clock.seconds, 1), **numbers)
        if run is not None and check is not None and (done % recipe.check_every == 0 or last):
            run.log(step=done, **{k: round(v, 4) for k, v in check(averages).items()})
        if run is not None and (last or clock.seconds - saved > 60 * recipe.checkpoint_minutes):
            run.save(done)
            run.plot()
            saved = clock.seconds
    return done


def _parts(
    students: Students, averages: Students, optimizer: torch.optim.Optimizer, recipe: HeadRecipe
) -> dict[str, Any]:
    slow = {f"average_{k}": v for k, v in averages.modules(recipe).items()}
    return {**students.modules(recipe), **slow, "optimizer": optimizer}


def _step(
    step: int,
    students: Students,
    averages: Students,
    optimizer: torch.optim.Optimizer,
    steps: Steps,
    recipe: HeadRecipe,
) -> Terms:
    for group in optimizer.param_groups:
        group["lr"] = group["full"] * learning_share(recipe, step)
    torch.manual_seed(step_seed(recipe, step))  # of the dropout
    students.net.train()
    total, terms = steps(step, students)
    descend(optimizer, total, _CLIP_NORM)
    pairs = zip(averages.modules(recipe).values(), students.modules(recipe).values(), strict=True)
    for slow, fast in pairs:
        follow(slow, fast, recipe.average, step)
    return {"total": total.detach(), **{k: v.detach() for k, v in terms.items()}}


def fit_scaling(nets: list[heads.HeadNet], data: HeadData) -> None:
    """Mean and deviation of every feature channel become the heads' own."""
    flat = data.samples.float().flatten(0, 1)
    for net in nets:
        net.mean.copy_(flat.mean(0))
        net.deviation.copy_(flat.std(0).clamp_min(1e-3))


class Training:
    """One run of a recipe in a folder.

    Args:
        motion: folder of CMU motion capture to take most poses from.
        progress: told of stages and tiles.
    """

    def __init__(
        self,
        recipe: HeadRecipe,
        out: Path,
        motion: Path | None = None,
        device: str = "cpu",
        progress: Reporter | None = None,
    ) -> None:
        self.recipe, self.out, self.device = recipe, out, torch.device(device)
        self.progress, self.motion = progress, motion
        self.run = RunFolder(out, {}, identity(recipe))
        self.run.check()  # now, rather than once all tiles are rendered
        self.stream = TileStream(out / "tiles", recipe.tiles, motion, recipe.workers)
        looks = tile_identity(recipe.tiles, motion) | {"augment": asdict(recipe.augment)}
        claim(out / "looks", looks)
        self.lifter, self.rig = lift.load(), rig_of(body.load("open", level="crowd"))
        self.network = untouched()
        self.students = new_students(recipe, self.device)
        self.averages = new_students(recipe, self.device)
        self.averages.net.eval()

    def __call__(self, minutes: float | None = None) -> dict[str, Any]:
        """Render, look, train or go on, measure.

        Args:
            minutes: of training after the tiles are ready; None = all steps of the recipe.

        Returns:
            Facts: the recipe, steps done, seconds, and held-out numbers without and with the heads.

        Raises:
            OutputError, DataError.
        """
        clock = Clock()
        with self.stream:
            held_out = self._people(held_out_seeds(self.recipe), 0, "held-out tiles")
            if not len(held_out):
                raise DataError("nobody is found in the held-out tiles; ask for more of them")
            steps = self._steps()
            before = measure(new_students(self.recipe, torch.device("cpu")).net, held_out, self.rig)

            def check(now: Students) -> dict[str, float]:
                return measure(now.net, self._again(now, held_out), self.rig)

            # Time counts from here, or a short one would be over before the first step.
            done = fit(
                self.students, self.averages, steps, self.recipe, self.run, check, Clock(minutes)
            )
            after = check(self.averages)
        return {
            "recipe": self.recipe.to_dict(),
            "steps": done,
            "seconds": round(clock.seconds, 1),
            "held_out_people": len(held_out),
            "lift_alone": {k: round(v, 3) for k, v in before.items()},
            "with_heads": {k: round(v, 3) for k, v in after.items()},
        }

    def _steps(self) -> Steps:
        """The kind of step that the recipe asks for; scales the heads' input on the way."""
        recipe, rig, nets = (
            self.recipe,
            self.rig.to(self.device),
            [
                self.students.net,
                self.averages.net,
            ],
        )
        others = varied_people(recipe.keep, self.motion, self.rig, self.lifter, recipe.seed + 1)
        if recipe.train_trunk:
            some = tile_seeds(recipe)[: max(recipe.tiles_per_step, _SCALING_TILES)]
            fit_scaling(nets, self._people(some, 1, "first tiles"))
            return TrunkSteps(
                self.stream, self.lifter, untouched(), others, recipe, rig, self.device
            )
        data = self._people(tile_seeds(recipe), recipe.views, "tiles")
        if not len(data):
            raise DataError("nobody is found in the tiles; ask for more of them")
        fit_scaling(nets, data)
        return FrozenSteps(data, others, recipe, rig, self.device)

    def _people(self, seeds: range, views: int, stage: str) -> HeadData:
        if self.progress is not None:
            self.progress.start(stage, len(seeds))
        self.stream.order(seeds)
        on_tile = None if self.progress is None else self.progress.advance
        return build_data(
            self.stream, self.network, self.lifter, self.recipe, seeds, views,
            self.out / "looks", on_tile,
        )  # fmt: skip

    def _again(self, now: Students, held_out: HeadData) -> HeadData:
        """Held-out people as the trunk sees them now."""
        if not self.recipe.train_trunk:
            return held_out
        seeds = held_out_seeds(self.recipe)
        return build_data(self.stream, now.trunk, self.lifter, self.recipe, seeds)


def check_folder(out: Path, resume: bool) -> None:
    """Whether a run may begin, or go on, in a folder.

    Raises:
        ConfigError: there is a checkpoint and nobody asked to go on, or the other way round.
    """
    exists = (out / CHECKPOINT).exists()
    if exists and not resume:
        raise ConfigError(f"{out} holds a checkpoint; go on from it with --resume, or delete it")
    if resume and not exists:
        raise ConfigError(f"{out} holds no checkpoint to go on from")


def write_results(training: Training, facts: dict[str, Any]) -> None:
    """`heads.safetensors`, `heads.json`, and `crowd3d-s.safetensors` where the trunk was trained."""
    recipe, out, averages = training.recipe, training.out, training.averages
    timeless = {k: v for k, v in facts.items() if k != "seconds"}  # the same run, the same bytes
    heads.save(averages.net, vars(recipe.network), timeless, out / "heads.safetensors")
    write_text(out / "heads.json", json.dumps(facts, indent=2) + "\n")
    if recipe.train_trunk:
        state = averages.trunk.state_dict().items()
        half = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in state}
        save_file(half, str(out / "crowd3d-s.safetensors"))
