"""What several commands say on the terminal: progress, and what is not to be trusted."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from crowd3d.progress import Progress


def progress_bars(quiet: bool) -> Progress:
    """Bars for somebody who looks at a terminal; nothing in a log file, or where silence was asked for."""
    return Progress(enabled=not quiet and sys.stderr.isatty())


def warn(warnings: Sequence[str], at_most: int | None = None) -> None:
    """One line on stderr for each warning; from `at_most` on the others are only counted."""
    shown = warnings[:at_most]
    for warning in shown:
        click.echo(f"warning: {warning}", err=True)
    if len(shown) < len(warnings):
        click.echo(f"warning: and {len(warnings) - len(shown)} more", err=True)
