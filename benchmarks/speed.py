"""What a picture takes, from 2 to 1,000 megapixels: python benchmarks/speed.py --cache DIR --pictures LIST

Every picture is reconstructed by `crowd3d reconstruct` in a process of its own: with each engine, and with an
older version of this program (`--released COMMIT`, built into the cache from the repository's history). Beside
them stand limits and baselines, measured in the same run: `bare` is opening the picture and the engine's bare
time for the tiles that the default run read; `grid` is the same for tiles of 512 px all over the full picture;
`HRNet-W32` is the published system's trunk on the published plan of patches (a few are timed, and multiplied).
Seconds of a busy machine say little: compare rows of one picture.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
import numpy.typing as npt
import torch
from shared import machine
from shared.choices import named
from shared.rendered import Crowd, chosen, rendered
from shared.results import Cell, Table, keep, save_option, show, with_earlier
from shared.stages import ENGINES

import tiling
from crowd3d import Scene, models, reconstruct
from crowd3d.config import Config
from crowd3d.models.engine import Engine
from crowd3d.patches.plan import plan_patches
from crowd3d.pipeline.networks import DEFAULT, choose_engine
from crowd3d.progress import Progress
from crowd3d.version import __version__

PICTURES = (
    Crowd("2 MP", "street", (1920, 1080), 20, 901),
    Crowd("12 MP", "phone", (4000, 3000), 40, 902),
    Crowd("124 MP", "largecrowd", (19200, 6480), 350, 7),
    Crowd("400 MP", "gigapixel", (28000, 14300), 1000, 904),
    Crowd("1000 MP", "gigapixel", (40000, 25000), 2000, 905),
)
RELEASED, BARE, GRID, PUBLISHED = "released", "bare", "grid", "HRNet-W32"
WAYS = (*ENGINES, RELEASED, BARE, GRID, PUBLISHED)
_ON_GPU = ("torch", "torch bfloat16", BARE)
_GPU_BATCH = "batch_size: 32\n"
_TIMED_TILES, _TIMED_PATCHES = 64, 4
_SAMPLE_S = 0.2  # between two looks at the free space

COLUMNS = {
    "picture": "{}",
    "way": "{}",
    "people": "{:,.0f}",
    "tiles": "{:,.0f}",
    "s": "{:,.1f}",
    "open / find / lift s": "{:.1f} / {:.1f} / {:.1f}",
    "processor s": "{:,.0f}",
    "tiles a second": "{:.1f}",
    "people a second": "{:.1f}",
    "peak memory MB": "{:,.0f}",
    "temporary MB": "{:,.0f}",
    "version": "{}",
}


@dataclass(frozen=True)
class Taken:
    """What one way took for one picture; None is not known."""

    seconds: float
    people: int | None = None
    tiles: int | None = None
    stages_s: tuple[float, float, float] | None = None
    processor_s: float | None = None
    peak_mb: float | None = None
    temporary_mb: float | None = None

    def row(self, picture: str, way: str) -> list[Cell]:
        """A line of the table, in the order of `COLUMNS`."""
        speeds = [None if n is None else n / self.seconds for n in (self.tiles, self.people)]
        return [
            *(picture, way, self.people, self.tiles, self.seconds, self.stages_s),
            *(self.processor_s, *speeds, self.peak_mb, self.temporary_mb, __version__),
        ]


def run(image: Path, command: list[str], options: list[str]) -> tuple[Taken, Scene]:
    """Reconstruct a picture in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        arguments = ["reconstruct", str(image), "-o", str(out), "--quiet", *options]
        with _temporary_mb() as temporary:
            spent = machine.run([*command, *arguments])
        told = json.loads((out / "scene.json").read_text("utf-8"))["diagnostics"]
        scene = Scene.load(out)
    stages = told["seconds"]
    return (
        Taken(
            spent.seconds,
            len(scene.people),
            told["tiles"],
            (stages["open"], stages["find"], stages["lift"]),
            spent.processor_s,
            spent.peak_mb,
            max(temporary),
        ),
        scene,
    )


@contextmanager
def _temporary_mb() -> Iterator[list[float]]:
    """How much less space the folder of temporary files had, again and again while the block runs."""
    used, is_over = [0.0], False

    def free() -> int:
        return shutil.disk_usage(tempfile.gettempdir()).free

    def watch() -> None:
        first = free()
        while not is_over:
            used.append((first - free()) / 1e6)
            time.sleep(_SAMPLE_S)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(watch)
        try:
            yield used
        finally:
            is_over = True


def released(commit: str, cache: Path) -> list[str]:
    """The command of an older version, installed once into the cache beside today's packages."""
    folder = (cache / f"crowd3d-{commit}").resolve()
    if not folder.exists():
        with tempfile.TemporaryDirectory() as source:
            tree = Path(source) / "tree"
            root = Path(__file__).parents[1]
            _do(["git", "-C", str(root), "worktree", "add", "--detach", str(tree), commit])
            try:
                pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
                _do([*pip, "--target", str(folder), str(tree)])
            finally:
                _do(["git", "-C", str(root), "worktree", "remove", "--force", str(tree)])
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); from crowd3d.cli import main; main()"
    return [sys.executable, "-c", start]


def _do(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)}: {done.stderr.strip()}")


def tile_s(engine: Engine, pixels: npt.NDArray[np.uint8]) -> float:
    """Seconds of an engine's default network for one window (H, W, 3), with all cores busy."""
    network = engine.load(DEFAULT)
    batch = np.stack([pixels] * min(4, engine.most_windows))
    network.run(batch)
    with ThreadPoolExecutor(engine.workers) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: network.run(batch), range(_TIMED_TILES // len(batch))))
    return (time.perf_counter() - start) / _TIMED_TILES


def limits(image: Path, scene: Scene, tiles: int, device: str) -> dict[str, Taken]:
    """What could not be faster, and what others do; see the top of this file."""
    start = time.perf_counter()
    with tiling.open_image(image) as source:
        source.prepare()
        opening = time.perf_counter() - start
        pixels = source.read(0, source.height / 2, 512, 512)
        patches = (
            len(plan_patches(source, scene.camera, scene.planes[0], Config()))
            if scene.planes
            else None
        )
    each = tile_s(choose_engine("auto", device), pixels)
    step = Config().tile_px * 0.75
    grid = math.ceil(scene.camera.width / step) * math.ceil(scene.camera.height / step)
    found = {
        BARE: Taken(opening + tiles * each, tiles=tiles),
        GRID: Taken(opening + grid * each, tiles=grid),
    }
    if patches is not None:
        found[PUBLISHED] = Taken(opening + patches * patch_s(pixels), tiles=patches)
    return found


def patch_s(pixels: npt.NDArray[np.uint8]) -> float:
    """Seconds of HRNet-W32 in torch for one patch."""
    trunk = models.build("crowd3dnet", None).get_submodule("trunk")
    patch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()

    def look() -> None:
        with torch.inference_mode():
            trunk(patch)

    return machine.repeated(look, _TIMED_PATCHES).median_s


class Stages(Progress):
    """Seconds and steps of each stage, in order."""

    def __init__(self) -> None:
        super().__init__(enabled=False)
        self.rows: list[tuple[str, int, float]] = []

    def start(self, stage: str, total: int) -> None:
        """See `Reporter.start`."""
        del total
        self.end()
        self.rows.append((stage, 0, -time.perf_counter()))

    def advance(self, steps: int = 1) -> None:
        """See `Reporter.advance`."""
        stage, done, begin = self.rows[-1]
        self.rows[-1] = stage, done + steps, begin

    def end(self) -> None:
        """The last stage is over."""
        if self.rows and self.rows[-1][2] < 0:
            stage, done, begin = self.rows[-1]
            self.rows[-1] = stage, done, begin + time.perf_counter()


def profiled(image: Path, engine: str) -> Table:
    """Stages of one run in this process: steps, seconds, and the pixels that were read."""
    read = {"calls": 0, "pixels": 0, "bytes": 0}
    original: Callable[..., Any] = tiling.ImageSource.read

    def counted(source: tiling.ImageSource, *region: Any) -> Any:
        pixels = original(source, *region)
        read["calls"] += 1
        read["pixels"] += int(region[2] * region[3])
        read["bytes"] += pixels.nbytes
        return pixels

    stages = Stages()
    start = time.perf_counter()
    with (
        mock.patch.object(tiling.ImageSource, "read", counted),
        tempfile.TemporaryDirectory() as folder,
    ):
        reconstruct(image, out=folder, config=Config(engine=engine), progress=stages)
    stages.end()
    whole = time.perf_counter() - start
    rows: list[list[Cell]] = [[*row, row[2] / max(row[1], 1) * 1e3] for row in stages.rows]
    rows.append(["all", None, whole, None])
    title = (
        f"{engine}: {read['calls']:,} parts read, {read['pixels'] / 1e6:,.0f} megapixels of the picture, "
        f"{read['bytes'] / 1e6:,.0f} MB for the networks"
    )
    columns = {"stage": "{}", "steps": "{:,.0f}", "s": "{:.2f}", "ms a step": "{:.1f}"}
    return Table(columns, rows, title)


@click.command(help=__doc__)
@click.option("--cache", type=click.Path(path_type=Path), default=Path("speed"), show_default=True)
@click.option(
    "--pictures",
    default="2 MP,12 MP",
    show_default=True,
    help=f"From: {', '.join(p.name for p in PICTURES)}; or all.",
)
@click.option(
    "--ways", default="mixed,bare", show_default=True, help=f"From: {', '.join(WAYS)}; or all."
)
@click.option("--released", "commit", help="Commit of an older version, for the way of that name.")
@click.option(
    "--device", default="cpu", show_default=True, help="cuda: torch alone, in float32 and bfloat16."
)
@click.option("--profile", is_flag=True, help="Print the stages of one run in this process.")
@save_option
def main(
    cache: Path,
    pictures: str,
    ways: str,
    commit: str | None,
    device: str,
    profile: bool,
    save: bool,
) -> None:
    asked = named(ways, WAYS, "way")
    if RELEASED in asked and commit is None:
        raise click.BadParameter("the way 'released' needs --released COMMIT")
    more = ["--device", device]
    if device != "cpu":
        asked = list(_ON_GPU)
        cache.mkdir(parents=True, exist_ok=True)
        settings = cache / "gpu.yaml"
        settings.write_text(_GPU_BATCH, encoding="utf-8")
        more += ["--config", str(settings)]
    rows: list[list[Cell]] = []
    tables = []
    for picture in chosen(PICTURES, pictures):
        image, _ = rendered(picture, cache)
        found: dict[str, Taken] = {}
        scene = None
        for way in asked:
            if way in ENGINES:
                options = ["--engine", ENGINES[way], *more]
                found[way], scene = run(image, [sys.executable, "-m", "crowd3d"], options)
            elif way == RELEASED and commit is not None:
                found[way], _ = run(image, released(commit, cache), [])
            click.echo(f"{picture.name}, {way}: {found.get(way)}", err=True)
        if scene is not None and set(asked) & {BARE, GRID, PUBLISHED}:
            first = next(iter(found.values())).tiles or 0
            told = limits(image, scene, first, device)
            found |= {way: taken for way, taken in told.items() if way in asked}
        rows += [found[way].row(picture.name, way) for way in asked if way in found]
        if profile:
            engine = ENGINES[next((way for way in asked if way in ENGINES), "mixed")]
            tables.append(profiled(image, engine))
        if save:  # the next picture may take an hour
            order = [p.name for p in PICTURES]
            keep("speed", [with_earlier("speed", Table(COLUMNS, rows), order, keys=2)])
    show("speed", [Table(COLUMNS, rows), *tables], save=False)


if __name__ == "__main__":
    main()
