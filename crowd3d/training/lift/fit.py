"""The training loop of the lift, its calibration, and what it is judged by."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from crowd3d.body.rig import Rig
from crowd3d.body.tree import JOINT_MIRROR
from crowd3d.data.cmu import Clip
from crowd3d.files.digests import key_of
from crowd3d.lift.lifter import Lift
from crowd3d.maths import posterior
from crowd3d.models.lift_net import LiftNet, Normalised, Raw, normalise
from crowd3d.training.common.run_folder import Part, RunFolder
from crowd3d.training.common.schedule import descend, follow, learning_rate
from crowd3d.training.lift.data import (
    Bank,
    Batch,
    PoseRecipe,
    build_bank,
    draw_betas,
    draw_poses,
    group_of,
    photograph,
)
from crowd3d.training.lift.loss import lift_loss
from crowd3d.training.lift.metrics import errors, summary
from crowd3d.training.lift.recipe import Recipe
from crowd3d.version import __version__

Loss = Callable[[Raw, Normalised, Batch, Rig], tuple[Tensor, dict[str, Tensor]]]
_CLIP_NORM = 5.0
_LOG_EVERY = 100


def split(clips: list[Clip], recipe: Recipe) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """Training, validation and held-out clips. The recipe names clips, or whole CMU subjects."""

    def named(clip: Clip, names: tuple[str, ...]) -> bool:
        return clip.name in names or clip.name.split("_")[0] in names

    held_out = [c for c in clips if named(c, recipe.held_out)]
    rest = [c for c in clips if not named(c, recipe.held_out)]
    validation = [c for c in rest if named(c, recipe.validation)]
    return [c for c in rest if not named(c, recipe.validation)], validation, held_out


def draw(bank: Bank, rig: Rig, recipe: Recipe, count: int, generator: torch.Generator) -> Batch:
    """One batch of people."""
    poses = draw_poses(bank, recipe.poses, count, generator)
    betas = draw_betas(recipe.population, count, generator, poses.device)
    return photograph(rig, poses, betas, recipe.camera, recipe.noise, generator)


def fit(
    rig: Rig,
    bank: Bank,
    recipe: Recipe,
    run: RunFolder | None = None,
    loss: Loss | None = None,
    check: Callable[[LiftNet], dict[str, float]] | None = None,
    check_every: int = 1000,
    on_step: Callable[[], None] | None = None,
) -> LiftNet:
    """Train a network.

    Args:
        run: where checkpoints and the log are kept, and gone on from exactly; None keeps neither.
        loss: what to minimise; the matrix-Fisher likelihood by default.
        check: called now and then with the averaged network; its numbers go to the log.
        check_every: steps between two checkpoints.

    Returns:
        The averaged network, not yet calibrated.

    Raises:
        OutputError: the checkpoint is damaged or of another recipe, or cannot be written.
    """
    device = rig.joints.device
    torch.manual_seed(recipe.seed)
    net, average = (LiftNet(**recipe.network).to(device) for _ in range(2))
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=0.0, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
    )
    generator = torch.Generator(device).manual_seed(recipe.seed + 1)
    loss = loss or (lambda raw, seen, batch, rig: lift_loss(raw, seen, batch, rig, recipe.loss))
    first = 0
    if run is not None:
        parts: dict[str, Part] = {
            "net": net,
            "average": average,
            "optimizer": optimizer,
            "random": generator,
        }
        first = run.begin(_identity(bank, recipe, device), parts)
    started = time.monotonic()
    for step in range(first, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        batch = draw(bank, rig, recipe, recipe.batch, generator)
        seen = normalise(batch.keypoints, batch.elevation)
        with torch.autocast(device.type, torch.bfloat16):
            raw = net(seen.features)
        total, terms = loss(raw, seen, batch, rig)
        descend(optimizer, total, _CLIP_NORM)
        follow(average, net, recipe.average, step)
        done = step + 1 == recipe.steps
        if run is not None and ((step + 1) % _LOG_EVERY == 0 or done):
            numbers = {k: round(v.item(), 5) for k, v in terms.items()}
            run.log(step=step + 1, seconds=round(time.monotonic() - started, 1), **numbers)
        if run is not None and ((step + 1) % check_every == 0 or done):
            run.save(step + 1)
            if check is not None:
                run.log(step=step + 1, check={k: round(v, 3) for k, v in check(average).items()})
        if on_step is not None:
            on_step()
    return average.eval()


def _identity(bank: Bank, recipe: Recipe, device: torch.device) -> str:
    """Hash of all that decides the weights; other kinds of devices draw other random numbers."""
    poses = hashlib.sha256(bank.poses.cpu().numpy().tobytes()).hexdigest()
    kind = {"poses": poses, "device": device.type, "versions": [__version__, torch.__version__]}
    return key_of(kind | {"recipe": asdict(recipe)})


def fixed_batch(
    clips: list[Clip], poses: PoseRecipe, rig: Rig, recipe: Recipe, count: int, seed: int
) -> Batch:
    """A batch of people from given clips that is the same every time."""
    device = rig.joints.device
    bank = build_bank(clips, poses, rig, seed).to(device)
    generator = torch.Generator(device).manual_seed(seed)
    drawn = draw_poses(bank, poses, count, generator)
    betas = draw_betas(recipe.population, count, generator, device)
    return photograph(rig, drawn, betas, recipe.camera, recipe.noise, generator)


def as_recorded(clips: list[Clip]) -> PoseRecipe:
    """Poses exactly as in the clips, every group as often as the others: for judging by held-out motion."""
    groups = {group_of(clip.name): 1.0 for clip in clips}
    return PoseRecipe(
        everyday=0, weights=groups, mix=0.0, swap_arms=0.0, perturb_deg=0.0, tilt_deg=0.0
    )


def measure(net: LiftNet, batch: Batch, rig: Rig) -> dict[str, float]:
    """How good a network is on a batch, asked as a user asks it: averaged with the mirrored person."""
    result, truth = Lift(net)(batch.keypoints, batch.elevation), batch.to("cpu")
    return summary(errors(rig.to("cpu"), result.rotations, result.betas, truth), result.fisher)


@torch.no_grad()
def calibrate(net: LiftNet, batch: Batch, mass: float = 0.9) -> None:
    """Fit every joint's temperature, a factor of its Fisher parameters, by bisection.

    Afterwards the credible ball of a probability `mass` holds the true rotation that often. Left and right
    joints share one factor.
    """
    net.temperature.fill_(1.0)
    fisher = Lift(net)(batch.keypoints, batch.elevation).fisher
    angle = posterior.angle_between(posterior.mode(fisher), batch.rotations.cpu())
    low, high = torch.full((24,), 0.05), torch.full((24,), 4.0)
    for _ in range(12):
        middle = (low * high).sqrt()
        within = angle <= posterior.credible_angle(fisher * middle[:, None, None], mass, 32)
        too_broad = within.float().mean(0) > mass
        low, high = torch.where(too_broad, middle, low), torch.where(too_broad, high, middle)
    factor = (low * high).sqrt()
    factor = (factor + mirrored(factor)) / 2
    net.temperature.copy_(factor)


def mirrored(values: Tensor) -> Tensor:
    """(24,) values with left and right exchanged."""
    return values[list(JOINT_MIRROR)]
