"""Train the readout of `crowd3d.facing` on renders: python -m crowd3d.training.facing_train --help"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

import tiling
from crowd3d import facing
from crowd3d.synth import Truth, synthesize
from crowd3d.windows import FLAT

FloatArray = npt.NDArray[np.float64]

# Preset, seeds, size, people.
SCENES = (
    ("telephoto", (910, 911, 912, 913, 914, 915, 950, 951, 952, 954, 955, 956), (3600, 2400), 130),
    ("street", (920, 921, 922, 923, 924, 925, 970, 971, 974, 975), (4800, 2700), 70),
    ("phone", (930, 931, 932, 933, 934, 935), (3000, 2250), 50),
    ("plaza", (960, 961, 962, 964, 965), (6400, 3200), 100),
)
_MIN_HEIGHT_PX, _MIN_VISIBLE, _MIN_INSIDE = 70.0, 0.6, 0.8
_SCALE_SD, _SHIFT_SD = 0.10, 0.03  # boxes of a detector against true ones; shifts in heights
_BLURRED_PX = (40.0, 130.0)  # heights of people in the poor copies of their windows
_QUALITY = (25, 80)  # of their JPEG
_DECAY, _HEADING_DECAY = 0.01, 0.3  # of squared weights of standardised features
_BATCH = 8


def heading_rad(truth: Truth, rows: npt.NDArray[np.int64]) -> FloatArray:
    """(N,) angle between where people face and the way to the camera, on the level."""
    turns = np.stack([cv2.Rodrigues(pose)[0] for pose in truth.pose[rows, 0]])
    up = truth.normals[truth.plane[rows]]
    away = truth.torso_m[rows] - (truth.torso_m[rows] * up).sum(1, keepdims=True) * up
    forward = turns[:, :, 2]
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


def poor_copy(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A window as a poor camera far away at night would have taken it."""
    share = min(np.exp(rng.uniform(*np.log(_BLURRED_PX))) / facing.PERSON_PX, 1.0)
    size = (round(pixels.shape[1] * share), round(pixels.shape[0] * share))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    dim = np.clip(small * rng.uniform(0.4, 1.2) + rng.uniform(0, 50), 0, 255).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(*_QUALITY))]
    coded = np.asarray(cv2.imdecode(cv2.imencode(".jpg", dim, options)[1], cv2.IMREAD_COLOR))
    return np.asarray(cv2.resize(coded, facing.WINDOW_PX, interpolation=cv2.INTER_LINEAR), np.uint8)


def scene_features(folder: Path, seed: int) -> tuple[facing.Bands, FloatArray]:
    """Band features of the people of a scene, each sharp and then each poor, and their (2N,) headings."""
    truth, rng = Truth.load(folder / "truth.npz"), np.random.default_rng(seed)
    tall = truth.boxes_px[:, 3] - truth.boxes_px[:, 1] > _MIN_HEIGHT_PX
    seen = (truth.visibility > _MIN_VISIBLE) & (truth.inside > _MIN_INSIDE) & ~truth.seated
    rows = np.flatnonzero(tall & seen)
    with tiling.open_image(folder / "image.jpg", max_pixels=10**9) as source:
        source.prepare()
        windows = [facing.person_window(jittered(truth.boxes_px[row], rng)) for row in rows]
        sharp = [FLAT.read(source, window) for window in windows]
    network, _ = facing.network("cpu")
    pixels = [*sharp, *(poor_copy(window, rng) for window in sharp)]
    parts = [
        facing.both_ways(network, np.stack(pixels[i : i + _BATCH]), "cpu")
        for i in range(0, len(pixels), _BATCH)
    ]
    return joined(parts), np.tile(heading_rad(truth, rows), 2)


def joined(parts: Sequence[facing.Bands]) -> facing.Bands:
    """The people of all parts."""
    return facing.Bands(torch.cat([p.even for p in parts]), torch.cat([p.odd for p in parts]))


def fit(scenes: Sequence[tuple[facing.Bands, FloatArray]]) -> facing.FacingReadout:
    """The readout of some scenes."""
    bands = joined([b for b, _ in scenes])
    heading = np.concatenate([h for _, h in scenes])
    weight, bias = fit_facing(bands.even, heading)
    right, _ = fit_component(bands.odd, np.sin(heading), has_bias=False)
    towards, towards_bias = fit_component(bands.even, np.cos(heading))
    network = facing.network("cpu")[1]
    return facing.FacingReadout(weight, bias, right, towards, towards_bias, network)


def fit_component(bands: Tensor, target: FloatArray, has_bias: bool = True) -> tuple[Tensor, float]:
    """Ridge regression of one component of the heading; shrunk, so that it is short where it is in doubt."""
    x, y = bands.flatten(1).double(), torch.from_numpy(target)
    mean, middle = (x.mean(0), float(y.mean())) if has_bias else (torch.zeros_like(x[0]), 0.0)
    sd = x.std(0) + 1e-3
    x = (x - mean) / sd
    square = x.T @ x / len(x) + _HEADING_DECAY * torch.eye(x.shape[1], dtype=x.dtype)
    weight = torch.linalg.solve(square, x.T @ (y - middle) / len(x)) / sd
    return weight.float().reshape(bands.shape[1:]), float(middle - weight @ mean)


def fit_facing(bands: Tensor, heading: FloatArray) -> tuple[Tensor, float]:
    """Logistic regression of facing the camera; who is seen from the side counts little."""
    x, front = bands.flatten(1).double(), torch.from_numpy(np.cos(heading))
    mean, sd = x.mean(0), x.std(0) + 1e-3
    x, share = (x - mean) / sd, front.abs() / front.abs().sum()
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        losses = torch.nn.functional.softplus(-torch.sign(front) * (x @ weight + bias))
        total = (share * losses).sum() + _DECAY * (weight**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return float(total.detach())

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    scaled = (weight / sd).detach()
    return scaled.float().reshape(bands.shape[1:]), float(bias.detach() - scaled @ mean)


def held_out(
    scenes: list[tuple[facing.Bands, FloatArray]], folds: int = 4
) -> tuple[dict[str, float], dict[str, float]]:
    """What weights of other scenes tell of people.

    Returns:
        shares told right of those within 60 degrees of front or back; median errors of headings in degrees.
    """
    right: dict[str, list[bool]] = {}
    off: dict[str, list[float]] = {}
    for fold in range(folds):
        others = [scene for i, scene in enumerate(scenes) if i % folds != fold]
        readout = fit(others)
        for bands, heading in scenes[fold::folds]:
            front, is_poor = np.cos(heading), np.arange(len(heading)) >= len(heading) // 2
            answers = readout(bands).numpy()
            found = np.arctan2(*readout.heading(bands).double().numpy().T)
            error = np.degrees(np.abs(np.angle(np.exp(1j * (found - heading)))))
            for row in range(len(heading)):
                quality = "poor" if is_poor[row] else "sharp"
                off.setdefault(quality, []).append(float(error[row]))
                if abs(front[row]) > 0.5:
                    name = f"{quality} {'front' if front[row] > 0 else 'back'}"
                    right.setdefault(name, []).append(bool(answers[row] * front[row] > 0))
    return (
        {name: round(float(np.mean(values)), 3) for name, values in sorted(right.items())},
        {name: round(float(np.median(values)), 1) for name, values in sorted(off.items())},
    )


def train(out: Path, renders: Path) -> dict[str, Any]:
    """Renders what is missing, fits, measures; writes `facing.safetensors` into `out`."""
    scenes = []
    for name, seeds, size, people in SCENES:
        for seed in seeds:
            folder = renders / f"{name}-{seed}"
            if not (folder / "camera.json").exists():  # written last
                synthesize(folder, seed=seed, size=size, n_people=people, preset_name=name)
            scenes.append(scene_features(folder, seed))
    readout = fit(scenes)
    accuracy, heading_deg = held_out(scenes)
    facts = {
        "windows": sum(len(h) for _, h in scenes),
        "held_out_accuracy": accuracy,
        "held_out_heading_deg": heading_deg,
    }
    metadata = {"network": readout.network, "facts": json.dumps(facts)}
    tensors = {name: getattr(readout, name).contiguous() for name in ("weight", "right", "towards")}
    tensors |= {name: torch.tensor(getattr(readout, name)) for name in ("bias", "towards_bias")}
    save_file(tensors, str(out / "facing.safetensors"), metadata=metadata)
    return facts


@click.command()
@click.option("--out", required=True, type=click.Path(exists=True, path_type=Path), help="Folder.")
@click.option("--renders", required=True, type=click.Path(path_type=Path), help="Kept scenes.")
def main(out: Path, renders: Path) -> None:
    """Train the facing readout; about twenty minutes on two cores, most of it rendering."""
    click.echo(json.dumps(train(out, renders)))


if __name__ == "__main__":
    main()
