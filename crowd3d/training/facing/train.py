"""Train the readout of `crowd3d.detect.facing` on renders: python -m crowd3d.training.facing.train --help"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import click
import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import vonmises
from torch import Tensor
from tqdm import tqdm

import tiling
from crowd3d.detect import facing
from crowd3d.export.floorplan import body_facing
from crowd3d.files.weights import write_weights
from crowd3d.picture.windows import FLAT
from crowd3d.synth import Truth, synthesize
from crowd3d.training.common.schedule import descend, learning_rate

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


def _seeds(*borders: int) -> tuple[int, ...]:
    """From the first to before the second, and so on."""
    return tuple(chain(*map(range, borders[::2], borders[1::2])))


# Preset, seeds, size, people.
SCENES = (
    ("telephoto", _seeds(910, 916, 950, 953, 954, 957, 1210, 1218, 1310, 1318), (3600, 2400), 130),
    ("street", _seeds(920, 926, 970, 972, 974, 976, 1200, 1212, 1300, 1312), (4800, 2700), 70),
    ("phone", _seeds(930, 936, 1230, 1239, 1258, 1262, 1358, 1362), (3000, 2250), 50),
    ("plaza", _seeds(960, 963, 964, 966), (6400, 3200), 100),
)
_MIN_HEIGHT_PX, _MIN_VISIBLE, _MIN_INSIDE = 70.0, 0.6, 0.8
_SCALE_SD, _SHIFT_SD = 0.10, 0.03  # boxes of a detector against true ones; shifts in heights
_GAMMA_SD, _TINT_SD, _CONTRAST_SD = 0.3, 0.08, 0.25  # of logarithms
_SATURATION = (0.4, 1.3)
_BLURRED_PX = (40.0, 130.0)  # heights of people in the poor copies of their windows
_QUALITY = (25, 80)  # of their JPEG
_WINDOWS_PER_PASS = 8
_WEIGHT_DECAY, _MOST_NORM = 0.2, 5.0


class Recipe(NamedTuple):
    """How the readout is fitted, see `schedule.learning_rate`."""

    seed: int = 0
    steps: int = 3000
    batch: int = 256
    learning_rate: float = 1e-3
    warmup: int = 0


class People(NamedTuple):
    """What is seen of N people, and where they face.

    Attributes:
        seen: (N, 2, F) features of windows and of their mirror images; heading: (N,) radians.
        is_poor: (N,) windows as of a poor camera.
    """

    seen: Tensor
    heading: Tensor
    is_poor: Tensor


def heading_rad(truth: Truth, rows: npt.NDArray[np.int64]) -> FloatArray:
    """(N,) angle between where people face and the way to the camera, on the level."""
    up = truth.normals[truth.plane[rows]]
    away = truth.torso_m[rows] - (truth.torso_m[rows] * up).sum(1, keepdims=True) * up
    forward = body_facing(truth.pose[rows, 0])
    right = np.cross(away, up)
    scale = np.linalg.norm(away, axis=1)
    return np.asarray(
        np.arctan2((forward * right).sum(1) / scale, -(forward * away).sum(1) / scale)
    )


def jittered(box_px: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A true box (4,) as a detector might have it."""
    middle, size = (box_px[:2] + box_px[2:]) / 2, box_px[2:] - box_px[:2]
    middle = middle + rng.normal(0, _SHIFT_SD, 2) * size[1]
    size = size * np.exp(rng.normal(0, _SCALE_SD))
    return np.concatenate([middle - size / 2, middle + size / 2])


def relit(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A window in other light: another gamma, tint, saturation and contrast."""
    x = (pixels / 255.0) ** np.exp(rng.normal(0, _GAMMA_SD)) * np.exp(rng.normal(0, _TINT_SD, 3))
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * rng.uniform(*_SATURATION)
    x = x.mean() + (x - x.mean()) * np.exp(rng.normal(0, _CONTRAST_SD))
    return np.asarray(x.clip(0, 1) * 255 + 0.5, np.uint8)


def poor_copy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A window as a poor camera far away at night would have taken it."""
    share = min(np.exp(rng.uniform(*np.log(_BLURRED_PX))) / facing.PERSON_PX, 1.0)
    size = (round(pixels.shape[1] * share), round(pixels.shape[0] * share))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    gain, offset = rng.uniform(0.4, 1.2), rng.uniform(0, 50)
    coded = poorly_coded(small, gain, offset, int(rng.uniform(*_QUALITY)))
    return np.asarray(cv2.resize(coded, facing.WINDOW_PX, interpolation=cv2.INTER_LINEAR), np.uint8)


def poorly_coded(small: Pixels, gain: float, offset: float, quality: int) -> Pixels:
    """A picture in dim and hazy light, out of a JPEG."""
    dim = np.clip(small * gain + offset, 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", dim, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def scene_people(folder: Path, seed: int) -> People:
    """The people of a scene, each four times: as rendered and in another light, sharp and poor."""
    truth, rng = Truth.load(folder / "truth.npz"), np.random.default_rng(seed)
    tall = truth.boxes_px[:, 3] - truth.boxes_px[:, 1] > _MIN_HEIGHT_PX
    seen = (truth.visibility > _MIN_VISIBLE) & (truth.inside > _MIN_INSIDE) & ~truth.seated
    rows = np.flatnonzero(tall & seen)
    pixels: list[Pixels] = []
    with tiling.open_image(folder / "image.jpg", max_pixels=10**9) as source:
        source.prepare()
        for row in rows:
            for is_relit in (False, True):
                box = jittered(truth.boxes_px[row], rng)
                window = FLAT.read(source, facing.person_window(box))
                sharp = relit(window, rng) if is_relit else window
                pixels += [sharp, poor_copy(sharp, rng)]
    network, _ = facing.network("cpu")
    step = _WINDOWS_PER_PASS
    parts = [
        facing.both_ways(network, np.stack(pixels[i : i + step]), "cpu")
        for i in range(0, len(pixels), step)
    ]
    heading = torch.from_numpy(heading_rad(truth, rows).repeat(4)).float()
    return People(torch.cat(parts), heading, torch.arange(len(heading)) % 2 == 1)


def joined(parts: Sequence[People]) -> People:
    """The people of all parts."""
    return People(*(torch.cat(values) for values in zip(*parts, strict=True)))


def likelihood_loss(answer: Tensor, heading: Tensor) -> Tensor:
    """Mean negative logarithm of the von Mises density whose natural parameters are (N, 2) at (N,) radians."""
    concentration = (answer.square().sum(dim=1) + 1e-12).sqrt()  # differentiable at 0
    log_normaliser = torch.log(torch.special.i0e(concentration)) + concentration
    towards_it = (answer * torch.stack([heading.sin(), heading.cos()], dim=1)).sum(dim=1)
    return (math.log(2 * math.pi) + log_normaliser - towards_it).mean()


def fit(people: People, recipe: Recipe) -> facing.FacingReadout:
    """The readout under which the headings of people are most likely."""
    torch.manual_seed(recipe.seed)
    readout = facing.FacingReadout(facing.network("cpu")[1])
    readout.mean.copy_(people.seen.mean(dim=(0, 1)))
    readout.sd.copy_(people.seen.std(dim=(0, 1)) + 1e-3)
    optimizer = torch.optim.AdamW(readout.parameters(), weight_decay=_WEIGHT_DECAY)
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        rows = torch.randint(len(people.heading), (recipe.batch,))
        descend(
            optimizer, likelihood_loss(readout(people.seen[rows]), people.heading[rows]), _MOST_NORM
        )
    return readout.eval()


@torch.no_grad()
def told(readout: facing.FacingReadout, people: People) -> dict[str, float]:
    """How well headings are told: median error, how often 90 % angles hold, front and back told apart."""
    found, heading = readout(people.seen).double().numpy(), people.heading.double().numpy()
    off = np.abs(np.angle(np.exp(1j * (np.arctan2(*found.T) - heading))))
    holds = off <= vonmises.ppf(0.95, np.hypot(*found.T).clip(1e-3, 1e3))
    numbers = {}
    for quality, rows in (("sharp", ~people.is_poor.numpy()), ("poor", people.is_poor.numpy())):
        numbers[f"{quality} median_deg"] = round(float(np.degrees(np.median(off[rows]))), 2)
        numbers[f"{quality} holds_90"] = round(float(holds[rows].mean()), 3)
        for side, sign in (("front", 1), ("back", -1)):
            some = rows & (sign * np.cos(heading) > 0.5)
            right = (sign * found[some, 1] > 0).mean()
            numbers[f"{quality} {side}"] = round(float(right), 3)
    return numbers


def held_out(scenes: Sequence[People], recipe: Recipe, folds: int = 4) -> dict[str, float]:
    """What readouts of other scenes tell of people: the means over folds of `told`."""
    tables = []
    for fold in range(folds):
        others = [scene for i, scene in enumerate(scenes) if i % folds != fold]
        tables.append(told(fit(joined(others), recipe), joined(scenes[fold::folds])))
    return {name: round(float(np.mean([table[name] for table in tables])), 3) for name in tables[0]}


def train(out: Path, renders: Path, recipe: Recipe) -> dict[str, Any]:
    """Renders what is missing, fits, measures; writes `facing.safetensors` and `facing.json` into `out`."""
    scenes = []
    for name, seeds, size, people in SCENES:
        for seed in tqdm(seeds, desc=name):
            folder = renders / f"{name}-{seed}"
            if not (folder / "camera.json").exists():  # written last
                synthesize(folder, seed=seed, size=size, n_people=people, preset_name=name)
            scenes.append(scene_people(folder, seed))
    everybody = joined(scenes)
    readout = fit(everybody, recipe)
    facts = {
        "recipe": recipe._asdict(),
        "scenes": [
            dict(zip(("preset", "seeds", "size", "people"), s, strict=True)) for s in SCENES
        ],
        "windows": len(everybody.heading),
        "held_out": held_out(scenes, recipe),
    }
    tensors = {
        name: value if name in ("mean", "sd") else value.half()
        for name, value in readout.state_dict().items()
    }
    metadata = {"network": readout.network, "facts": json.dumps(facts)}
    write_weights(out / "facing.safetensors", tensors, metadata)
    (out / "facing.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


@click.command()
@click.option("--out", required=True, type=click.Path(exists=True, path_type=Path), help="Folder.")
@click.option("--renders", required=True, type=click.Path(path_type=Path), help="Kept scenes.")
@click.option("--seed", default=0, help="Of the first weights and of the order of people.")
def main(out: Path, renders: Path, seed: int) -> None:
    """Train the facing readout; about an hour on one core, half of it rendering."""
    torch.set_num_threads(1)  # sums in another order would be other bytes
    click.echo(json.dumps(train(out, renders, Recipe(seed))["held_out"]))


if __name__ == "__main__":
    main()
