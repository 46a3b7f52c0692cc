"""Files appear whole or not at all: write beside, flush to the disk, rename."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crowd3d.errors import Crowd3dError, EnvironmentProblem, OutputError

try:
    import fcntl
except ImportError:  # not on this system: what a killed run leaves stays until somebody deletes it
    fcntl = None  # type: ignore[assignment]

_STAGE = ".writing-"
# What a disk or a machine lacks, rather than the folder that was asked for.
_OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file by the content, atomically; raises as `refused`."""
    write_parts(path, [content])


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Like `write_bytes`, with content that need not be in memory at once."""
    # Processes of several machines, even of one number, may write the same file on a shared disk. The name is
    # none that anybody could have made a link of, and short enough beside any other.
    partial = path.with_name(f".{secrets.token_hex(16)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise refused(path, error) from None
    finally:
        with suppress(
            OSError
        ):  # it is there only if something went wrong, or somebody stopped the program
            partial.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """UTF-8 with \\n line ends, atomically; raises as `refused`."""
    write_bytes(path, content.encode("utf-8"))


@contextmanager
def staged(folder: Path, last: str = "") -> Iterator[Path]:
    """A temporary folder whose files move into `folder` together once the block ends well.

    The temporary folder lies inside `folder`, so that a move is a rename; after an error in the block it is
    gone and `folder` holds what it held before. What killed runs have left of theirs is removed.

    Files move in alphabetical order, those of an earlier result having been removed before, so that even a kill
    between two moves leaves no mix of both.

    Args:
        last: the file without which nobody takes the others for a result; it is the first to go and the last
            to come.

    Raises:
        OutputError, EnvironmentProblem: see `refused`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=folder))
        lock = _lock(stage)
    except OSError as error:
        raise refused(f"into {folder}", error) from None
    try:
        yield stage
        names = sorted(
            (file.name for file in stage.iterdir()), key=lambda name: (name == last, name)
        )
        for name in names:
            if (folder / name).is_dir():
                raise IsADirectoryError(f"{folder / name} is a folder")
        for name in reversed(names):
            (folder / name).unlink(missing_ok=True)
        for name in names:
            os.replace(stage / name, folder / name)
    except OSError as error:
        raise refused(f"into {folder}", error) from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def refused(where: Path | str, error: OSError) -> Crowd3dError:
    """What to raise for a file, or "into" a folder, that cannot be written.

    An EnvironmentProblem if the machine lacks something, such as room on its disk, else an OutputError.
    """
    reason = error.strerror or str(error)
    if error.errno in _OF_THE_MACHINE:
        return EnvironmentProblem(
            f"cannot write {where}: {reason}; make room there, or choose another place"
        )
    return OutputError(f"cannot write {where}: {reason}")


def _lock(stage: Path) -> int | None:
    """Hold a temporary folder for as long as this process lives; None where that cannot be done."""
    if fcntl is None:
        return None
    number = os.open(stage, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by somebody else, or a disk without locks
        os.close(number)
        return None
    return number


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary folders of runs that were killed, which nobody holds any more."""
    for left in folder.glob(f"{_STAGE}*"):
        if left.is_symlink() or not left.is_dir():
            continue
        with suppress(OSError):
            lock = _lock(left)
            if lock is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
