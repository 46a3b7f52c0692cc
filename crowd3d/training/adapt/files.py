"""What an adaptation leaves beside its result while it runs: a checkpoint and a log."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crowd3d.errors import OutputError
from crowd3d.files.atomic import write_bytes


@dataclass
class Checkpoint:
    """Of a run that writes `out`.

    Attributes:
        key: hash of all that the result depends on; another run's checkpoint is refused.
        resume: whether to go on with one that is there.
        every: steps between two states kept.
    """

    out: Path
    key: str
    resume: bool = False
    every: int = 20

    def __post_init__(self) -> None:
        if self.state_file.exists() and not self.resume:
            raise OutputError(
                f"{self.state_file} is of an unfinished run; give --resume to go on with it, or delete it"
            )
        if not self.state_file.exists():
            write_bytes(self.log_file, b"")

    @property
    def state_file(self) -> Path:
        """Weights and optimizer."""
        return self.out.with_name(f"{self.out.name}.checkpoint")

    @property
    def log_file(self) -> Path:
        """One line of JSON a step."""
        return self.out.with_name(f"{self.out.name}.log.jsonl")

    def restore(self, trained: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Steps already done; their log lines stay, later ones go.

        Raises:
            OutputError: the checkpoint is damaged, or of other weights, pictures or settings.
        """
        if not self.state_file.exists():
            return 0
        try:
            stored = torch.load(self.state_file, weights_only=True)
            if stored["key"] != self.key:
                raise OutputError(
                    f"{self.state_file} is of other weights, pictures or settings; delete it"
                )
            trained.load_state_dict(stored["trained"])
            optimizer.load_state_dict(stored["optimizer"])
            step = int(stored["step"])
        except (
            OSError,
            RuntimeError,
            pickle.UnpicklingError,
            KeyError,
            ValueError,
            EOFError,
        ) as error:
            raise OutputError(f"{self.state_file} is damaged ({error}); delete it") from None
        lines = (
            self.log_file.read_bytes().splitlines(keepends=True) if self.log_file.exists() else []
        )
        write_bytes(self.log_file, b"".join(lines[:step]))
        return step

    def finish(
        self,
        step: int,
        row: dict[str, Any],
        trained: nn.Module,
        optimizer: torch.optim.Optimizer,
        is_last: bool,
    ) -> None:
        """Logs a step, and keeps its state now and then; raises OutputError."""
        try:
            with open(self.log_file, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self.log_file}: {error.strerror}") from None
        if step % self.every == 0 or is_last:
            buffer = io.BytesIO()
            states = {"trained": trained.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**states, "key": self.key, "step": step}, buffer)
            write_bytes(self.state_file, buffer.getvalue())

    def remove(self) -> None:
        """The result is written."""
        self.state_file.unlink(missing_ok=True)
