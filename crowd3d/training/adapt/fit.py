"""The training loop that adapts Crowd3DNet to a scene, by the scene's own 2D poses, camera and ground.

As published, only the parameter head and the codes of camera and ground change. All else is frozen, so that
its output for a patch is computed once and kept. Batch normalisation keeps its statistics: batches are small.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import roma
import torch
from torch import Tensor, nn

from crowd3d.body import BodyModel
from crowd3d.errors import DataError, ModelError
from crowd3d.models.crowd3dnet import Crowd3DNet, PatchView
from crowd3d.models.crowd3dnet_decode import DELTA_REACH_M, parameters_of, place
from crowd3d.models.crowd3dnet_encode import project
from crowd3d.patches.bodies import PatchBodies, patch_bodies
from crowd3d.training.adapt import losses
from crowd3d.training.adapt.labels import Labels
from crowd3d.training.adapt.targets import nearest_peaks
from crowd3d.training.common.run_folder import RunFolder

TRAINED = ("params_head", "camera_code", "ground_code")
_PEAK_REACH = 4.0  # cells from a label's torso to the peak that tells of that person
_NEAREST_M = 0.3  # of a body in front of the camera; nearer ones say nothing
# Not in the published adaptation: the corrected torso stays above its ground point.
_HVIP_WEIGHT = 100.0
_SAVE_EVERY = 20  # steps


@dataclass(frozen=True)
class Recipe:
    """How to adapt.

    Attributes:
        batch: patches in a step.
        weights: of each term in `losses.total`, by name.
    """

    steps: int = 300
    batch: int = 8
    learning_rate: float = 5e-5
    seed: int = 0
    weights: dict[str, float] = field(
        default_factory=lambda: losses.ADAPTATION | {"hvip": _HVIP_WEIGHT}
    )


class Examples(NamedTuple):
    """What to learn from: everything that stays the same from step to step.

    Attributes:
        features: (P, 34, 128, 128) the trunk's maps of P patches; view: where these lie, P rows.
        labels: N people; cell: (N, 2) the cell of the network's map that tells of each.
        fixed: (N, 3) what the frozen heads say there, 0..1: HVIP length and torso offset.
    """

    features: Tensor
    view: PatchView
    labels: Labels
    cell: Tensor
    fixed: Tensor


def prepare(
    network: Crowd3DNet, patches: Tensor, view: PatchView, labels: Labels, device: str = "cpu"
) -> Examples:
    """Runs the frozen part of the network over all patches, once; the examples are on the CPU.

    Args:
        patches: (P, 3, 512, 512), 0..255; view: P rows, double precision.
        device: on which the trunk runs.

    Raises:
        DataError: nobody to learn from.
    """
    if not len(labels):
        raise DataError("nobody in the scene is seen well enough to learn from")
    network.eval().to(device)
    with torch.no_grad():
        parts = [network.features(one[None].to(device).float()).cpu() for one in patches]
    network.cpu()
    cells, fixed = [], []
    with torch.no_grad():
        for k, features in enumerate(parts):
            person = network.person_maps(features, _single(view, torch.tensor([k])))
            maps = network.joined(features, person)
            own = torch.from_numpy(labels.cell[labels.patch == k])
            cell = nearest_peaks(
                maps.center, torch.zeros(len(own), dtype=torch.long), own, _PEAK_REACH
            )
            cells.append(cell)
            fixed.append(maps.params[0, :3, cell[:, 1], cell[:, 0]].T)
    return Examples(torch.cat(parts), view, labels, torch.cat(cells), torch.cat(fixed))


def adapt(
    network: Crowd3DNet,
    examples: Examples,
    body: BodyModel,
    recipe: Recipe,
    mixture: losses.Mixture,
    *,
    own_betas: bool,
    run: RunFolder | None = None,
    key: str = "",
    on_step: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """Adapts in place; the same seed gives the same weights, stopped in between or not.

    Args:
        run: where checkpoint and log are kept; None keeps neither.
        key: hash of all that the result depends on; a checkpoint of another key is refused.

    Returns:
        One row a step that was done here: its number, loss and terms.

    Raises:
        ModelError: the loss is not a number any more.
        OutputError: the checkpoint is damaged or of another key, or cannot be written.
    """
    network.eval().requires_grad_(False)
    trained = nn.ModuleDict({name: getattr(network, name) for name in TRAINED})
    trained.requires_grad_(True)
    optimizer = torch.optim.Adam(trained.parameters(), lr=recipe.learning_rate)
    start = run.begin(key, {"trained": trained, "optimizer": optimizer}) if run is not None else 0
    rows = []
    for step in range(start, recipe.steps):
        batch = batch_of(len(examples.features), recipe, step)
        terms = scene_terms(network, examples, batch, body, mixture, own_betas)
        loss = losses.total(terms, recipe.weights)
        if not torch.isfinite(loss):
            raise ModelError(
                f"the adaptation diverged at step {step + 1}; lower the learning rate of"
                f" {recipe.learning_rate:g}"
            )
        optimizer.zero_grad()
        if loss.requires_grad:  # nobody of the batch is in front of the camera yet
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        row: dict[str, Any] = {"step": step + 1, "loss": round(loss.item(), 5)}
        row["terms"] = {name: round(value.item(), 6) for name, value in terms.items()}
        rows.append(row)
        if run is not None:
            run.log(**row)
            if (step + 1) % _SAVE_EVERY == 0 or step + 1 == recipe.steps:
                run.save(step + 1)
        if on_step is not None:
            on_step()
    return rows


def batch_of(count: int, recipe: Recipe, step: int) -> Tensor:
    """Indices of the patches of a step: every epoch a permutation of its own."""
    size = min(recipe.batch, count)
    per_epoch = count // size
    epoch, at = divmod(step, per_epoch)
    generator = torch.Generator().manual_seed(1_000_003 * recipe.seed + epoch)
    return torch.randperm(count, generator=generator)[at * size : (at + 1) * size]


def scene_terms(
    network: Crowd3DNet,
    examples: Examples,
    batch: Tensor,
    body: BodyModel,
    mixture: losses.Mixture,
    own_betas: bool,
) -> dict[str, Tensor]:
    """The unweighted terms of a batch of patches (indices)."""
    labels = examples.labels
    patch = torch.from_numpy(labels.patch)
    rows = torch.cat([torch.nonzero(patch == k)[:, 0] for k in batch])
    within = torch.cat([torch.full((int((patch == k).sum()),), i) for i, k in enumerate(batch)])
    person = network.person_maps(examples.features[batch], _single(examples.view, batch))
    cell = examples.cell[rows]
    said = person[within, :, cell[:, 1], cell[:, 0]]
    values = torch.cat([examples.fixed[rows], said[:, :3].sigmoid(), said[:, 3:]], dim=1)
    told, view = parameters_of(values.double()), examples.view.select(patch[rows])
    placed = place(cell, told, view)
    normal, offset = view.plane[:, :3], view.plane[:, 3]
    made = patch_bodies(body, told, placed, normal, offset, own_betas=own_betas)
    good = placed.on_ground & (made.vertices[..., 2].amin(1) > _NEAREST_M)
    good |= ~torch.isfinite(values).all(1)  # not to be passed over in silence
    shift = (2 * told.delta - 1) * DELTA_REACH_M
    foot = placed.hvip_m + shift - (shift * normal).sum(1, keepdim=True) * normal
    keep = torch.nonzero(good)[:, 0]
    made, view = PatchBodies(*(part[keep] for part in made)), view.select(keep)
    chosen = rows[keep].numpy()
    pose = roma.rotmat_to_rotvec(told.rotations[keep])
    up, height = normal[keep].float(), offset[keep].float()
    return {
        "keypoints": losses.keypoint_loss(
            patch_units(project(made.keypoints.double(), view.intrinsics), view),
            torch.from_numpy(labels.keypoints[chosen]),
            torch.from_numpy(labels.is_seen[chosen]),
            torch.tensor(losses.KEYPOINT_WEIGHTS).double(),
        ),
        "prior": losses.prior_loss(pose.float(), mixture),
        "below_ground": losses.below_ground_loss(made.vertices, up, height),
        "upright": losses.upright_loss(made.joints, up),
        "hvip": losses.point_loss(
            patch_units(project(foot[keep], view.intrinsics), view),
            torch.from_numpy(labels.hvip[chosen]),
        ),
    }


def patch_units(pixels: Tensor, view: PatchView) -> Tensor:
    """(N, ..., 2) picture pixels -> -1..1 across each person's patch."""
    shape = (len(pixels), *[1] * (pixels.ndim - 2), 2)
    corner = view.left_top_px.reshape(shape)
    return 2 * (pixels - corner) / view.side_px.reshape(shape[:-1])[..., None] - 1


def _single(view: PatchView, index: Tensor) -> PatchView:
    return PatchView(*(part.float() for part in view.select(index)))


def recipe_text(recipe: Recipe) -> str:
    """One line of JSON."""
    return json.dumps(asdict(recipe), sort_keys=True)
