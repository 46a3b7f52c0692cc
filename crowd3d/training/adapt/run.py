"""Adapts Crowd3DNet to a scene, as `crowd3d adapt` does: pictures in, weights out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import tiling
from crowd3d import api, models
from crowd3d import body as bodies
from crowd3d.config import Config
from crowd3d.errors import DataError, ModelError
from crowd3d.files.weights import metadata_of, tensors_hash, write_weights
from crowd3d.models.crowd3dnet import Crowd3DNet, PatchView
from crowd3d.patches.bodies import SMPL_BODY, speaks_betas_of
from crowd3d.patches.plan import patch_view, plan_patches
from crowd3d.patches.reader import check_camera
from crowd3d.picture.camera_hint import CameraHint
from crowd3d.picture.opening import translated_errors
from crowd3d.picture.windows import FLAT
from crowd3d.pipeline.networks import choose_device
from crowd3d.progress import Reporter
from crowd3d.synth.cast import poses
from crowd3d.training.adapt.fit import Examples, Recipe, adapt, prepare, recipe_text
from crowd3d.training.adapt.labels import Labels, label_patches
from crowd3d.training.adapt.losses import Mixture, fit_mixture
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.version import __version__

PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
_MOST_PATCHES = 120  # kept in memory, 2.2 MB each
_PRIOR_POSES = 1000


@dataclass(frozen=True)
class Summary:
    """What an adaptation did.

    Attributes:
        n_patches, n_labels: patches and people it learnt from; steps: done in all.
        first_loss, last_loss: of the steps done in this run; NaN where there were none.
    """

    n_patches: int
    n_labels: int
    steps: int
    first_loss: float
    last_loss: float


def pictures_of(scene: Path) -> list[Path]:
    """The picture, or those of a folder by name; raises DataError if there are none."""
    if not scene.is_dir():
        return [scene]
    found = sorted(path for path in scene.iterdir() if path.suffix.lower() in PICTURES)
    if not found:
        raise DataError(f"{scene} holds no picture ({', '.join(PICTURES)})")
    return found


def adapt_to_scene(
    scene: Path,
    weights: Path | None,
    out: Path,
    recipe: Recipe,
    *,
    camera: CameraHint | None = None,
    config: Config,
    device: str,
    resume: bool,
    progress: Reporter,
) -> Summary:
    """Writes the adapted weights, and beside them a log of one line of JSON a step.

    Args:
        scene: a picture, or a folder of pictures of one place.
        weights: .safetensors file of crowd3dnet; None for those imported.
        device: for the default network and the frozen part of this one; the rest runs on the CPU.
        resume: go on with an unfinished run.

    Raises:
        ModelError, ImageError, CameraError, DataError, OutputError, EnvironmentProblem.
    """
    chosen = choose_device(device)
    network = models.build("crowd3dnet", "embedded" if weights is None else weights)
    if not isinstance(network, Crowd3DNet):
        raise ModelError("the weights are not of crowd3dnet")
    told = {} if weights is None else metadata_of(weights)
    if told.get("network", "crowd3dnet") != "crowd3dnet":
        raise ModelError(f"{weights} holds {told['network']!r}, not crowd3dnet")
    pictures = pictures_of(scene)
    facts = {
        "network": "crowd3dnet",
        "body": told.get("body", SMPL_BODY),
        "adapted_from": tensors_hash(network),
        "scene": ", ".join(path.name for path in pictures),
        "recipe": recipe_text(recipe),
        "crowd3d": __version__,
    }
    pixels = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in _there(pictures))
    key = hashlib.sha256("".join([*facts.values(), pixels, repr(config)]).encode()).hexdigest()
    run = RunFolder(out.parent, out.name, resume=resume)
    body = bodies.load("open", "crowd")
    examples = _examples(network, pictures, camera, config, chosen, progress)
    progress.start("adapt", recipe.steps)
    rows = adapt(
        network,
        examples,
        body,
        recipe,
        own_mixture(),
        own_betas=speaks_betas_of(body, facts["body"]),
        run=run,
        key=key,
        on_step=progress.advance,
    )
    write_weights(out, network.state_dict(), facts)
    run.finish()
    losses = [row["loss"] for row in rows] or [float("nan")]
    return Summary(
        len(examples.features), len(examples.labels), recipe.steps, losses[0], losses[-1]
    )


def own_mixture(seed: int = 0, count: int = _PRIOR_POSES) -> Mixture:
    """The prior over poses: eight Gaussians of this package's own standing, walking and sitting people."""
    rng = np.random.default_rng(seed)
    makers = (poses.standing, poses.walking, poses.sitting)
    drawn = np.stack([makers[k % len(makers)](rng) for k in range(count)])
    return fit_mixture(torch.from_numpy(drawn), seed=seed)


def _there(pictures: Sequence[Path]) -> Sequence[Path]:
    missing = [path for path in pictures if not path.is_file()]
    if missing:
        raise DataError(f"there is no picture {missing[0]}")
    return pictures


def _examples(
    network: Crowd3DNet,
    pictures: Sequence[Path],
    camera: CameraHint | None,
    config: Config,
    device: str,
    progress: Reporter,
) -> Examples:
    parts = [
        _learn_from(path, camera, config, device, _MOST_PATCHES // len(pictures) or 1, progress)
        for path in pictures
    ]
    views = PatchView(
        *(torch.cat(values) for values in zip(*(v for _, v, _ in parts), strict=True))
    )
    offsets = np.cumsum([0, *(len(pixels) for pixels, _, _ in parts[:-1])])
    labels = [
        replace(labels, patch=labels.patch + at)
        for at, (_, _, labels) in zip(offsets, parts, strict=True)
    ]
    names = ("patch", "cell", "keypoints", "is_seen", "hvip")
    joined = Labels(*(np.concatenate([getattr(part, name) for part in labels]) for name in names))
    pixels = torch.cat([pixels for pixels, _, _ in parts])
    progress.start("features", len(pixels))
    return prepare(network, pixels, views, joined, device)


def _learn_from(
    path: Path,
    camera: CameraHint | None,
    config: Config,
    device: str,
    max_patches: int,
    progress: Reporter,
) -> tuple[Tensor, PatchView, Labels]:
    """Patches (P, 3, 512, 512) uint8, where they lie, and who is in them."""
    scene = api.reconstruct(path, camera=camera, config=config, device=device, progress=progress)
    with (
        translated_errors(),
        tiling.open_image(path, max_pixels=config.max_pixels) as source,
    ):
        if not scene.planes:
            raise DataError(f"{path} shows nobody to learn from")
        check_camera(scene.camera)
        tiles = plan_patches(source, scene.camera, scene.planes[0], config)
        tiles, labels = label_patches(scene, tiles, config.min_keypoint_score, max_patches)
        pixels = np.zeros((len(tiles), 512, 512, 3), np.uint8)
        for k, tile in enumerate(tiles):
            pixels[k] = FLAT.read(source, tile)
        view = patch_view(tiles, scene.camera, scene.planes[0])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), view, labels
