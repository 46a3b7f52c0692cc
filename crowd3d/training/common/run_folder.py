"""What a training keeps in a folder while it runs: a checkpoint to go on from, and a log."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Protocol

import torch

from crowd3d.errors import OutputError
from crowd3d.files import strict_json
from crowd3d.files.atomic import refused, write_bytes, write_text
from crowd3d.files.reading import LARGE_BYTES, read_text


class Stateful(Protocol):
    """Networks and optimisers."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


Part = Stateful | torch.Generator


class RunFolder:
    """Two files of a run in a folder, NAME.checkpoint and NAME.log.jsonl; runs of other names may share it.

    A training calls `begin` before its first step, `log` and `save` now and then, and `finish` once its result
    is written. If it is stopped in between, the next one begins where the last checkpoint was saved, with the
    same random numbers, and ends with the same weights.

    Args:
        resume: whether to go on with a run that is there.

    Raises:
        OutputError: there is one, and it is not to be gone on with; or the folder cannot be made.
    """

    def __init__(self, folder: Path, name: str, *, resume: bool = False) -> None:
        self.checkpoint = folder / f"{name}.checkpoint"
        self.log_file = folder / f"{name}.log.jsonl"
        self._parts: dict[str, Part] = {}
        self._identity = ""
        if self.checkpoint.exists() and not resume:
            raise OutputError(
                f"{self.checkpoint} is of an unfinished run; give --resume to go on with it, or delete it"
            )
        make_folder(folder)

    def begin(self, identity: str, parts: dict[str, Part]) -> int:
        """Steps already done; puts everything back to where it was then.

        Log lines of later steps, which are done again, go.

        Args:
            identity: all that the result depends on, or its hash; a checkpoint of something else is refused.
            parts: everything that training changes, by name: networks, optimisers, sources of random numbers.

        Raises:
            OutputError: the checkpoint is damaged, or of another recipe or other data.
        """
        self._identity, self._parts = identity, parts
        step = self._restore() if self.checkpoint.exists() else 0
        kept = [row for row in self.rows() if row["step"] <= step] if step else []
        write_text(self.log_file, "".join(json.dumps(row) + "\n" for row in kept))
        return step

    def _restore(self) -> int:
        try:
            stored = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
            if stored["identity"] == self._identity:
                for name, part in self._parts.items():
                    _put_back(part, stored[name])
                return int(stored["step"])
        except OSError as error:
            raise OutputError(f"cannot read {self.checkpoint}: {error.strerror or error}") from None
        except Exception as error:  # a damaged file can fail anywhere inside the reader
            raise OutputError(
                f"{self.checkpoint} is damaged ({type(error).__name__}); delete it"
            ) from None
        raise OutputError(
            f"{self.checkpoint} is of other weights, data or settings; delete it, or use another folder"
        )

    def save(self, step: int) -> None:
        """Keep the state after so many steps, atomically; raises OutputError."""
        stored: dict[str, Any] = {name: _state_of(part) for name, part in self._parts.items()}
        buffer = io.BytesIO()
        torch.save(stored | {"step": step, "identity": self._identity}, buffer)
        write_bytes(self.checkpoint, buffer.getvalue())

    def log(self, **values: Any) -> None:
        """One line of JSON; `step` is one of the values. Raises OutputError."""
        try:
            with open(self.log_file, "a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")
        except OSError as error:
            raise refused(self.log_file, error) from None

    def record(
        self, step: int, last: int, loss: torch.Tensor, *, log_every: int, save_every: int
    ) -> None:
        """Log the loss and keep the state, if it is time or the last step; raises OutputError."""
        if step % log_every == 0 or step == last:
            self.log(step=step, loss=round(loss.item(), 5))
        if step % save_every == 0 or step == last:
            self.save(step)

    def rows(self) -> list[dict[str, Any]]:
        """The log. A last line that was cut short by a stop is left out."""
        if not self.log_file.exists():
            return []
        rows = []
        for line in read_text(self.log_file, OutputError, LARGE_BYTES).splitlines():
            try:
                row = strict_json.loads(line)
            except ValueError:
                break
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                break
            rows.append(row)
        return rows

    def finish(self) -> None:
        """The result is written: the checkpoint goes, the log stays."""
        self.checkpoint.unlink(missing_ok=True)


def _state_of(part: Part) -> Any:
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def _put_back(part: Part, state: Any) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(state)
    else:
        part.load_state_dict(state)


def make_folder(folder: Path) -> None:
    """Make a folder where there is none; raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(f"to {folder}", error) from None


def claim(folder: Path, recipe: dict[str, Any]) -> None:
    """Make a folder for what is computed by a recipe and kept, and let no other recipe use it.

    The recipe is written into the folder as `recipe.json`.

    Raises:
        OutputError: it cannot be written, or is of another recipe.
    """
    page, text = folder / "recipe.json", json.dumps(recipe, sort_keys=True) + "\n"
    make_folder(folder)
    found = read_text(page, OutputError) if page.exists() else None
    if found is None:
        write_text(page, text)
    elif found != text:
        raise OutputError(f"{folder} is of another recipe; use another folder, or delete it")
