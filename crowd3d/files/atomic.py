"""Files appear whole or not at all: write beside, flush to the disk, rename."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crowd3d.errors import OutputError


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file by the content, atomically; raises OutputError."""
    write_parts(path, [content])


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Like `write_bytes`, with content that need not be in memory at once."""
    # Processes of several machines, even of one number, may write the same file on a shared disk.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):  # there may not even be a folder to remove it from
            partial.unlink(missing_ok=True)
        raise _refused(path, error) from None


def write_text(path: Path, content: str) -> None:
    """UTF-8 with \\n line ends, atomically; raises OutputError."""
    write_bytes(path, content.encode("utf-8"))


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files move into `folder` together once the block ends well.

    The temporary folder lies inside `folder`, so that a move is a rename; after an error it
    is gone and `folder` holds what it held before. Files move in alphabetical order.

    Raises:
        OutputError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    except OSError as error:
        raise _refused(folder, error) from None
    try:
        yield stage
        files = sorted(stage.iterdir())
        for file in files:
            if (folder / file.name).is_dir():
                raise IsADirectoryError(f"{folder / file.name} is a folder")
        for file in files:
            os.replace(file, folder / file.name)
    except OSError as error:
        raise _refused(folder, error) from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _refused(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}")
