"""How fast crowds are drawn, and in how much memory: python benchmarks/synth_speed.py [--case ...]

Every case runs in a process of its own, so that the peak memory is its own.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

import click
import torch

from crowd3d.synth import synthesize

CASES = ("plaza,300,6000x3000", "dense,1000,3000x1500", "largecrowd,300,12000x6000")


def drawn(case: str, threads: int) -> dict[str, float]:
    """Draw one case into a temporary folder; seconds, people, megapixels, and peak memory of this process."""
    torch.set_num_threads(threads)
    preset, people, size = case.split(",")
    width, height = (int(side) for side in size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        start, start_cpu = time.perf_counter(), time.process_time()
        truth = synthesize(
            folder, seed=1, size=(width, height), n_people=int(people), preset_name=preset
        )
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        bytes_written = (Path(folder) / "image.jpg").stat().st_size
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "people": len(truth),
        "megapixels": width * height / 1e6,
        "people_per_minute": round(60 * len(truth) / seconds),
        "people_per_cpu_minute": round(60 * len(truth) / cpu),
        "peak_mb": round(peak_mb),
        "jpeg_mb": round(bytes_written / 1e6, 1),
    }


@click.command()
@click.option("--case", "cases", multiple=True, default=CASES, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--out", default="synth_speed.json", type=click.Path(path_type=Path))
def main(cases: tuple[str, ...], threads: int, out: Path) -> None:
    """Time the generator."""
    rows = {}
    for case in cases:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = rows[case] = pool.apply(drawn, (case, threads))
        click.echo(
            f"{case:28} {row['people']:5.0f} people  {row['seconds']:6.1f} s  "
            f"{row['people_per_minute']:5.0f} a minute ({row['people_per_cpu_minute']:5.0f} a minute "
            f"of one core's time)  peak {row['peak_mb']:5.0f} MB"
        )
    report = {"cores": os.cpu_count(), "machine": platform.machine(), "cases": rows}
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
