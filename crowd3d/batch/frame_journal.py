"""Journal of finished frames, one file each, so that a killed run can continue where it stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from crowd3d.errors import OutputError
from crowd3d.files import atomic


@dataclass(frozen=True)
class Record:
    """The result of a finished frame.

    Attributes:
        text: its entry of `predict.json`, JSON on one line.
        n_people: number of people in that entry.
        warnings: warnings for that frame.
    """

    text: str
    n_people: int
    warnings: list[str]


class FrameJournal:
    """A folder beside the output, with a file for each finished frame and the tiles of unfinished frames.

    Args:
        out: the file that the run writes at the end; the folder has the same name with `.journal` added.
        resume: whether to use the finished frames of an earlier run.

    Raises:
        OutputError: the folder exists and `resume` is not set, or it cannot be made, or `out` is a folder.
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
        """The record of a frame; None if there is none for this key. Raises OutputError if it is damaged."""
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
        """Store a finished frame under a key of its settings and picture; raises OutputError."""
        head = json.dumps({"key": key, "people": record.n_people, "warnings": record.warnings})
        atomic.write_text(self._path(name), f"{head}\n{record.text}\n")

    def tiles(self, scene: str) -> Path:
        """Folder for the tiles of a scene's unfinished frames."""
        return self.folder / "tiles" / scene.replace("/", "_")

    def forget_tiles(self, scene: str) -> None:
        """Delete the tiles of a scene; call it when the scene is finished."""
        shutil.rmtree(self.tiles(scene), ignore_errors=True)

    def remove(self) -> None:
        """Delete the journal; call it when the output file is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / "frames" / f"{name}.json"
