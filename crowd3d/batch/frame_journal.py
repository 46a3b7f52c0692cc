"""Finished frames of a long run, one file each, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from crowd3d.errors import OutputError
from crowd3d.files import atomic


@dataclass(frozen=True)
class Record:
    """What a finished frame left.

    Attributes:
        text: its entry, JSON on one line.
        n_people: in that entry; warnings: of that frame.
    """

    text: str
    n_people: int
    warnings: list[str]


class FrameJournal:
    """A folder beside the output, with a file for each finished frame and the tiles of unfinished ones.

    Args:
        out: the file that the run writes in the end; the folder is called like it, with `.journal` added.
        resume: whether finished frames of an earlier run count.

    Raises:
        OutputError: there are finished frames, and `resume` is not set; or the folder cannot be made.
    """

    def __init__(self, out: Path, *, resume: bool) -> None:
        self.folder = out.with_name(f"{out.name}.journal")
        if out.is_dir():
            raise OutputError(f"{out} is a folder; give the name of a file")
        if self.folder.exists() and not resume:
            raise OutputError(
                f"{self.folder} holds an unfinished run; give --resume to go on with it, or delete it"
            )
        try:
            (self.folder / "frames").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write beside {out}: {error.strerror}") from None

    def get(self, name: str, key: str) -> Record | None:
        """The record of a frame, unless it is of other settings or another picture."""
        try:
            head, _, text = self._path(name).read_text(encoding="utf-8").partition("\n")
            values = json.loads(head)
            record = Record(text.rstrip("\n"), int(values["people"]), list(values["warnings"]))
            is_same = values["key"] == key
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{self._path(name)} is damaged ({error}); delete it") from None
        return record if is_same else None

    def put(self, name: str, key: str, record: Record) -> None:
        """Keeps a finished frame; raises OutputError."""
        head = json.dumps({"key": key, "people": record.n_people, "warnings": record.warnings})
        atomic.write_text(self._path(name), f"{head}\n{record.text}\n")

    def tiles(self, scene: str) -> Path:
        """Folder for the tiles of a scene's unfinished frames."""
        return self.folder / "tiles" / scene.replace("/", "_")

    def forget_tiles(self, scene: str) -> None:
        """The scene is finished, its tiles are not needed any more."""
        shutil.rmtree(self.tiles(scene), ignore_errors=True)

    def remove(self) -> None:
        """The run is finished, its file is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / "frames" / f"{name}.json"
