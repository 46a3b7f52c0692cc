"""Crash-safe record of finished tiles, so that a killed run resumes and ends with the same bytes.

A journal is a folder with two append-only files. `arrays.bin` holds the raw bytes of the arrays,
`index.jsonl` one line per record: key, place and checksum of its bytes, names, types and shapes.
The bytes are written before the line that names them. Whatever follows the last whole record is cut
off at opening.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from tiling.errors import JournalError, ResourceError
from tiling.planner import Tile

AnyArray = npt.NDArray[Any]
_INDEX, _ARRAYS, _LOCK = "index.jsonl", "arrays.bin", "lock"
_KINDS = "biufc"  # plain numbers only: nothing that could need a pickle


def record_key(image_identity: str, tiles: Sequence[Tile], config: Any, weights: str) -> str:
    """SHA-256 of everything that the result of one batch of tiles depends on.

    Args:
        image_identity: `ImageSource.identity`; tiles: those that go through the network together,
            because the last bits of one depend on the others; config: any JSON value; weights:
            hash of the network's weights.
    """
    content = {
        "image": image_identity,
        "tiles": [asdict(tile) for tile in tiles],
        "config": config,
        "weights": weights,
    }
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise JournalError(f"the configuration is not plain JSON: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """Records of finished tiles in a folder, which is created if needed; one writer at a time.

    Args:
        folder: of this picture and run; records of another configuration have other keys and do no
            harm.
        sync: wait for the disk at each record. Without it a power cut may cost the last records,
            never the integrity of the others; a killed process costs none.

    Raises:
        JournalError: the folder cannot be written, is a link, or another process uses it.
        ResourceError: its disk is full.
    """

    def __init__(self, folder: str | os.PathLike[str], *, sync: bool = True) -> None:
        self.folder = Path(folder)
        self._sync = sync
        self._entries: dict[str, dict[str, Any]] = {}
        if self.folder.is_symlink():
            raise JournalError(
                f"{self.folder} is a link; delete it, for a journal is never kept elsewhere"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _open_own(self.folder / _LOCK)
            _lock_or_fail(self._lock, self.folder)
            self._index = _open_own(self.folder / _INDEX)
            self._arrays = _open_own(self.folder / _ARRAYS)
            self._recover()
        except OSError as error:
            raise _refused(self.folder, "no journal can be kept here", error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> dict[str, AnyArray] | None:
        """The arrays of a finished tile, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        blob = self._blob(entry)
        if blob is None:
            raise JournalError(
                f"{self.folder}: damaged while in use; delete the folder and start again"
            )
        return _unpack(entry["arrays"], blob)

    def put(self, key: str, arrays: Mapping[str, AnyArray]) -> None:
        """Records a finished tile; a key that is known already is left as it is.

        Raises:
            JournalError: an array of objects or text. ResourceError: the disk is full.
        """
        if key in self._entries:
            return
        specs, blob = _pack(arrays)
        try:
            offset = self._arrays.seek(0, os.SEEK_END)
            entry = {
                "key": key,
                "offset": offset,
                "size": len(blob),
                "crc32": crc32(blob),
                "arrays": specs,
            }
            self._append(self._arrays, blob)
            self._append(self._index, _line(entry))
        except OSError as error:
            raise _refused(self.folder, "cannot record a tile", error) from error
        self._entries[key] = entry

    def close(self) -> None:
        """Closes the files; the records stay."""
        for stream in (self._index, self._arrays, self._lock):
            stream.close()

    def _append(self, stream: IO[bytes], content: bytes) -> None:
        stream.write(content)
        stream.flush()
        if self._sync:
            os.fsync(stream.fileno())

    def _recover(self) -> None:
        """Reads the whole records and cuts both files off behind the last one."""
        index_end = arrays_end = 0
        self._index.seek(0)
        for line in self._index:
            entry = _parse(line)
            if entry is None or entry["offset"] != arrays_end or self._blob(entry) is None:
                break
            self._entries[entry["key"]] = entry
            index_end += len(line)
            arrays_end += entry["size"]
        self._index.truncate(index_end)
        self._arrays.truncate(arrays_end)

    def _blob(self, entry: dict[str, Any]) -> bytes | None:
        self._arrays.seek(entry["offset"])
        blob = self._arrays.read(entry["size"])
        return blob if len(blob) == entry["size"] and crc32(blob) == entry["crc32"] else None


def _line(entry: dict[str, Any]) -> bytes:
    """One record as a line that ends in a checksum of itself."""
    text = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    return text + b"\t%08x\n" % crc32(text)


def _parse(line: bytes) -> dict[str, Any] | None:
    text, tab, check = line.rpartition(b"\t")
    if not tab or check != b"%08x\n" % crc32(text):
        return None
    try:
        entry: dict[str, Any] = json.loads(text)
        return entry if _is_whole(entry) else None
    except (ValueError, KeyError, TypeError, RecursionError, SyntaxError):
        return None


def _is_whole(entry: dict[str, Any]) -> bool:
    """Whether an entry's arrays fill just its bytes; raises what `_parse` expects if it is none."""
    filled = 0
    for name, kind, shape in entry["arrays"]:
        dtype = np.dtype(str(kind))
        if dtype.kind not in _KINDS or any(type(n) is not int or n < 0 for n in shape):
            return False
        filled += dtype.itemsize * math.prod(shape)
        if not isinstance(name, str):
            return False
    numbers = entry["offset"], entry["size"], entry["crc32"]
    return (
        isinstance(entry["key"], str)
        and all(type(n) is int for n in numbers)
        and filled == entry["size"]
    )


def _pack(arrays: Mapping[str, AnyArray]) -> tuple[list[list[Any]], bytes]:
    specs: list[list[Any]] = []
    blobs: list[bytes] = []
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.kind not in _KINDS:
            raise JournalError(
                f"array {name!r} of type {array.dtype} cannot be recorded, only numbers can"
            )
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        specs.append([name, little.dtype.str, list(array.shape)])
        blobs.append(little.tobytes())
    return specs, b"".join(blobs)


def _unpack(specs: list[list[Any]], blob: bytes) -> dict[str, AnyArray]:
    arrays: dict[str, AnyArray] = {}
    offset = 0
    for name, dtype, shape in specs:
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(blob, dtype=np.dtype(dtype), count=count, offset=offset)
        arrays[name] = flat.reshape(shape).copy()
        offset += flat.nbytes
    return arrays


def _open_own(path: Path) -> IO[bytes]:
    """A file of the journal, open for reading and appending; links are not followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return open(os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666), "a+b")


def _refused(folder: Path, what: str, error: OSError) -> JournalError | ResourceError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(f"{folder}: {what} ({error.strerror}); free some disk there")
    if error.errno == errno.ELOOP:
        return JournalError(f"{error.filename} is a link; delete it")
    return JournalError(f"{folder}: {what} ({error})")


def _lock_or_fail(stream: IO[bytes], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system: the user must not start a run twice
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise JournalError(
            f"{folder}: another process is writing here; wait for it or choose another folder"
        ) from error
