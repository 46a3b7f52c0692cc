"""What a training that keeps everything in one file needs to go on after a stop."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Checkpoint:
    """Networks, optimiser and random state of a run, and its log.

    Args:
        folder: of the run; None keeps nothing.
        log_name: of the file of JSON lines in it.
    """

    def __init__(
        self,
        folder: Path | None,
        log_name: str,
        net: nn.Module,
        average: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> None:
        self.folder, self.log_name, self.generator = folder, log_name, generator
        self.parts: dict[str, Any] = {"net": net, "average": average, "optimizer": optimizer}
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

    def restore(self) -> int:
        """Steps already done."""
        if not self.folder or not (self.folder / "checkpoint.pt").exists():
            return 0
        stored = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(stored[name])
        self.generator.set_state(stored["generator"])
        return int(stored["step"])

    def save(self, step: int) -> None:
        """Atomically."""
        if self.folder:
            stored = {name: part.state_dict() for name, part in self.parts.items()}
            stored |= {"generator": self.generator.get_state(), "step": step}
            torch.save(stored, self.folder / "checkpoint.tmp")
            os.replace(self.folder / "checkpoint.tmp", self.folder / "checkpoint.pt")

    def log(self, **values: Any) -> None:
        """One line of JSON."""
        if self.folder:
            with open(self.folder / self.log_name, "a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")
