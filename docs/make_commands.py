"""Writes docs/commands.md from the command line itself: python docs/make_commands.py

A test compares the page with what this makes, so that no option is forgotten on it.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from crowd3d.cli import main

_ESCAPES = str.maketrans({"|": "&#124;", "[": "&#91;", "]": "&#93;", "*": "&#42;", "_": "&#95;"})
PAGE = Path(__file__).with_name("commands.md")
_HEAD = """# Commands

<!-- Written by `python docs/make_commands.py` from the command line; change the help texts there. -->

Every command has `--help`. Results go to files, progress to stderr, one closing line to stdout. A mistake in
what was asked for ends with one line and exit code 2, a problem of the machine with 3. Examples stand in the
[quick start](quickstart.md).
"""


def page() -> str:
    """The whole page."""
    context = click.Context(main, info_name="crowd3d")
    parts = [_HEAD]
    for path, command in commands(context):
        parts.append(_section(path, command))
    return "\n".join(parts)


def commands(context: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    """All commands below a group, in the order of its help; groups before what is in them."""
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        below = click.Context(command, info_name=name, parent=context)
        yield below, command
        if isinstance(command, click.Group):
            yield from commands(below)


def _section(context: click.Context, command: click.Command) -> str:
    lines = [f"## {context.command_path}", "", _described(command), ""]
    if isinstance(command, click.Group):
        return "\n".join(lines)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines += ["```text", usage, "```", ""]
    options = [param for param in command.params if isinstance(param, click.Option)]
    shown = [record for option in options if (record := option.get_help_record(context))]
    if shown:
        lines += ["| option | meaning |", "|---|---|"]
        lines += [f"| <code>{_cell(name)}</code> | {_cell(text)} |" for name, text in shown]
        lines.append("")
    return "\n".join(lines)


def _described(command: click.Command) -> str:
    """The help text; where a line is indented, click keeps line ends, and so does the page."""
    return inspect.cleandoc(command.help or command.short_help or "").replace("\b\n", "")


def _cell(text: str) -> str:
    """Text for a cell of a table: a bar would end the cell, square brackets could make a link."""
    return html.escape(" ".join(text.split()), quote=False).translate(_ESCAPES)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
