"""Data sets of people in pictures, one file a format, all read into `crowd3d.data.truth`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.errors import DataError

__all__ = ["FORMATS", "DataSet", "FrameTruth", "format_of", "load"]

# In the order in which an unnamed format is looked for: the first that recognises a path reads it.
FORMATS = ("largecrowd", "panda", "panoptic", "mupots", "threedpw", "agora", "coco", "rootnet")


def load(path: str | Path, format_name: str | None = None, **options: Any) -> DataSet:
    """The truth in a file or folder.

    Args:
        format_name: one of `FORMATS`; None = find out.
        options: of the format, such as `split="test"` for largecrowd or `camera="00_16"` for panoptic.

    Raises:
        DataError: the path is missing, of no known format, or malformed; names file, line and member.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"there is no {path}")
    name = format_name if format_name is not None else format_of(path)
    if name not in FORMATS:
        raise DataError(f"no data set format is called {name!r}; known: {', '.join(FORMATS)}")
    loaded: DataSet = importlib.import_module(f"crowd3d.data.{name}").load(path, **options)
    return loaded


def format_of(path: str | Path) -> str:
    """The name of the format of a file or folder; raises DataError if none fits."""
    path = Path(path)
    if path.suffix in (".pkl", ".pickle"):
        raise DataError(
            f"{path} is a pickle, which can run code when read; convert it once with "
            f"`crowd3d data convert {path}`"
        )
    for name in FORMATS:
        if importlib.import_module(f"crowd3d.data.{name}").recognises(path):
            return name
    raise DataError(f"{path} is of no known format; give one of {', '.join(FORMATS)}")
