"""NumPy files: no pickles, sizes checked before anything is unpacked, errors that name file and key.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. NumPy's own reader is not
used: it reserves memory for whatever shape a header claims, and fails in many ways on damage.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from crowd3d.errors import Crowd3dError, DataError
from crowd3d.files.reading import LARGE_BYTES, open_regular

FloatArray = npt.NDArray[np.float64]
AnyArray = npt.NDArray[Any]

_CONVERTER = "crowd3d data convert"
LARGEST = 1e15  # no pixel, length or angle is larger; squares of larger ones overflow
_ZIP = b"PK"
_KINDS = "biufcSU"  # numbers, flags and texts
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_MOST_AXES = 32
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile, zlib, the decoders of zip files and NumPy's reader of headers raise on damage.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    AttributeError,
    NotImplementedError,
    RuntimeError,  # an encrypted zip file
    RecursionError,
    MemoryError,
)


def load_array(path: Path, shape: tuple[int, ...] | None, what: str) -> FloatArray:
    """The one array of an `.npy`, finite and of that shape (-1 = any length; None = any shape).

    Raises:
        DataError: missing, damaged, of another shape, not finite, or pickled objects.
    """
    with open_regular(path) as file:
        if file.read(len(_ZIP)) == _ZIP:
            raise DataError(f"{path} is an archive of several arrays, not {what}")
        size = file.seek(0, 2)
        file.seek(0)
        try:
            array = _read_array(file, size)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from None
        except _DAMAGED as error:
            raise DataError(f"{path}: {_reason(error)}") from None
    return checked(array, array.shape if shape is None else shape, f"{path}: {what}")


def load_arrays(
    path: Path,
    error: type[Crowd3dError] = DataError,
    names: Collection[str] | None = None,
    most_bytes: int = LARGE_BYTES,
    converter: str = _CONVERTER,
) -> dict[str, AnyArray]:
    """Arrays of an `.npz` by name.

    Args:
        names: only these, as far as they are there; None = all.
        most_bytes: that they may take unpacked.
        converter: the command that makes such a file of one with pickles.

    Raises:
        error: missing, damaged, too large, or pickled objects.
    """
    with open_regular(path, error) as file:
        if file.read(len(_ZIP)) != _ZIP:
            raise error(f"{path} is not an .npz, which is an archive of arrays")
        file.seek(0)
        try:
            return _read_archive(file, names, most_bytes)
        except OSError as problem:
            raise error(f"cannot read {path}: {problem.strerror or problem}") from None
        except _DAMAGED as problem:
            raise error(f"{path}: {_reason(problem, converter)}") from None


def _read_archive(
    file: IO[bytes], names: Collection[str] | None, most_bytes: int
) -> dict[str, AnyArray]:
    with zipfile.ZipFile(file) as archive:
        wanted = {
            name: member
            for member in archive.infolist()
            if (name := member.filename.removesuffix(".npy")) and (names is None or name in names)
        }
        total = sum(member.file_size for member in wanted.values())
        if total > most_bytes:
            raise _TooLarge(
                f"unpacked it has {total / 1e6:,.0f} MB, more than {most_bytes / 1e6:,.0f}"
            )
        arrays = {}
        for name, member in wanted.items():
            if member.compress_type not in _PACKINGS:
                raise ValueError(f"{member.filename} is packed in a way that NumPy does not use")
            with archive.open(member) as stream:
                arrays[name] = _read_array(stream, member.file_size)
        return arrays


def _read_array(stream: IO[bytes], size: int) -> AnyArray:
    """The array of an `.npy` of so many bytes; raises one of `_DAMAGED`."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADER_READERS:
        raise ValueError(f"its header is of the unknown version {version}")
    shape, is_fortran, dtype = _HEADER_READERS[version](stream)
    if dtype.hasobject:
        raise _Pickled
    if dtype.kind not in _KINDS:
        raise ValueError(f"it holds {dtype}, neither numbers nor texts")
    count = math.prod(shape)
    # The stream ends where its size says, whatever the header claims.
    if len(shape) > _MOST_AXES or min(shape, default=0) < 0 or count * dtype.itemsize > size:
        raise ValueError(f"its header claims the shape {shape}, which it is too short for")
    content = bytearray(count * dtype.itemsize)
    left = memoryview(content)
    while len(left):
        part = stream.read(min(len(left), 1 << 20))
        if not part:
            raise EOFError("it ends too early")
        left[: len(part)] = part
        left = left[len(part) :]
    flat = np.frombuffer(content, dtype) if content else np.empty(count, dtype)
    return flat.reshape(shape, order="F" if is_fortran else "C")


class _TooLarge(ValueError):
    """An archive that is whole, but unpacks to too much."""


class _Pickled(ValueError):
    """An array of objects."""


def checked(array: Any, shape: tuple[int, ...], where: str, *, finite: bool = True) -> FloatArray:
    """Numbers of that shape (-1 = any length) as float64; raises DataError beginning with `where`.

    Args:
        finite: refuse NaN and infinities, and numbers beyond LARGEST.
    """
    try:
        found = np.asarray(array)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(1, object)  # lists of different lengths, and worse
    if found.dtype.kind not in "biuf" and found.size:
        raise DataError(f"{where} holds something else than numbers")
    if found.ndim != len(shape) or any(
        want not in (-1, n) for n, want in zip(found.shape, shape, strict=True)
    ):
        wanted = " x ".join("any" if n == -1 else str(n) for n in shape) or "a single number"
        shown = " x ".join(map(str, found.shape)) or "a single number"
        raise DataError(f"{where} has the shape {shown}, expected {wanted}")
    numbers = found.astype(np.float64)
    if finite and not (np.abs(numbers) <= LARGEST).all():
        what = "are not finite" if not np.isfinite(numbers).all() else f"are beyond {LARGEST:g}"
        raise DataError(f"{where} holds values that {what}")
    return numbers


def _reason(error: Exception, converter: str = _CONVERTER) -> str:
    if isinstance(error, _Pickled):
        return (
            "it holds pickled objects, which can run code when read; convert the original once with "
            f"`{converter} FILE`"
        )
    if isinstance(error, _TooLarge):
        return str(error)
    return f"not a NumPy file, or damaged ({error})"
