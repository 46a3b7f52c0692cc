"""Two networks side by side: python benchmarks/patch_speed.py [--threads 2] [--image PICTURE]

Seconds per 512 px patch: `crowd3d-s` and `crowd3dnet` take turns on the same patches with the same threads in
one process, from pixels to decoded people, so that a busy machine slows both alike. Prints medians of elapsed
and of processor time, which other programs disturb less.

People per second of the whole pipeline with each, files not written: also turn about, on one picture. Without
--weights crowd3dnet's are random: it runs in full, and then its maps are replaced by ones that tell the people
whom the default run found, so that as many people go through the rest of the pipeline.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
import roma
import torch
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

_FOCAL_PX = 29200.0
_PLANE = (-0.02, -0.98, -0.2, 16.0)


def patches(image: Path | None, count: int) -> Tensor:
    """(count, 3, 512, 512), 0..255: spread over a picture, or noise without one."""
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
    """For each network a function from patches to the number of people found."""
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
    """Crowd3DNet with random weights: works as long as with others, then says who is known to be there."""

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


def pipeline_rows(image: Path, weights: str | None, repeats: int) -> dict[str, Any]:
    """Medians of the whole pipeline with each network on one picture."""
    found = api.reconstruct(image)  # warms up too
    if weights is None:
        reader = PatchReader(Told(found.people), trained_for=OPEN_BODY)
    else:
        reader = PatchReader(models.build("crowd3dnet", weights), trained_for=SMPL_BODY)
    runs: dict[str, Callable[[], Any]] = {
        "crowd3d-s": lambda: api.reconstruct(image),
        "crowd3dnet": lambda: api.reconstruct(image, model="crowd3dnet"),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    rows: dict[str, Any] = {}
    with mock.patch.object(api, "build_reader", lambda *_: reader):
        for _ in range(repeats):
            for name, run in runs.items():
                start = time.perf_counter(), time.process_time()
                scene = run()
                end = time.perf_counter(), time.process_time()
                times[name].append((end[0] - start[0], end[1] - start[1]))
                rows.setdefault(name, {"people": len(scene.people), "peak_so_far_mb": peak_mb()})
    for name, row in rows.items():
        elapsed, processor = (
            statistics.median(values) for values in zip(*times[name], strict=True)
        )
        row |= {"median_s": elapsed, "median_processor_s": processor}
        row["people_per_s"] = row["people"] / elapsed
        click.echo(
            f"{name:10}  {row['people']} people, median {elapsed:.1f} s (processor {processor:.1f} s):"
            f" {row['people_per_s']:.2f} people a second, peak so far {row['peak_so_far_mb']:.0f} MB"
        )
    return rows


def peak_mb() -> float:
    """Of this process since its start."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine(threads: int) -> str:
    """What the numbers belong to, in one line."""
    load = os.getloadavg()[0]
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {threads} threads, load {load:.1f} before,"
        f" torch {torch.__version__}"
    )


@click.command()
@click.option("--image", type=click.Path(path_type=Path, exists=True), help="  [default: noise]")
@click.option("--patches", "count", default=8, show_default=True)
@click.option("--batch", default=1, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--weights", help="Of crowd3dnet; speed does not depend on them.  [default: random]")
@click.option("--pipeline-repeats", default=3, show_default=True, help="0 leaves the pipeline out.")
@click.option("--size", type=(int, int), default=(2400, 1200), help="Of a generated picture.")
@click.option("--people", default=60, show_default=True, help="In a generated picture.")
@click.option("--out", default="patch_speed.json", type=click.Path(path_type=Path))
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
    out: Path,
) -> None:
    """Time both networks, turn about."""
    torch.set_num_threads(threads)
    line = machine(threads)
    click.echo(line)
    torch.manual_seed(0)
    batches = torch.split(patches(image, count), batch)
    networks = runners(weights)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in networks}
    with torch.inference_mode():
        for _ in range(repeats + 1):
            for name, run in networks.items():
                start = time.perf_counter(), time.process_time()
                for part in batches:
                    run(part)
                end = time.perf_counter(), time.process_time()
                seconds[name].append(((end[0] - start[0]) / count, (end[1] - start[1]) / count))
    rows = {}
    for name, times in seconds.items():
        elapsed, processor = zip(*times[1:], strict=True)  # the first run warms up
        rows[name] = {
            "median_s": statistics.median(elapsed),
            "best_s": min(elapsed),
            "median_processor_s": statistics.median(processor),
        }
        click.echo(
            f"{name:10}  median {rows[name]['median_s']:.3f} s a patch, best {min(elapsed):.3f} s, "
            f"processor {rows[name]['median_processor_s']:.3f} s"
        )
    small, published = (rows[name]["median_processor_s"] for name in ("crowd3d-s", "crowd3dnet"))
    ratio = published / small
    click.echo(f"crowd3dnet takes {ratio:.1f} times the processor time")
    report = {
        "patches": count,
        "batch": batch,
        "machine": line,
        "rows": rows,
        "ratio": ratio,
    }
    if pipeline_repeats:
        with tempfile.TemporaryDirectory() as folder:
            if image is None:
                synthesize(folder, seed=71, size=size, n_people=people)
                image = Path(folder) / "image.jpg"
            whole = pipeline_rows(image, weights, pipeline_repeats)
        slower = whole["crowd3d-s"]["people_per_s"] / whole["crowd3dnet"]["people_per_s"]
        click.echo(f"the pipeline with crowd3dnet finds {slower:.1f} times fewer people a second")
        report |= {"pipeline": whole, "pipeline_ratio": slower, "random_weights": weights is None}
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
