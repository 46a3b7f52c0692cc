"""Seconds per 512 px patch of two networks: python benchmarks/patch_speed.py [--threads 2] [--image PICTURE]

`crowd3d-s` and `crowd3dnet` take turns on the same patches with the same threads in one process, from pixels to
decoded people, so that a busy machine slows both alike. Prints medians of elapsed and of processor time, which
other programs disturb less, and writes JSON.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

import tiling
from crowd3d import models
from crowd3d.models.crowd3dnet import INPUT_PX, PatchView
from crowd3d.models.crowd3dnet_decode import find_centers, place, read_parameters
from crowd3d.models.decode import decode

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


@click.command()
@click.option("--image", type=click.Path(path_type=Path, exists=True), help="  [default: noise]")
@click.option("--patches", "count", default=8, show_default=True)
@click.option("--batch", default=1, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--weights", help="Of crowd3dnet; speed does not depend on them.  [default: random]")
@click.option("--out", default="patch_speed.json", type=click.Path(path_type=Path))
def main(
    image: Path | None,
    count: int,
    batch: int,
    threads: int,
    repeats: int,
    weights: str | None,
    out: Path,
) -> None:
    """Time both networks, turn about."""
    torch.set_num_threads(threads)
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
        "threads": threads,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "rows": rows,
        "ratio": ratio,
    }
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
