"""Journal of finished frames, one file each, so that a killed run can continue where it stopped."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from crowd3d.errors import OutputError
from crowd3d.files import atomic, strict_json
from crowd3d.files.reading import read_text

_MOST_BYTES = 1_000_000_000  # of one frame; of a person it is 3 kB
_LONGEST = 200  # letters of a name that is kept


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
        for part in (self.folder, self.folder / "frames", self.folder / "tiles"):
            if part.is_symlink():
                raise OutputError(
                    f"{part} is a link; delete it, for a journal is never kept elsewhere"
                )
        try:
            (self.folder / "frames").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise atomic.refused(f"beside {out}", error) from None

    def get(self, name: str, key: str) -> Record | None:
        """The record of a frame; None if there is none for this key. Raises OutputError if it is damaged."""
        path = self._path(name)
        if not path.exists():
            return None
        head, _, text = read_text(path, OutputError, _MOST_BYTES).partition("\n")
        try:
            values, entry = strict_json.loads(head), strict_json.loads(text)
            n_people, warnings = values["people"], values["warnings"]
            if n_people != len(entry["person_list"]) or not all(type(w) is str for w in warnings):
                raise ValueError("its members do not agree")
            is_same = values["key"] == key
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path} is damaged ({error}); delete it") from None
        return Record(text.rstrip("\n"), n_people, list(warnings)) if is_same else None

    def put(self, name: str, key: str, record: Record) -> None:
        """Store a finished frame under a key of its settings and picture; raises OutputError."""
        head = strict_json.dumps(
            {"key": key, "people": record.n_people, "warnings": record.warnings}
        )
        atomic.write_text(self._path(name), f"{head}{record.text}\n")

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
        # A name may be as long as names can be already, or no text at all.
        if len(name) > _LONGEST or not (name.isascii() and name.isprintable()):
            name = hashlib.sha256(os.fsencode(name)).hexdigest()
        return self.folder / "frames" / f"{name}.json"
