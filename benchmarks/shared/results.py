"""Tables of a benchmark: print them as Markdown, write them to and read them from `benchmarks/results/`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from shared.machine import machine_line

from crowd3d.files import atomic, strict_json
from crowd3d.version import __version__

RESULTS = Path(__file__).parents[1] / "results"
UNKNOWN = "-"
_DIGITS = 4  # that count, of every number in a file
_ROW_DEPTH = 4  # result, tables, table, rows, row
_NOT_TOLD = ("save", "cache")  # options that do not change what is measured

Cell = str | float | None | Sequence[float | None]
"""Text, a number, nothing, or several numbers that are shown together."""


@dataclass(frozen=True)
class Table:
    """One table of a result.

    Attributes:
        columns: heading -> how its cells are written, a template of `str.format` such as "{:.1f} %";
            a cell of several numbers fills several places, "{:.2f} -> {:.2f}".
        rows: a cell for each column; text is shown as it is, None as "-".
        title: a line above the table.
    """

    columns: dict[str, str]
    rows: list[list[Cell]]
    title: str = ""

    def markdown(self) -> str:
        """The table as text. A column of which nothing is known is left out."""
        known = [
            i
            for i in range(len(self.columns))
            if any(cell_text(row[i], "") != UNKNOWN for row in self.rows)
        ]
        forms = list(self.columns.values())
        lines = [_line([list(self.columns)[i] for i in known]), "|" + "---|" * len(known)]
        lines += [_line([cell_text(row[i], forms[i]) for i in known]) for row in self.rows]
        return "\n".join([self.title, "", *lines] if self.title else lines)


def cell_text(cell: Cell, form: str) -> str:
    """A cell as the table shows it."""
    if isinstance(cell, str):
        return cell
    numbers = [cell] if cell is None or isinstance(cell, int | float) else cell
    known = [n for n in numbers if n is not None and math.isfinite(n)]
    return form.format(*known) if len(known) == len(numbers) else UNKNOWN


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@dataclass(frozen=True)
class Result:
    """What one command measured.

    Attributes:
        name: of the file, without `.json`.
        command: from the root of the repository; folders that everybody has elsewhere in capitals.
        version: of crowd3d.
        date: year and month.
        machine: as `machine_line` says it.
    """

    name: str
    command: str
    version: str
    date: str
    machine: str
    tables: list[Table]


Command = TypeVar("Command", bound=Callable[..., Any])


def save_option(function: Command) -> Command:
    """Adds `--save` to a command."""
    text = "Write the tables to benchmarks/results/, of which docs/benchmarks.md is made."
    return click.option("--save", is_flag=True, help=text)(function)


def show(name: str, tables: list[Table], *, save: bool) -> None:
    """End a benchmark: print its tables, and with `save` write them to the folder of results."""
    tables = [table for table in tables if table.rows]
    machine = machine_line()
    if save:  # first: printing ends where nobody reads on
        result = Result(name, command(), __version__, time.strftime("%Y-%m"), machine, tables)
        write(result, RESULTS)
    click.echo(f"{machine}\n")
    for table in tables:
        click.echo(table.markdown() + "\n")


def command() -> str:
    """The command that is running, as anybody could type it: folders and files are named, not given."""
    context = click.get_current_context()
    words = [f"python benchmarks/{context.info_name}"]
    for parameter in context.command.params:
        name = str(parameter.name)
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not is_given or name in _NOT_TOLD:
            continue
        if isinstance(parameter, click.Option):
            words.append(parameter.opts[0])
        value = context.params[name]
        if isinstance(parameter.type, click.Path):
            words.append(parameter.metavar or "FILE")
        else:
            values = value if isinstance(value, tuple) else [value]
            words += [f"'{v}'" if " " in str(v) else str(v) for v in values]
    return " ".join(words)


def write(result: Result, folder: Path) -> None:
    """Write NAME.json, one row of a table a line."""
    page = strict_json.plain(asdict(result))
    for table in page["tables"]:
        table["rows"] = [[_short(cell) for cell in row] for row in table["rows"]]
    atomic.write_text(folder / f"{result.name}.json", _json(page) + "\n")


def read(path: Path) -> Result:
    """A file as `write` leaves it."""
    page = json.loads(path.read_text(encoding="utf-8"))
    return Result(**{**page, "tables": [Table(**table) for table in page["tables"]]})


def read_all(folder: Path = RESULTS) -> dict[str, Result]:
    """Every result of a folder by its name."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.json"))}


def _short(cell: Any) -> Any:
    """Numbers with as many digits as mean something."""
    if isinstance(cell, list):
        return [_short(number) for number in cell]
    return float(f"{cell:.{_DIGITS}g}") if isinstance(cell, float) else cell


def _json(value: Any, depth: int = 0) -> str:
    """JSON with one line for whatever lies `_ROW_DEPTH` deep: a row of a table."""
    if depth == _ROW_DEPTH or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(k, ensure_ascii=False)}: {_json(v, depth + 1)}" for k, v in value.items()
        ]
    else:
        parts = [_json(v, depth + 1) for v in value]
    indent = " " * depth
    inner = ",\n".join(f"{indent} {part}" for part in parts)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}\n{indent}{closing}"
