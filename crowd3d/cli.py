"""The command line. Results go to files, progress to stderr, one closing line to stdout."""

from __future__ import annotations

import importlib
import signal
import threading
from typing import NoReturn

import click

from crowd3d.errors import Crowd3dError
from crowd3d.version import __version__

# Each is a function of its own name in a module of its own name in crowd3d.commands, imported when called for.
_COMMANDS = (
    "reconstruct",
    "batch",
    "largecrowd",
    "evaluate",
    "export",
    "view",
    "synth",
    "data",
    "models",
    "train",
    "adapt",
)


class _Group(click.Group):
    """Loads commands late, and turns every error raised on purpose into one line and its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"crowd3d.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        _tidy_up_when_terminated()
        try:
            return super().invoke(ctx)
        except Crowd3dError as error:
            click.echo(f"crowd3d: {' '.join(str(error).split())}", err=True)
            ctx.exit(error.exit_code)
        except MemoryError:
            click.echo("crowd3d: out of memory; try --config fast or a smaller picture", err=True)
            ctx.exit(3)


def _tidy_up_when_terminated() -> None:
    """Let SIGTERM end the program like an error, so that half-written folders are removed on the way out."""

    def end(signal_number: int, _: object) -> NoReturn:
        raise SystemExit(128 + signal_number)

    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="crowd3d")
def main() -> None:
    """One huge photograph of a crowd in, one metric 3D scene out."""


if __name__ == "__main__":
    main()
