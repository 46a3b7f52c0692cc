"""Rendered crowds for benchmarks; each is rendered once and kept in a folder with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.choices import named

from crowd3d.synth import Truth, synthesize


@dataclass(frozen=True)
class Crowd:
    """Settings of a rendered scene; the same fields give the same picture."""

    name: str
    preset: str
    size: tuple[int, int]
    people: int
    seed: int


def rendered(crowd: Crowd, cache: Path) -> tuple[Path, Truth]:
    """The picture and its truth; they are rendered only if they are not in the folder `cache` yet."""
    folder = cache / crowd.name
    if not (folder / "camera.json").exists():  # written last
        synthesize(
            folder,
            seed=crowd.seed,
            size=crowd.size,
            n_people=crowd.people,
            preset_name=crowd.preset,
        )
    return folder / "image.jpg", Truth.load(folder / "truth.npz")


def chosen(crowds: tuple[Crowd, ...], names: str) -> list[Crowd]:
    """The crowds named in a comma-separated list; "all" stands for all of them.

    Raises:
        click.BadParameter: there is no crowd with that name.
    """
    wanted = named(names, [crowd.name for crowd in crowds], "scene")
    return [crowd for crowd in crowds if crowd.name in wanted]
