"""Body models: `load("open")` is embedded; a user's SMPL file loads in its place."""

from __future__ import annotations

from pathlib import Path

from crowd3d.body.arrays import read_npz
from crowd3d.body.model import BodyModel, BodyOutput
from crowd3d.errors import BodyError

__all__ = ["LEVELS", "BodyModel", "BodyOutput", "load"]

LEVELS = ("full", "crowd")


def load(name_or_path: str | Path = "open", level: str = "full") -> BodyModel:
    """The embedded body, or a user's file in the SMPL layout.

    Args:
        name_or_path: "open", or the path of an `.npz` in the SMPL layout.
        level: "full" (6,800 vertices) or "crowd" (1,229) of `open`; files have one level.

    Raises:
        BodyError: unknown name or level, or a file that cannot be used as it is.
    """
    if level not in LEVELS:
        raise BodyError(f"no level {level!r}; choose one of {', '.join(LEVELS)}")
    if str(name_or_path) == "open":
        return BodyModel(read_npz(Path(__file__).with_name(f"open_{level}.npz")), "open")
    path = Path(name_or_path)
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise BodyError(
            f"{path} is a pickle, which can run code when read; convert it once with "
            f"`crowd3d models convert-smpl {path}` and load the .npz"
        )
    if path.suffix.lower() != ".npz":
        raise BodyError(f"no body named {str(name_or_path)!r}; use 'open' or the path of an .npz")
    return BodyModel(read_npz(path), path.name)
