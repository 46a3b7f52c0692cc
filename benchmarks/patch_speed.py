"""Speed of crowd3d-s and crowd3dnet, side by side: python benchmarks/patch_speed.py

Seconds per 512 px patch, from pixels to decoded people: `crowd3d-s` and `crowd3dnet` take turns on the same
patches with the same threads in one process, so that a busy machine slows both alike. Shown are medians of
elapsed time and of processor time, which other programs disturb less.

People per second of the whole pipeline with each network, without writing files: they also take turns, on one
picture. Without --weights, the weights of crowd3dnet are random. Then it runs completely, but its output maps
are replaced by maps of the people that the default run found, so that as many people go through the rest of the
pipeline.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import click
import numpy as np
import roma
import torch
from shared.machine import peak_mb, taking_turns
from shared.results import Cell, Table, save_option, show
from torch import Tensor, nn

import tiling
from crowd3d import api, models
from crowd3d.models.crowd3dnet import INPUT_PX, Maps, PatchView
from crowd3d.models.crowd3dnet_decode import find_centers, place, read_parameters
from crowd3d.models.crowd3dnet_encode import tell
from crowd3d.models.crowd3ds_decode import decode
from crowd3d.patches.bodies import OPEN_BODY, SMPL_BODY
from crowd3d.patches.reader import PatchReader
from crowd3d.scene.people import People
from crowd3d.synth import synthesize

SMALL, PUBLISHED = "crowd3d-s", "crowd3dnet"
_FOCAL_PX = 29200.0  # of a LargeCrowd picture; with the plane, part of the network's input
_PLANE = (-0.02, -0.98, -0.2, 16.0)


def patches(image: Path | None, count: int) -> Tensor:
    """(count, 3, 512, 512), 0..255: random patches of a picture, or noise if there is none."""
    if image is None:
        noise = np.random.default_rng(0).integers(0, 256, (count, 3, INPUT_PX, INPUT_PX))
        return torch.from_numpy(noise).float()
    with tiling.open_image(image) as source:
        rng = np.random.default_rng(0)
        side = min(INPUT_PX, source.width, source.height)
        left = rng.integers(0, source.width - side + 1, count)
        top = rng.integers(0, source.height - side + 1, count)
        pixels = np.stack(
            [
                source.read(int(x), int(y), side, side, (INPUT_PX, INPUT_PX))
                for x, y in zip(left, top, strict=True)
            ]
        )
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().contiguous()


def runners(weights: str | None) -> dict[str, Callable[[Tensor], int]]:
    """For each network, a function from patches to the number of people found."""
    small = models.build("crowd3d-s")
    published = models.build("crowd3dnet", weights)

    def crowd3d_s(batch: Tensor) -> int:
        return len(decode(small(batch), min_score=0.2).score)

    def crowd3dnet(batch: Tensor) -> int:
        n = len(batch)
        view = PatchView(
            torch.tensor([[_FOCAL_PX, 0, 9600], [0, _FOCAL_PX, 3259], [0, 0, 1]]).expand(n, 3, 3),
            torch.tensor(_PLANE).expand(n, 4),
            torch.tensor([4000.0, 3000.0]).expand(n, 2),
            torch.full((n,), 1000.0),
            torch.tensor([19200.0, 6518.0]).expand(n, 2),
        )
        maps = published(batch, view)
        centers = find_centers(maps.center)
        place(centers.cell, read_parameters(maps, centers), view.select(centers.patch))
        return len(centers.score)

    return {"crowd3d-s": crowd3d_s, "crowd3dnet": crowd3dnet}


class Told(nn.Module):
    """Crowd3DNet with random weights, which takes its usual time and then returns maps of the given people."""

    def __init__(self, people: People) -> None:
        super().__init__()
        self.network = models.build("crowd3dnet", None)
        self.torso_m = torch.from_numpy(people.torso_m)
        self.rotations = roma.rotvec_to_rotmat(torch.from_numpy(people.pose))
        self.betas = torch.from_numpy(people.betas)

    def forward(self, image: Tensor, view: PatchView) -> Maps:
        self.network(image, view)
        double = PatchView(*(part.double() for part in view))
        return tell(self.torso_m, self.rotations, self.betas, double)


def patch_table(
    image: Path | None, weights: str | None, count: int, batch: int, repeats: int
) -> Table:
    """A table of the seconds per patch for each network."""
    torch.manual_seed(0)
    batches = torch.split(patches(image, count), batch)
    jobs: dict[str, Callable[[], object]] = {
        name: (lambda run=run: [run(part) for part in batches])  # type: ignore[misc]
        for name, run in runners(weights).items()
    }
    with torch.inference_mode():
        times = taking_turns(jobs, repeats)
    least = times[SMALL].median_processor_s
    rows: list[list[Cell]] = [
        [
            name,
            t.best_s / count,
            t.median_s / count,
            t.median_processor_s / count,
            t.median_processor_s / least,
        ]
        for name, t in times.items()
    ]
    columns = {"network": "{}", "best s": "{:.3f}", "median s": "{:.3f}"}
    columns |= {"processor s": "{:.3f}", "times the processor time": "{:.1f}"}
    return Table(columns, rows, "a patch of 512 px")


def pipeline_table(image: Path, weights: str | None, repeats: int) -> Table:
    """A table of the speed of the whole pipeline with each network, on one picture."""
    found = api.reconstruct(image)  # warms up too
    if weights is None:
        reader = PatchReader(Told(found.people), trained_for=OPEN_BODY)
    else:
        reader = PatchReader(models.build(PUBLISHED, weights), trained_for=SMPL_BODY)
    people: dict[str, int] = {}
    peak: dict[str, float] = {}

    def run(name: str, model: str | None) -> None:
        people[name] = len(api.reconstruct(image, model=model).people)
        peak.setdefault(name, peak_mb())

    jobs: dict[str, Callable[[], object]] = {
        SMALL: lambda: run(SMALL, None),
        PUBLISHED: lambda: run(PUBLISHED, PUBLISHED),
    }
    with mock.patch.object(api, "build_reader", lambda *_: reader):
        times = taking_turns(jobs, repeats, warm_up=0)
    rows: list[list[Cell]] = [
        [
            name,
            people[name],
            t.median_s,
            t.median_processor_s,
            people[name] / t.median_s,
            peak[name],
        ]
        for name, t in times.items()
    ]
    columns = {"network": "{}", "people": "{}", "median s": "{:.1f}", "processor s": "{:.1f}"}
    columns |= {"people a second": "{:.1f}", "peak memory so far MB": "{:.0f}"}
    return Table(columns, rows, "the whole pipeline")


@click.command(help=__doc__)
@click.option("--image", type=click.Path(path_type=Path, exists=True), help="  [default: noise]")
@click.option("--patches", "count", default=8, show_default=True)
@click.option("--batch", default=1, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--weights", help="Of crowd3dnet; speed does not depend on them.  [default: random]")
@click.option("--pipeline-repeats", default=3, show_default=True, help="0 leaves the pipeline out.")
@click.option(
    "--size",
    type=(int, int),
    default=(2400, 1200),
    show_default=True,
    help="Of a generated picture.",
)
@click.option("--people", default=60, show_default=True, help="In a generated picture.")
@save_option
def main(
    image: Path | None,
    count: int,
    batch: int,
    threads: int,
    repeats: int,
    weights: str | None,
    pipeline_repeats: int,
    size: tuple[int, int],
    people: int,
    save: bool,
) -> None:
    torch.set_num_threads(threads)
    tables = [patch_table(image, weights, count, batch, repeats)]
    if pipeline_repeats:
        with tempfile.TemporaryDirectory() as folder:
            if image is None:
                synthesize(folder, seed=71, size=size, n_people=people)
                image = Path(folder) / "image.jpg"
            tables.append(pipeline_table(image, weights, pipeline_repeats))
    show("patch_speed", tables, save=save)


if __name__ == "__main__":
    main()
