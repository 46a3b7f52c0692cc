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

from crowd3d.body.arrays import check
from crowd3d.errors import BodyError
from crowd3d.files.pickles import ArrayUnpickler, explained

_SPARSE = ("csc", "csr", "coo")
_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


class _ChumpyArray:
    """Stands for chumpy's arrays: keeps the state and computes nothing."""

    state: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, *args: object) -> None:
        """Whatever it is called with is ignored; the numbers come with the state."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.state = dict(state)

    def array(self) -> npt.NDArray[np.generic]:
        """The numbers inside; a selection (`Select`) picks from its source."""
        if "x" in self.state:
            return np.asarray(plain(self.state["x"]))
        if "a" in self.state and "idxs" in self.state:
            picked = np.asarray(plain(self.state["a"])).ravel()[np.asarray(self.state["idxs"])]
            shape = self.state.get("preferred_shape", picked.shape)
            return np.asarray(picked.reshape(shape))
        raise BodyError(f"a chumpy array of an unknown kind, with {sorted(self.state)}")


class _SmplUnpickler(ArrayUnpickler):
    """Builds scipy.sparse and stubbed chumpy arrays too."""

    needs = "SMPL model"
    more: ClassVar = {
        (f"scipy.sparse.{prefix}{kind}", f"{kind}_matrix"): ("scipy.sparse", f"{kind}_matrix")
        for kind in _SPARSE
        for prefix in ("", "_")
    }

    def stand_in(self, module: str, name: str) -> object | None:
        if module.split(".")[0] == "chumpy":
            return _ChumpyArray
        return _STUBS.get((module, name))


def _new(kind: type, base: type, state: object) -> object:
    """How protocol 0 makes objects; only of kinds that could be named anyway."""
    if base is not object or state is not None:
        raise BodyError(f"the pickle builds a {kind} on {base}; refused")
    return object.__new__(kind)


_STUBS: dict[tuple[str, str], object] = {
    **{(m, "_reconstructor"): _new for m in ("copy_reg", "copyreg")},
    **{(m, "object"): object for m in ("__builtin__", "builtins")},
}


def plain(value: Any) -> npt.NDArray[np.generic]:
    """A chumpy stand-in, a sparse matrix or an array as a dense numeric array."""
    if isinstance(value, _ChumpyArray):
        return value.array()
    if hasattr(value, "toarray"):
        value = value.toarray()
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
        content = _SmplUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
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
    try:
        values = {key: plain(content[key]) for key in _KEYS if key in content}
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        raise BodyError(f"{src}: an array in it is damaged: {error}") from None
    missing = [key for key in _KEYS if key not in values and key != "posedirs"]
    if missing:
        raise BodyError(f"{src} is not in the SMPL layout: it has no {', '.join(missing)}")
    check(values, str(src))
    np.savez_compressed(dst, allow_pickle=False, **values)
    return dst
