"""Pickles of numbers, read without running anything inside them; only explicit conversion commands do so.

NumPy's own classes are not built from a pickle's states either: they trust them, and a state that was altered
ends the process. Stand-ins written in Python check every state, and arrays are made from plain bytes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from crowd3d.errors import Crowd3dError, DataError

_PLAIN = "biufcSU"  # kinds of types that hold numbers and texts
_MOST_BYTES = 1_000_000_000  # of one array
_MOST_AXES = 32
_REMEMBERING = ("PUT", "BINPUT", "LONG_BINPUT")  # opcodes


class _Type:
    """Stands for `numpy.dtype`: a kind of number with its byte order, or objects."""

    def __init__(self, code: object = None, *_: object) -> None:
        if not isinstance(code, str | bytes):
            raise DataError(f"a type of numbers called {code!r}; refused")
        try:
            self.value: np.dtype[Any] = np.dtype(code.decode() if isinstance(code, bytes) else code)
        except (TypeError, ValueError):
            raise DataError(f"a type of numbers called {code!r:.40}; refused") from None
        if self.value.kind not in f"{_PLAIN}O" or self.value.names or self.value.subdtype:
            raise DataError(f"an array of {self.value}, neither numbers nor texts; refused")

    def __setstate__(self, state: object) -> None:
        """Of the state (version, byte order, ..., size) only the order and the size of texts matter."""
        if not isinstance(state, tuple) or len(state) < 6 or state[3] is not None:
            raise DataError("a type of numbers with an altered state; refused")
        order, size = state[1], state[5]
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|"):
            raise DataError(f"a byte order {order!r:.40}; refused")
        if self.value.kind in "SU" and isinstance(size, int) and 0 <= size <= _MOST_BYTES:
            letters = size // (4 if self.value.kind == "U" else 1)
            self.value = np.dtype(f"{self.value.kind}{letters}")
        self.value = self.value.newbyteorder(order)  # type: ignore[arg-type]


class _Array(np.ndarray[Any, Any]):
    """Stands for `numpy.ndarray`: empty until it is given a state, which is checked."""

    def __new__(cls, *_: object) -> _Array:
        return super().__new__(cls, (0,), np.int8)

    def __setstate__(self, state: Any, /) -> None:
        """The state is (version, shape, type, whether columns come first, bytes or list of objects)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise DataError("an array with an altered state; refused")
        _, shape, kind, is_fortran, content = state
        array = _built(shape, kind, content, is_fortran=bool(is_fortran))
        state_of_checked: Any = array.__reduce__()[2]
        super().__setstate__(state_of_checked)


def _built(shape: Any, kind: Any, content: Any, *, is_fortran: bool) -> npt.NDArray[Any]:
    """An array of that many items, which the content must hold exactly."""
    if not isinstance(kind, _Type):
        raise DataError(f"an array whose type is {type(kind).__name__}; refused")
    is_shape = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not is_shape or len(shape) > _MOST_AXES:
        raise DataError(f"an array of the shape {shape!r:.80}; refused")
    count = math.prod(shape)
    if kind.value.hasobject:
        if not isinstance(content, list) or len(content) != count:
            raise DataError(f"an array of {count} objects with another number of them; refused")
        array = np.empty(count, object)
        for index, item in enumerate(content):
            array[index] = item
    else:
        if isinstance(content, str):  # how Python 2 stored bytes
            content = content.encode("latin1")
        if (
            not isinstance(content, bytes | bytearray)
            or len(content) != count * kind.value.itemsize
        ):
            raise DataError(
                f"an array of the shape {shape} whose bytes are of another number; refused"
            )
        array = (
            np.frombuffer(content, kind.value, count) if content else np.empty(count, kind.value)
        )
    return array.reshape(shape, order="F" if is_fortran else "C").copy(order="K")


def _empty_array(*_: object) -> _Array:
    """Stands for `_reconstruct`: whatever it is asked for, the state says what the array is."""
    return _Array()


def _scalar(kind: object, content: object = b"") -> Any:
    """Stands for `scalar`: one number of a type."""
    value = _built((), kind, content, is_fortran=False)
    return value[()]


def _from_buffer(content: object, kind: object, shape: object, order: object) -> npt.NDArray[Any]:
    """Stands for `_frombuffer`, by which protocol 5 stores arrays."""
    content = bytes(content) if isinstance(content, bytearray) else content
    return _built(shape, kind, content, is_fortran=order == "F")


def _latin1(text: object, encoding: object = "latin1") -> bytes:
    """How protocol 2 carries bytes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise DataError(f"bytes encoded as {encoding!r:.40}; refused")
    return text.encode("latin1")


def _no_bytes(*content: object) -> bytes:
    """How protocols before 3 store bytes where there are none."""
    if content:
        raise DataError("bytes made of something else; refused")
    return b""


# How numpy rebuilds arrays, under its old and new module names.
_STAND_INS: dict[tuple[str, str], object] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin1,
    **{(module, "bytes"): _no_bytes for module in ("__builtin__", "builtins")},
}


class ArrayUnpickler(pickle.Unpickler):
    """Builds numbers, texts, containers and numpy arrays, and refuses every other name.

    Attributes:
        needs: what the file holds, for the message of a refusal.
    """

    needs: ClassVar[str] = "table of numbers"

    @classmethod
    def read(cls, content: bytes) -> Any:
        """What a pickle holds; anything may be raised for a damaged one, see `explained`."""
        # Python's unpickler takes memory for the number under which an object is remembered, whatever it is.
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name in _REMEMBERING and (argument or 0) > len(content):
                raise DataError(f"it remembers an object as number {argument}; refused")
        return cls(io.BytesIO(content), encoding="latin1").load()

    def stand_in(self, module: str, name: str) -> object | None:
        """Something harmless in place of what a file names; None where there is nothing."""
        return None

    def find_class(self, module: str, name: str) -> Any:
        found = _STAND_INS.get((module, name)) or self.stand_in(module, name)
        if found is None:
            raise DataError(f"it asks for {module}.{name}, which no {self.needs} needs; refused")
        return found


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
