"""Opens the files that a user names: regular ones only, and no more of them than is sensible."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from crowd3d.errors import Crowd3dError, DataError

SMALL_BYTES = 4_000_000  # cameras, settings, records: what people write by hand or a page at a time
LARGE_BYTES = 1_000_000_000  # tables of whole data sets; in memory they are several times as large
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_regular(path: str | Path, error: type[Crowd3dError] = DataError) -> IO[bytes]:
    """A regular file, open for reading. Pipes and devices, which may wait or go on for ever, are refused.

    Raises:
        error: it is missing, cannot be read, or is no regular file.
    """
    try:
        # A pipe without a writer would block already when it is opened.
        number = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except (OSError, ValueError) as problem:  # ValueError: a name with a null character
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise error(f"cannot read {path}: {reason or problem}") from None
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        raise error(f"cannot read {path}: it is {kind}, not a file")
    return os.fdopen(number, "rb")


def read_bytes(
    path: str | Path, error: type[Crowd3dError] = DataError, most_bytes: int = LARGE_BYTES
) -> bytes:
    """The bytes of a regular file.

    Raises:
        error: as `open_regular`, or it is larger than `most_bytes`.
    """
    with open_regular(path, error) as file:
        try:
            content = file.read(most_bytes + 1)
        except OSError as problem:
            raise error(f"cannot read {path}: {problem.strerror or problem}") from None
    if len(content) > most_bytes:
        raise error(
            f"{path} has more than {most_bytes / 1e6:g} MB, too much for what it should hold"
        )
    return content


def read_text(
    path: str | Path, error: type[Crowd3dError] = DataError, most_bytes: int = SMALL_BYTES
) -> str:
    """The UTF-8 text of a regular file; a byte order mark is skipped.

    Raises:
        error: as `read_bytes`, or it is not UTF-8.
    """
    try:
        return read_bytes(path, error, most_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path} is not UTF-8 text; save it again as UTF-8") from None
