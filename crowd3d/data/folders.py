"""Folders of pictures as the crowd data sets have them: one scene a folder, or one a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from crowd3d.errors import DataError
from tiling.formats import HEAD_BYTES, OTHER_SUFFIXES, SUFFIXES, format_of

PICTURES = SUFFIXES
# The nine scene-views of LargeCrowd. Only images of the test views are public.
SPLITS = {
    "train": ("playground0_00", "playground0_01", "parkingLot_00", "jinJie_00", "jinJie_01"),
    "test": ("playground1_00", "playground1_01", "stadiumEntrance_00", "stadiumEntrance_01"),
}
# Where the pictures lie below the root: LargeCrowd and ours, PANDA, or the root itself.
_BASES = {
    None: ("images", "image_train", "image_test"),
    "train": ("images", "image_train"),
    "test": ("images", "image_test"),
}


@dataclass(frozen=True)
class SceneFolder:
    """The pictures of one scene, in the natural order of their names."""

    name: str
    pictures: list[Path]


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts frame2 before frame10; numbers may have any length."""
    parts = [p for p in re.split(r"([0-9]+)", name) if p]
    return tuple(_number_key(p) if p[0] in "0123456789" else (1, 0, p) for p in parts)


def _number_key(digits: str) -> tuple[int, int, str]:
    """Of two numbers the one with more digits is larger, and of as many the later in the alphabet."""
    shown = digits.lstrip("0")
    return 0, len(shown), shown


def scene_of(picture_name: str) -> str:
    """The scene that a frame's name tells: all but the number at its end."""
    stem = Path(picture_name).stem
    return re.sub(r"[_-]?[0-9]+$", "", stem) or stem


def find_scenes(root: str | Path, split: str | None = None) -> list[SceneFolder]:
    """All scenes below a folder, in natural order.

    Pictures lie in `root/images/SCENE/`, `root/SCENE/`, or side by side with names SCENE_NUMBER.jpg; PANDA's
    `image_train/` and `image_test/` count too, and so does `root/SPLIT/` where there is one.

    Args:
        split: "train" or "test"; None = everything.

    Raises:
        DataError: no such folder, no pictures in it, none of the split, or two of one name.
    """
    root = Path(root)
    if split not in _BASES:
        raise DataError(f"there is no split {split!r}; choose train or test, or leave it out")
    if not root.is_dir():
        raise DataError(f"{root} is not a folder")
    # A folder named after the split holds nothing else.
    whole = split is None or (root / split).is_dir()
    if split is not None and whole:
        root = root / split
    bases = [root / name for name in _BASES[split] if (root / name).is_dir()]
    grouped: dict[str, list[Path]] = {}
    for base in bases or [root]:
        panda = base.name.startswith("image_")
        for picture in pictures_below(base):
            inner = picture.parent.relative_to(base).as_posix()
            scene = scene_of(picture.name) if inner == "." else inner
            if whole or panda or scene.rsplit("/")[-1] in SPLITS[str(split)]:
                grouped.setdefault(scene, []).append(picture)
    if not grouped:
        what = "pictures" if split is None else f"pictures of the {split} split"
        raise DataError(f"no {what} are in {root}; looked for {', '.join(PICTURES)}")
    _refuse_twins(grouped)
    return [
        SceneFolder(name, sorted(grouped[name], key=lambda p: natural_key(p.name)))
        for name in sorted(grouped, key=natural_key)
    ]


def pictures_below(base: Path) -> list[Path]:
    """Every picture below a folder; hidden files and folders are left out."""
    return [
        path
        for path in base.rglob("*")
        if path.suffix.lower() in PICTURES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(base).parts)
    ]


def passed_over(base: Path) -> list[Path]:
    """Files below a folder that are pictures, by name or by content, but that `pictures_below` leaves out."""
    return sorted(
        path
        for path in base.rglob("*")
        if path.suffix.lower() not in PICTURES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(base).parts)
        and (path.suffix.lower() in OTHER_SUFFIXES or _is_picture(path))
    )


def _is_picture(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return format_of(stream.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def _refuse_twins(grouped: dict[str, list[Path]]) -> None:
    """predict.json knows a picture by its file name alone."""
    seen: dict[str, Path] = {}
    for picture in (p for pictures in grouped.values() for p in pictures):
        if picture.name in seen:
            raise DataError(
                f"{seen[picture.name]} and {picture} have one name; predict.json could not "
                "tell them apart"
            )
        seen[picture.name] = picture
