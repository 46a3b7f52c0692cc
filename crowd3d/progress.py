"""Progress as the pipeline reports it and as a terminal shows it."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Protocol

from tqdm import tqdm


class Reporter(Protocol):
    """Whatever shows progress."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins; the one before is over."""

    def advance(self, steps: int = 1) -> None:
        """Some steps of the current stage are done."""


class Progress:
    """Bars on stderr, one per stage; silent unless enabled.

    A caller of `crowd3d.reconstruct` may pass any other `Reporter`.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._bar: tqdm[Any] | None = None

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins; the one before is over."""
        self._close()
        if self._enabled:
            self._bar = tqdm(total=total, desc=f"{stage:<8}", file=sys.stderr, leave=False)

    def advance(self, steps: int = 1) -> None:
        """Some steps of the current stage are done."""
        if self._bar is not None:
            self._bar.update(steps)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
