"""The command line. Results go to files, progress to stderr, one closing line to stdout."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn

import click

from crowd3d.errors import Crowd3dError, one_line
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
_GO_ON = {  # what a stopped command is to be told
    **dict.fromkeys(("reconstruct", "batch"), "the same command goes on where it was"),
    **dict.fromkeys(
        ("largecrowd", "train", "adapt"), "the same command with --resume goes on where it was"
    ),
}
_ENVIRONMENT = 3  # the exit code for troubles of the machine
_STOPPING = ("SIGTERM", "SIGHUP")  # SIGINT raises KeyboardInterrupt already


class _Stopped(SystemExit):
    """A signal ends the program; its code is 128 and the signal's number."""


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

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _prepare_streams()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Those of files have been translated where they arise; without a file it is standard output.
            where = error.filename
            what = f"cannot use {where}" if where else "cannot write to standard output"
            _complain(one_line(f"{what}: {error.strerror or error}"))
            _silence_stdout()
            sys.exit(_ENVIRONMENT)

    def invoke(self, ctx: click.Context) -> object:
        _stop_by_signals()
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # now, while a failure can still be told
            return result
        except Crowd3dError as error:
            _complain(str(error))
            ctx.exit(error.exit_code)
        except MemoryError:
            _complain("out of memory; try --config fast or a smaller picture")
            ctx.exit(_ENVIRONMENT)
        except KeyboardInterrupt:
            _tell_stopped(ctx)
            ctx.exit(128 + signal.SIGINT)
        except _Stopped:
            _tell_stopped(ctx)
            raise
        except BrokenPipeError:  # whoever read the output has enough
            _silence_stdout()
            ctx.exit(_ENVIRONMENT)


def _complain(line: str) -> None:
    """One line on stderr, if that can be written to."""
    with suppress(OSError):
        click.echo(f"crowd3d: {line}", err=True)


def _tell_stopped(ctx: click.Context) -> None:
    hint = _GO_ON.get(ctx.invoked_subcommand or "")
    _complain(f"stopped; {hint}" if hint else "stopped")


def _prepare_streams() -> None:
    """Give the program the streams that it was started without, and let every name be printed."""
    with suppress(OSError):
        # A file that is opened later would else take the place of a closed stream, and get what is printed.
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _silence_stdout() -> None:
    """What is still waiting to be printed goes nowhere, so that Python does not complain at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop_by_signals() -> None:
    """Let signals end the program like an error, so that half-written folders are removed on the way out."""

    def end(signal_number: int, _: object) -> NoReturn:
        raise _Stopped(128 + signal_number)

    if threading.current_thread() is not threading.main_thread():
        return
    for name in _STOPPING:
        number = getattr(signal, name, None)  # there is no SIGHUP on Windows
        # Whoever started the program may have it ignore a signal, as nohup does.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="crowd3d")
def main() -> None:
    """One huge photograph of a crowd in, one metric 3D scene out."""


if __name__ == "__main__":
    main()
