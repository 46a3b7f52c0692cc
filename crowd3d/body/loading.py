"""Loads a body, the embedded one or a user's file; each is read once a process."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path

import torch

from crowd3d.body.arrays import read_npz
from crowd3d.body.model import BodyModel
from crowd3d.errors import BodyError

LEVELS = ("full", "crowd")
_FILES_KEPT = 4  # bodies of a user that stay in memory; SMPL's takes 20 MB


def load(name_or_path: str | Path = "open", level: str = "full") -> BodyModel:
    """The embedded body, or a user's file in the SMPL layout.

    Each call gives a body of its own, which may move to another device; bodies that were loaded before
    share their numbers until then.

    Args:
        name_or_path: "open", or the path of an `.npz` in the SMPL layout.
        level: "full" (6,800 vertices) or "crowd" (1,229) of `open`; files have one level.

    Raises:
        BodyError: unknown name or level, or a file that cannot be used as it is.
    """
    if level not in LEVELS:
        raise BodyError(f"no level {level!r}; choose one of {', '.join(LEVELS)}")
    if str(name_or_path) == "open":
        return _embedded(level).sharing()
    path = Path(name_or_path).absolute()
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise BodyError(
            f"{path} is a pickle, which can run code when read; convert it once with "
            f"`crowd3d models convert-smpl {path}` and load the .npz"
        )
    if path.suffix.lower() != ".npz":
        raise BodyError(f"no body named {str(name_or_path)!r}; use 'open' or the path of an .npz")
    try:
        state = path.stat()
    except OSError as error:
        raise BodyError(f"cannot read the body {path}: {error.strerror}") from None
    return _of_file(path, state.st_size, state.st_mtime_ns).sharing()


@cache
def _embedded(level: str) -> BodyModel:
    return _read(Path(__file__).with_name(f"open_{level}.npz"), "open")


@lru_cache(maxsize=_FILES_KEPT)
def _of_file(path: Path, size: int, changed_ns: int) -> BodyModel:
    """Size and time of change tell a file from an earlier one of the same name."""
    return _read(path, path.name)


def _read(path: Path, name: str) -> BodyModel:
    with torch.inference_mode(False):  # whoever comes later may want gradients
        return BodyModel(read_npz(path), name)
