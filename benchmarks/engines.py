"""What changes with the engine of the networks: python benchmarks/engines.py --coco DIR --pets DIR PICTURE...

Every picture is read once with each engine, and each answer is compared with the annotations and with the first
engine's answer. Shifts are medians over keypoints of the same people, in pixels of a person 100 px tall; turns
are of whole bodies.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation
from shared import stages
from shared.choices import named
from shared.photographs import (
    PETS_EVERY,
    PETS_FIRST,
    Picture,
    coco_pictures,
    owners,
    pets_frames,
)
from shared.results import Cell, Table, save_option, show
from shared.stages import DEFAULT, ENGINES

from crowd3d.scene.people import People
from tiling import open_image

FloatArray = npt.NDArray[np.float64]

_CLEAR = 0.5  # score of keypoints that are clearly seen
COLUMNS = {
    "engine": "{}",
    "COCO: found": "{} of {}",
    "others": "{}",
    "PETS: found": "{} of {}",
    "others there": "{}",
    "people in the pictures": "{}",
    "keypoints move, px": "{:.2f}",
    "those clearly seen": "{:.2f}",
    "bodies turn, degrees": "{:.2f}",
    "by more than 30": "{:.1f} %",
}


@dataclass
class Answers:
    """What one engine says of all pictures.

    Attributes:
        found, annotated, others: of COCO and of PETS.
        people: of every picture that was read, in order.
    """

    found: list[int] = field(default_factory=lambda: [0, 0])
    annotated: list[int] = field(default_factory=lambda: [0, 0])
    others: list[int] = field(default_factory=lambda: [0, 0])
    people: list[People] = field(default_factory=list)


def read(path: Path, engine: str) -> People:
    """Everybody in a picture."""
    config = DEFAULT.replace(engine=engine)
    with open_image(path, max_pixels=config.max_pixels) as source:
        seen = stages.find(source, config)
        size = (source.width, source.height)
    return stages.scene_of(path.name, seen, size, config).people


def moved(before: People, after: People) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shifts and scores of keypoints (K, 17), and turns (K,) of the K people whom both answers show."""
    owner = owners(after, before.box_px)
    b, a = np.flatnonzero(owner >= 0), owner[owner >= 0]
    old, new = before.filter(a), after.filter(b)
    height = (old.box_px[:, 3] - old.box_px[:, 1])[:, None]
    shift = np.linalg.norm((new.keypoints_px - old.keypoints_px)[..., :2], axis=-1) / height * 100
    turn = Rotation.from_rotvec(old.pose[:, 0]).inv() * Rotation.from_rotvec(new.pose[:, 0])
    return shift, old.keypoints_px[..., 2], np.degrees(turn.magnitude())


def row(name: str, answers: Answers, first: Answers) -> list[Cell]:
    """A line of the table."""
    pairs = zip(first.people, answers.people, strict=True)
    shift, score, turn = (
        np.concatenate(parts) for parts in zip(*(moved(*pair) for pair in pairs), strict=True)
    )
    cells: list[Cell] = [name]
    for k in range(2):
        known = answers.annotated[k] > 0
        cells += [[answers.found[k], answers.annotated[k]] if known else None]
        cells += [answers.others[k] if known else None]
    clear = shift[score > _CLEAR]
    cells += [sum(len(people) for people in answers.people), float(np.median(shift))]
    cells += [float(np.median(clear)) if len(clear) else None]
    return [*cells, float(np.median(turn)), 100 * float((turn > 30).mean())]


def answers_of(engine: str, coco: list[Picture], pets: list[Picture], more: list[Path]) -> Answers:
    """What an engine says of annotated pictures and of others."""
    answers = Answers()
    for k, pictures in enumerate((coco, pets)):
        for picture in pictures:
            people = read(picture.path, engine)
            owner = owners(people, picture.boxes_px)
            answers.found[k] += int((owner >= 0).sum())
            answers.others[k] += int((owner < 0).sum())
            answers.annotated[k] += len(picture.boxes_px)
            answers.people.append(people)
    answers.people += [read(path, engine) for path in more]
    return answers


@click.command(help=__doc__)
@click.argument("pictures", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--coco", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option("--pets", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--engines",
    default="float32,mixed,bfloat16",
    show_default=True,
    help=f"From: {', '.join(ENGINES)}; or all.",
)
@save_option
def main(
    pictures: tuple[Path, ...], coco: Path | None, pets: Path | None, engines: str, save: bool
) -> None:
    names = named(engines, ENGINES, "engine")
    table = Table(COLUMNS, [])
    with tempfile.TemporaryDirectory() as scratch:
        from_coco = list(coco_pictures(coco)) if coco else []
        frames = list(pets_frames(pets, Path(scratch), PETS_EVERY, PETS_FIRST)) if pets else []
        first = None
        for name in names:
            answers = answers_of(
                ENGINES[name], from_coco, [frame for _, frame in frames], list(pictures)
            )
            first = first or answers
            table.rows.append(row(name, answers, first))
            click.echo(f"{name}: {table.rows[-1]}", err=True)
    show("engines", [table], save=save)


if __name__ == "__main__":
    main()
