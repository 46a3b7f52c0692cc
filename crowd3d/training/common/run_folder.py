"""The folder of a training run: checkpoint, log as JSON lines, and a page of curves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

import torch

from crowd3d.errors import DataError, OutputError
from crowd3d.files import svg
from crowd3d.files.atomic import write_text

CHECKPOINT = "checkpoint.pt"
_STYLE = (
    "body{font:14px system-ui;margin:24px;max-width:960px}svg{width:460px}text{font-size:11px}"
    ".title{font-size:13px;font-weight:600}.grid{stroke:#ddd}.dot{fill:#2563a8}"
)


def make_folder(folder: Path) -> None:
    """Make a folder where there is none; raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None


def claim(folder: Path, recipe: dict[str, Any]) -> None:
    """Make a folder for what is computed by a recipe, and keep others from using it.

    Raises:
        OutputError: it cannot be written.
        DataError: it is of another recipe.
    """
    page, text = folder / "recipe.json", json.dumps(recipe, sort_keys=True) + "\n"
    make_folder(folder)
    try:
        found = page.read_text(encoding="utf-8") if page.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {page}: {error}") from None
    if found is None:
        write_text(page, text)
    elif found != text:
        raise DataError(f"{folder} is of another recipe; use another folder, or delete it")


class Part(Protocol):
    """Whatever has a state: networks, optimisers."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


class RunFolder:
    """A run can be stopped at any time and goes on from its last checkpoint.

    Args:
        parts: everything that training changes, by name.
        identity: what decides the weights; a checkpoint of something else is refused.
    """

    def __init__(self, folder: Path, parts: dict[str, Part], identity: dict[str, Any]) -> None:
        self.folder, self.parts = folder, parts
        self.identity = json.dumps(identity, sort_keys=True)
        make_folder(folder)

    @property
    def _checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    def restore(self) -> int:
        """Steps already done; 0 without a checkpoint.

        Raises:
            DataError: the checkpoint is damaged or of another recipe.
        """
        stored = self.check()
        if stored is None:
            return 0
        try:
            for name, part in self.parts.items():
                part.load_state_dict(stored[name])
            return int(stored["step"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise self._damaged(error) from None

    def check(self) -> dict[str, Any] | None:
        """The checkpoint, None where there is none; raises as `restore`, which uses it."""
        if not self._checkpoint.exists():
            return None
        try:
            stored = torch.load(self._checkpoint, weights_only=True, map_location="cpu")
            identity = stored["identity"]
        except Exception as error:  # whatever torch makes of a damaged file
            raise self._damaged(error) from None
        if identity != self.identity:
            raise DataError(f"{self._checkpoint} is of another recipe; use another folder")
        return dict(stored)

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"cannot go on from {self._checkpoint} ({type(error).__name__}); delete it"
        )

    def save(self, step: int) -> None:
        """A checkpoint, atomically."""
        stored: dict[str, Any] = {name: part.state_dict() for name, part in self.parts.items()}
        stored |= {"step": step, "identity": self.identity}
        scratch = self._checkpoint.with_suffix(".tmp")
        try:
            torch.save(stored, scratch)
            os.replace(scratch, self._checkpoint)
        except (OSError, RuntimeError) as error:
            raise OutputError(f"cannot write {self._checkpoint}: {error}") from None

    def forget_after(self, step: int) -> None:
        """Drop log lines of steps that a resumed run does again; with step 0, the whole log."""
        kept = [row for row in self.rows() if row["step"] <= step] if step else []
        write_text(self._log, "".join(json.dumps(row) + "\n" for row in kept))

    @property
    def _log(self) -> Path:
        return self.folder / "train_log.jsonl"

    def log(self, **values: Any) -> None:
        """One line of JSON; `step` is one of the values."""
        with open(self._log, "a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """The log."""
        if not self._log.exists():
            return []
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def plot(self) -> None:
        """`train.html`: every number of the log over the steps."""
        rows = self.rows()
        names = dict.fromkeys(key for row in rows for key in row if key not in ("step", "seconds"))
        curves = []
        for name in names:
            shown = [row for row in rows if row.get(name) is not None]
            steps, values = [r["step"] for r in shown], [r[name] for r in shown]
            lowest = min([0.0, *values])
            title = name if lowest >= 0 else f"{name} + {-lowest:.3g}"
            labels = [f"step {s}: {v:.5g}" for s, v in zip(steps, values, strict=True)]
            curves.append(
                svg.points(
                    title, steps, [v - lowest for v in values], labels, x_label="step", y_label=""
                )
            )
        page = f"<!doctype html><meta charset=utf-8><title>Training</title><style>{_STYLE}</style>"
        write_text(self.folder / "train.html", page + "\n".join(curves) + "\n")
