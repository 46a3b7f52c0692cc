"""Pickles of numbers, read without running anything inside them; only explicit conversion commands do so."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from crowd3d.errors import Crowd3dError, DataError

# How numpy rebuilds arrays, under its old and new module names: plain constructors that neither open files,
# nor import, nor call what they are given.
_OLD_CORE, _NEW_CORE = "numpy.core.multiarray", "numpy._core.multiarray"
_CORE = _NEW_CORE if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else _OLD_CORE
_NUMPY = {
    **{
        (m, name): (_CORE, name)
        for m in (_OLD_CORE, _NEW_CORE)
        for name in ("_reconstruct", "scalar")
    },
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy", "dtype"): ("numpy", "dtype"),
}


class ArrayUnpickler(pickle.Unpickler):
    """Builds numbers, texts, containers and numpy arrays, and refuses every other name.

    Attributes:
        needs: what the file holds, for the message of a refusal.
        more: further names -> the plain constructors that may be built under them, by module and name.
    """

    needs: ClassVar[str] = "table of numbers"
    more: ClassVar[dict[tuple[str, str], tuple[str, str]]] = {}

    def stand_in(self, module: str, name: str) -> object | None:
        """Something harmless in place of what a file names; None where there is nothing."""
        return None

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        replaced = self.stand_in(module, name)
        if replaced is not None:
            return replaced
        found = _NUMPY.get((module, name)) or self.more.get((module, name))
        if found is None:
            raise DataError(f"it asks for {module}.{name}, which no {self.needs} needs; refused")
        return getattr(importlib.import_module(found[0]), found[1])


@contextmanager
def explained(path: Path, error: type[Crowd3dError] = DataError) -> Iterator[None]:
    """Whatever goes wrong while a pickle is read, as one error that names the file.

    Raises:
        error: the file cannot be read, is damaged, or asks for anything but what its reader allows.
    """
    try:
        yield
    except Crowd3dError as refusal:
        raise error(f"{path}: {refusal}") from None
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror or problem}") from None
    except Exception as problem:  # a damaged pickle raises nearly anything
        kind = type(problem).__name__
        raise error(f"{path} is not a readable pickle: {kind}: {problem}") from None


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 carries bytes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise DataError(f"bytes encoded as {encoding!r}; refused")
    return text.encode("latin1")
