"""Plan a batch: which pictures it has, where their results go, and how it is divided into shares."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from crowd3d.data import folders
from crowd3d.data.folders import PICTURES, natural_key, pictures_below
from crowd3d.errors import ConfigError, DataError, OutputError
from crowd3d.export import FILES, REGIONS
from crowd3d.picture.opening import translated_errors
from tiling.formats import refuse_url

_MOST_NAMES = 20

# Names in a folder of results that are not a picture's.
_TAKEN = {name.lower() for name in (*FILES, REGIONS, "batch.json", "batch.csv")}
_LONGEST_BYTES = 230  # of 255 that a name may have; endings need the rest


@dataclass(frozen=True)
class Task:
    """One picture of a batch.

    Attributes:
        picture: its file, absolute.
        name: its path relative to where the search began, with / between folders.
        folder: folder for its result, absolute.
    """

    picture: Path
    name: str
    folder: Path


def plan(given: Iterable[Path], out: Path) -> list[Task]:
    """List the pictures of a batch and the folders for their results, in natural order of the names.

    Args:
        given: pictures, and folders, which are searched with all their subfolders. Hidden files and pictures
            that a run has written are left out.
        out: folder for all results; the result of a picture ROOT/a/b.jpg goes to out/a/b.

    Raises:
        DataError: a picture or folder does not exist, or a folder has no pictures.
        OutputError: two results would go to the same folder.
    """
    tasks: dict[Path, Task] = {}
    for start in given:
        base = start if start.is_dir() else start.parent
        for picture in _pictures(start, out):
            name = picture.relative_to(base).as_posix()
            *above, file_name = PurePosixPath(name).parts
            folder = out.joinpath(*map(_folder_name, above), result_name(file_name))
            task = Task(picture.absolute(), name, folder.absolute())
            other = tasks.setdefault(folder, task)
            if other != task and other.picture.resolve() != picture.resolve():
                raise OutputError(
                    f"{other.picture} and {picture} would both go to {folder}; rename one of them, "
                    "or run them into different folders"
                )
    return sorted(tasks.values(), key=lambda task: (natural_key(task.name), task.name))


def result_name(file_name: str) -> str:
    """The name of the folder for a picture's result: that of its file without the ending, where it can be.

    Names that would lead out of the folder of all results, that clash with a file in it, or that leave no room
    for an ending, get others.
    """
    stem = PurePosixPath(file_name).stem
    return stem if _is_usable(stem) else _another_name(file_name)


def _folder_name(name: str) -> str:
    return name if _is_usable(name) else _another_name(name)


def _is_usable(name: str) -> bool:
    is_odd = name.startswith(".") or name.endswith((".", " ")) or name.lower() in _TAKEN
    return not is_odd and len(os.fsencode(name)) <= _LONGEST_BYTES


def _another_name(name: str) -> str:
    if len(os.fsencode(name)) < _LONGEST_BYTES:
        return f"_{name}"
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    short = os.fsdecode(os.fsencode(name)[: _LONGEST_BYTES - 10])
    return f"_{short.rstrip('. ')}_{digest}"


def parse_shard(text: str) -> tuple[int, int]:
    """The numbers of "3/10", the third of ten shares; raises ConfigError."""
    index, _, count = text.partition("/")
    is_number = re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", text)
    if not (is_number and 1 <= int(index) <= int(count)):
        raise ConfigError(f"{text!r} is no share; the third of ten is 3/10, and the last 10/10")
    return int(index), int(count)


def share(tasks: Sequence[Task], index: int, count: int) -> list[Task]:
    """Every `count`-th task, starting with number `index` (1-based). The shares are disjoint and complete."""
    return list(tasks[index - 1 :: count])


def passed_over(given: Iterable[Path]) -> list[Path]:
    """Pictures in the given folders that `plan` leaves out: of formats or names that are not looked for."""
    return [path for start in given if start.is_dir() for path in folders.passed_over(start)]


def told(pictures: Sequence[Path]) -> str:
    """Counts and names pictures that are left out; empty if there are none."""
    if not pictures:
        return ""
    names = ", ".join(str(picture) for picture in pictures[:_MOST_NAMES])
    more = f" and {len(pictures) - _MOST_NAMES} more" if len(pictures) > _MOST_NAMES else ""
    return (
        f"{len(pictures)} files that seem to be pictures are left out, for their names end in no format that "
        f"is read: {names}{more}; convert or rename them"
    )


def _pictures(start: Path, out: Path) -> list[Path]:
    if start.is_file():
        return [start]
    if not start.is_dir():
        with translated_errors():
            refuse_url(str(start))
        raise DataError(f"{start}: there is no such picture or folder")
    found = [picture for picture in pictures_below(start) if not _is_output(picture, out)]
    if not found:
        others = told(folders.passed_over(start))
        raise DataError(
            f"no pictures are in {start}; looked for {', '.join(PICTURES)}"
            + (f"; {others}" if others else "")
        )
    return found


def _is_output(picture: Path, out: Path) -> bool:
    if picture.name not in FILES:
        return False
    return out.resolve() in picture.resolve().parents or (picture.parent / FILES[0]).is_file()


def refuse_twins(tasks: Iterable[Task]) -> None:
    """Raise DataError if two pictures have the same file name, by which files of 2D poses find a picture."""
    seen: dict[str, Path] = {}
    for task in tasks:
        other = seen.setdefault(task.picture.name, task.picture)
        if other != task.picture:
            raise DataError(
                f"{other} and {task.picture} have one name; the 2D poses could not tell them apart"
            )
