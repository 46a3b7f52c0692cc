"""Converts a data set's pickle into an `.npz`, without running anything inside it (`crowd3d data convert`).

Dictionaries and lists of numbers and texts become arrays named by their path: `poses/0`, `poses/1`, `sequence`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.errors import DataError
from crowd3d.files import atomic
from crowd3d.files.pickles import ArrayUnpickler, explained
from crowd3d.files.reading import read_bytes

_NPY = b"\x93NUMPY"
_DEEPEST = 16
_MOST_ARRAYS = 100_000


def convert_pickle(src: str | Path, dst: str | Path | None = None) -> Path:
    """Convert a `.pkl`, or an `.npy` of objects, into an `.npz`.

    Args:
        dst: the `.npz` to write; None = beside the pickle.

    Returns:
        Where it was written.

    Raises:
        DataError: the file cannot be read, or asks for anything but numbers, texts, lists and dictionaries.
        OutputError: the result cannot be written.
    """
    src = Path(src)
    out = Path(dst) if dst is not None else src.with_suffix(".npz")
    with explained(src):
        content = _TableUnpickler.read(_after_header(src))
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, array in _flat("", content, 0):
            arrays[name] = array
            if len(arrays) > _MOST_ARRAYS:  # lists may hold one list many times, and that likewise
                raise DataError(f"it is a table of more than {_MOST_ARRAYS:,} arrays; refused")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    atomic.write_bytes(out, buffer.getvalue())
    return out


class _TableUnpickler(ArrayUnpickler):
    """Knows what to do with tables of pandas: nothing."""

    def stand_in(self, module: str, name: str) -> object | None:
        if module.split(".")[0] == "pandas":
            raise DataError(
                "it is a pandas table; where pandas is installed and the file is trusted, write "
                "`pandas.read_pickle(FILE).to_json(FILE.json)` once and read that"
            )
        return None


def _after_header(path: Path) -> bytes:
    """The pickle itself: an `.npy` of objects has a header in front of it."""
    stream = io.BytesIO(read_bytes(path))
    if stream.getvalue().startswith(_NPY):
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        if not read(stream)[2].hasobject:
            raise DataError("it holds plain numbers and can be read as it is")
    return stream.read()


def _flat(path: str, value: Any, depth: int) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Every leaf as an array with its path; None leaves nothing."""
    if depth > _DEEPEST:
        raise DataError(f"{path} is nested too deeply")
    if value is None:
        return
    if isinstance(value, dict):
        pairs = [(_word(key), item) for key, item in value.items()]
    elif isinstance(value, np.ndarray) and value.dtype.hasobject:
        pairs = [(str(i), item) for i, item in enumerate(value.ravel().tolist())]
    elif isinstance(value, list | tuple) and not _is_numbers(value):
        pairs = [(str(i), item) for i, item in enumerate(value)]
    else:
        text = value.decode("latin1") if isinstance(value, bytes) else value
        array = np.asarray(text)
        if array.dtype.kind not in "biufUS":
            raise DataError(
                f"{path or 'the file'} is neither number nor text but {type(value).__name__}"
            )
        yield path or "value", array
        return
    for word, item in pairs:
        yield from _flat(f"{path}/{word}" if path else word, item, depth + 1)


def _is_numbers(values: Any) -> bool:
    return all(isinstance(v, bool | int | float | np.number) for v in values) and len(values) > 0


def _word(key: object) -> str:
    text = key.decode("latin1") if isinstance(key, bytes) else str(key)
    if not text or "/" in text:
        raise DataError(f"a member called {text!r} cannot be named in the .npz")
    return text
