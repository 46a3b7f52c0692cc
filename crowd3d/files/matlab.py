"""MATLAB's files of versions 5 to 7, as far as data sets use them: numbers, texts, cells and structs.

SciPy's reader is compiled code that follows the sizes in a file wherever they point: one altered byte ends the
process. The format: MathWorks, "MAT-File Format", chapter "Level 5 MAT-File Format".
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.errors import Crowd3dError, DataError
from crowd3d.files.reading import LARGE_BYTES, read_bytes

Value = npt.NDArray[Any]

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
# How numbers lie in the file, by the type of an element, and what they are, by the class of an array.
_STORED = dict(
    zip((1, 2, 3, 4, 5, 6, 7, 9, 12, 13), "i1 u1 i2 u2 i4 u4 f4 f8 i8 u8".split(), strict=True)
)
_NUMBERS = dict(zip(range(6, 16), "f8 f4 i1 u1 i2 u2 i4 u4 i8 u8".split(), strict=True))
_TEXTS = {**_STORED, 16: "u1", 17: "u2", 18: "u4"}
_CELL, _STRUCT, _CHARS = 1, 2, 4
_COMPLEX = 0x800
_DEEPEST = 12
_MOST_AXES, _MOST_NUMBERS = 32, 2**40
_LEAST_BYTES = 8  # of an element


def load_mat(path: str | Path, error: type[Crowd3dError] = DataError) -> dict[str, Value]:
    """The variables of a file by name.

    Cells are arrays of objects, which are such values again; structs arrays of objects that are dictionaries of
    them. Texts are arrays of single letters.

    Raises:
        error: missing, damaged, of another version, or with a variable of another kind.
    """
    content = read_bytes(path, error)
    if len(content) < _HEADER_BYTES or content[126:128] not in (b"IM", b"MI"):
        raise error(f"{path} is not a MATLAB file, or damaged")
    order = "<" if content[126:128] == b"IM" else ">"
    if struct.unpack(f"{order}H", content[124:126])[0] >> 8 == 2:
        raise error(f"{path} is of MATLAB 7.3; save it again with `save -v7`")
    try:
        return _variables(memoryview(content)[_HEADER_BYTES:], order)
    except (_Damaged, zlib.error, UnicodeDecodeError) as problem:
        raise error(f"{path} is not a MATLAB file, or damaged ({problem})") from None


class _Damaged(Exception):
    """What is wrong in a file."""


class _Elements:
    """The elements of a part of a file, one after the other."""

    def __init__(self, content: memoryview, order: str) -> None:
        self.content, self.order = content, order

    def next(self) -> tuple[int, memoryview]:
        """Type and content of the next element; raises _Damaged if it is cut."""
        kind, size = self._two(self.content[:8])
        if kind >> 16:  # a small element: four bytes or fewer beside type and size
            kind, size, begin, end = kind & 0xFFFF, kind >> 16, 4, 8
            if size > 4:
                raise _Damaged(f"a small element of {size} bytes")
        else:
            begin, end = 8, 8 + size + (0 if kind == _COMPRESSED else -size % 8)
        if begin + size > len(self.content):
            raise _Damaged(f"an element of {size} bytes where {len(self.content)} are left")
        found = self.content[begin : begin + size]
        self.content = self.content[end:]
        return kind, found

    def numbers(self, types: dict[int, str] = _STORED) -> npt.NDArray[Any]:
        """The next element as a flat array."""
        kind, content = self.next()
        if kind not in types:
            raise _Damaged(f"an element of the type {kind} where numbers belong")
        dtype = np.dtype(f"{self.order}{types[kind]}")
        if len(content) % dtype.itemsize:
            raise _Damaged(f"{len(content)} bytes of {dtype}")
        return np.frombuffer(content, dtype)

    def _two(self, tag: memoryview) -> tuple[int, int]:
        if len(tag) < 8:
            raise _Damaged("it ends too early")
        first, second = struct.unpack(f"{self.order}II", tag)
        return first, second


def _variables(content: memoryview, order: str) -> dict[str, Value]:
    elements, found = _Elements(content, order), {}
    while len(elements.content) >= _LEAST_BYTES:
        kind, part = elements.next()
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            kind, part = _Elements(memoryview(unpacker.decompress(part, LARGE_BYTES)), order).next()
        if kind != _MATRIX:
            raise _Damaged(f"an element of the type {kind} where an array belongs")
        name, value = _array(part, order, 0)
        found[name] = value
    return found


def _array(content: memoryview, order: str, depth: int) -> tuple[str, Value]:
    """Name and value of an array."""
    if not len(content):  # an empty place of a cell
        return "", np.zeros((0, 0))
    if depth > _DEEPEST:
        raise _Damaged("it is nested too deeply")
    elements = _Elements(content, order)
    flags, dims = elements.numbers(), elements.numbers()
    name = _text(elements.numbers(_TEXTS))
    are_whole = flags.dtype.kind in "iu" and dims.dtype.kind in "iu"
    if not are_whole or len(flags) != 2 or not len(dims) or dims.min() < 0:
        raise _Damaged(f"the array {name!r:.40} has no kind or shape")
    shape, kind = tuple(int(n) for n in dims), int(flags[0]) & 0xFF
    if len(shape) > _MOST_AXES or math.prod(max(n, 1) for n in shape) > _MOST_NUMBERS:
        raise _Damaged(f"the array {name!r:.40} has {len(shape)} axes, or too many numbers")
    if kind in _NUMBERS:
        if int(flags[0]) & _COMPLEX:
            raise _Damaged(f"the array {name!r:.40} is of complex numbers")
        return name, _shaped(elements.numbers(), shape).astype(_NUMBERS[kind])
    if kind == _CHARS:
        letters = elements.numbers(_TEXTS)
        if letters.dtype.kind != "u":
            raise _Damaged(f"the array {name!r:.40} has letters of the type {letters.dtype}")
        texts = np.array([chr(code) if code < 0xD800 else "?" for code in letters.tolist()], "U1")
        return name, _shaped(texts, shape)
    if kind == _CELL:
        return name, _objects(elements, shape, [""], depth)
    if kind == _STRUCT:
        length = elements.numbers()
        names = bytes(elements.next()[1])
        if len(length) != 1 or length[0] < 1:
            raise _Damaged(f"the struct {name!r:.40} has no names")
        step = int(length[0])
        fields = [
            names[at : at + step].split(b"\0")[0].decode() for at in range(0, len(names), step)
        ]
        return name, _objects(elements, shape, fields, depth)
    raise _Damaged(f"the variable {name!r:.40} is neither numbers, text, cell nor struct")


def _objects(elements: _Elements, shape: tuple[int, ...], fields: list[str], depth: int) -> Value:
    """A cell, whose only field has no name, or a struct."""
    count = math.prod(shape)
    if count * max(len(fields), 1) * _LEAST_BYTES > len(elements.content):
        raise _Damaged(f"a cell or struct of the shape {shape} in {len(elements.content)} bytes")
    found = np.empty(count, object)
    for index in range(count):
        values = {}
        for field in fields:
            kind, part = elements.next()
            if kind != _MATRIX:
                raise _Damaged(f"an element of the type {kind} where an array belongs")
            values[field] = _array(part, elements.order, depth + 1)[1]
        found[index] = values[""] if fields == [""] else values
    return found.reshape(shape, order="F")


def _shaped(flat: Value, shape: tuple[int, ...]) -> Value:
    if math.prod(shape) != len(flat):
        raise _Damaged(f"{len(flat)} numbers for the shape {shape}")
    return flat.reshape(shape, order="F")


def _text(codes: npt.NDArray[Any]) -> str:
    return bytes(codes.astype(np.uint8)).decode("latin1")
