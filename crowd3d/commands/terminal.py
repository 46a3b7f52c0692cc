"""What several commands say on the terminal: progress, and what is not to be trusted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from crowd3d.errors import one_line
from crowd3d.progress import Progress


def progress_bars(quiet: bool) -> Progress:
    """Bars for somebody who looks at a terminal; nothing in a log file, or where silence was asked for."""
    return Progress(enabled=not quiet and sys.stderr is not None and sys.stderr.isatty())


def note(line: str) -> None:
    """One printable line on stderr. A run goes on if it cannot be written, for example to a full disk."""
    with suppress(OSError):
        click.echo(one_line(line), err=True)


def warn(warnings: Sequence[str], at_most: int | None = None) -> None:
    """One line on stderr for each warning; from `at_most` on the others are only counted."""
    shown = warnings[:at_most]
    for warning in shown:
        note(f"warning: {warning}")
    if len(shown) < len(warnings):
        note(f"warning: and {len(warnings) - len(shown)} more")
