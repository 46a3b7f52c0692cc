"""Converts an original SMPL pickle into an `.npz` that `crowd3d.body.load` reads.

Only the command `crowd3d models convert-smpl` does so; `crowd3d.files.pickles` keeps code in the file from
running.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crowd3d.body.arrays import check, check_members, dense_of_csc, refuse_relatives
from crowd3d.errors import BodyError
from crowd3d.files import atomic
from crowd3d.files.pickles import ArrayUnpickler, explained
from crowd3d.files.reading import read_bytes

_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
_TELLING = ("v_template", "kintree_table", "posedirs")  # tell SMPL from its relatives
_MOST_NUMBERS = 100_000_000  # of a dense matrix; SMPL's largest has 4 million


class _Stored:
    """Stands for somebody else's object: keeps the state and computes nothing."""

    state: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, *args: object) -> None:
        """Whatever it is called with is ignored; the numbers come with the state."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise BodyError(f"a state that is {type(state).__name__}; refused")
        self.state = dict(state)


class _ChumpyArray(_Stored):
    """Stands for chumpy's arrays."""

    def array(self) -> npt.NDArray[np.generic]:
        """The numbers inside; a selection (`Select`) picks from its source."""
        if "x" in self.state:
            return np.asarray(plain(self.state["x"]))
        if "a" in self.state and "idxs" in self.state:
            picked = np.asarray(plain(self.state["a"])).ravel()[np.asarray(self.state["idxs"])]
            shape = self.state.get("preferred_shape", picked.shape)
            return np.asarray(picked.reshape(shape))
        raise BodyError(f"a chumpy array of an unknown kind, with {sorted(map(str, self.state))}")


class _SparseColumns(_Stored):
    """Stands for scipy's `csc_matrix`, whose own code trusts the indices in its state."""

    def array(self) -> npt.NDArray[np.generic]:
        """The dense matrix."""
        rows, columns = self.shape()
        return dense_of_csc(self.state, (rows, columns), "a sparse matrix")

    def shape(self) -> tuple[int, int]:
        """As the state has it; raises BodyError if it is none, or too large."""
        shape = self.state.get("_shape", self.state.get("shape"))
        is_shape = isinstance(shape, tuple) and all(type(n) is int and n > 0 for n in shape)
        if not is_shape or len(shape) != 2 or shape[0] * shape[1] > _MOST_NUMBERS:
            raise BodyError(f"a sparse matrix of the shape {shape!r:.40}; refused")
        return shape[0], shape[1]


class _SparseRows(_SparseColumns):
    """Stands for scipy's `csr_matrix`."""

    def array(self) -> npt.NDArray[np.generic]:
        rows, columns = self.shape()
        return dense_of_csc(self.state, (columns, rows), "a sparse matrix").T


class _SmplUnpickler(ArrayUnpickler):
    """Builds stubbed scipy.sparse and chumpy arrays too."""

    needs: ClassVar[str] = "SMPL model"

    def stand_in(self, module: str, name: str) -> object | None:
        if module.split(".")[0] == "chumpy":
            return _ChumpyArray
        if module.startswith("scipy.sparse"):
            return _SPARSE.get(name)
        return _STUBS.get((module, name))


def _new(kind: type, base: type, state: object) -> object:
    """How protocol 0 makes objects; only of kinds that could be named anyway."""
    if base is not object or state is not None:
        raise BodyError(f"the pickle builds a {kind} on {base}; refused")
    return object.__new__(kind)


_SPARSE = {"csc_matrix": _SparseColumns, "csr_matrix": _SparseRows}
_STUBS: dict[tuple[str, str], object] = {
    **{(m, "_reconstructor"): _new for m in ("copy_reg", "copyreg")},
    **{(m, "object"): object for m in ("__builtin__", "builtins")},
    **{(m, "set"): set for m in ("__builtin__", "builtins")},  # in the state of chumpy's arrays
}


def plain(value: Any) -> npt.NDArray[np.generic]:
    """A chumpy stand-in, a sparse matrix or an array as a dense numeric array."""
    if isinstance(value, _ChumpyArray | _SparseColumns):
        return value.array()
    array = np.asarray(value)
    if array.dtype.hasobject or not np.issubdtype(array.dtype, np.number):
        raise BodyError(f"an array of {array.dtype} where numbers belong")
    return array


def read_pickled_arrays(path: str | Path) -> dict[Any, Any]:
    """The dictionary in a pickle that holds nothing but numbers, text and arrays.

    Raises:
        BodyError: the file cannot be read, asks for anything but arrays, or holds no dictionary.
    """
    path = Path(path)
    with explained(path, BodyError):
        content = _SmplUnpickler.read(read_bytes(path))
    if not isinstance(content, dict):
        raise BodyError(f"{path} holds a {type(content).__name__}, not a dictionary")
    return content


def convert_smpl_pickle(src: str | Path, dst: str | Path) -> Path:
    """Convert a SMPL `.pkl` into an `.npz` that `crowd3d.body.load` reads.

    Args:
        src: the pickle from the SMPL web site.
        dst: the `.npz` to write; a folder gets a file of the same name.

    Returns:
        Where it was written.

    Raises:
        BodyError: the file cannot be read, asks for anything but arrays, or is not SMPL's layout.
    """
    src, dst = Path(src), Path(dst)
    if dst.is_dir():
        dst = dst / f"{src.stem}.npz"
    content = read_pickled_arrays(src)
    with explained(src, BodyError):
        refuse_relatives({key: plain(content[key]) for key in _TELLING if key in content}, str(src))
        values = {key: plain(content[key]) for key in _KEYS if key in content}
    check_members(values, str(src))
    check(values, str(src))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **values)
    atomic.write_bytes(dst, buffer.getvalue())
    return dst
