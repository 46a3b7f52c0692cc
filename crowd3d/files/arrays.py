"""NumPy files of data sets, without pickles and with errors that name file and key."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.errors import DataError

FloatArray = npt.NDArray[np.float64]


def load_array(path: Path, shape: tuple[int, ...], what: str) -> FloatArray:
    """The one array of an `.npy`, finite and of that shape (-1 = any length).

    Raises:
        DataError: missing, damaged, of another shape, not finite, or pickled objects.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError, SyntaxError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: {_reason(error)}") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive of several arrays, not {what}")
    return checked(array, shape, f"{path}: {what}")


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every array of an `.npz`; raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except AttributeError:
        raise DataError(f"{path} is a single array, not an .npz") from None
    except (ValueError, EOFError, SyntaxError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: {_reason(error)}") from None


def checked(array: Any, shape: tuple[int, ...], where: str, *, finite: bool = True) -> FloatArray:
    """Numbers of that shape (-1 = any length) as float64; raises DataError beginning with `where`."""
    try:
        numbers = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{where} holds something else than numbers") from None
    fits = numbers.ndim == len(shape) and all(
        w in (-1, n) for n, w in zip(numbers.shape, shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if w == -1 else str(w) for w in shape)
        found = " x ".join(map(str, numbers.shape)) or "a single number"
        raise DataError(f"{where} has the shape {found}, expected {wanted}")
    if finite and not np.isfinite(numbers).all():
        raise DataError(f"{where} holds values that are not finite")
    return numbers


def _reason(error: Exception) -> str:
    if "pickle" in str(error) or "Object arrays" in str(error):
        return (
            "it holds pickled objects, which can run code when read; convert it once with "
            "`crowd3d data convert`"
        )
    return f"not a NumPy file, or damaged ({error})"
