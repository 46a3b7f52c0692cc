"""Tables of benchmark results: print them as Markdown, write them to `benchmarks/results/`, read them again."""

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
_DIGITS = 4  # significant digits of every number in a file
_ROW_DEPTH = 4  # depth of a table row in the JSON: result, tables, table, rows, row
# Options left out of the command, because they do not change the result.
_NOT_TOLD = ("save", "cache", "out")

Cell = str | float | None | Sequence[float | None]
"""Text, a number, nothing, or several numbers that are shown together in one cell."""


@dataclass(frozen=True)
class Table:
    """One table of a result.

    Attributes:
        columns: heading -> template of `str.format` for its cells, such as "{:.1f} %". The template has a place
            for each number of a cell, such as "{:.2f} -> {:.2f}".
        rows: one cell for each column; text is shown as it is, None as "-".
        title: a line of text above the table.
    """

    columns: dict[str, str]
    rows: list[list[Cell]]
    title: str = ""

    def markdown(self) -> str:
        """The table as text. A column without any known value is left out."""
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
    """The result of one benchmark command.

    Attributes:
        name: name of the file, without `.json`.
        command: as typed in the root of the repository; names in capitals stand for files and folders, which
            differ between users.
        version: version of crowd3d.
        date: year and month.
        machine: text from `shared.machine.machine_line`.
        tables: what was measured.
    """

    name: str
    command: str
    version: str
    date: str
    machine: str
    tables: list[Table]


Command = TypeVar("Command", bound=Callable[..., Any])


def save_option(function: Command) -> Command:
    """Add the option `--save` to a command."""
    text = "Write the tables to benchmarks/results/, of which docs/benchmarks.md is made."
    return click.option("--save", is_flag=True, help=text)(function)


def show(name: str, tables: list[Table], *, save: bool) -> None:
    """Print the tables of a benchmark, and with `save` write them to the folder of results."""
    if save:  # before printing, because printing stops with an error if the output is a closed pipe
        keep(name, tables)
    click.echo(f"{machine_line()}\n")
    for table in tables:
        if table.rows:
            click.echo(table.markdown() + "\n")


def with_earlier(
    name: str, now: Table, order: Sequence[str], keys: int = 1, folder: Path = RESULTS
) -> Table:
    """The lines measured now among those that were saved before: some take an hour.

    Args:
        order: of the first cells of the lines.
        keys: how many first cells tell a line from the others.
    """
    earlier = read_all(folder).get(name)
    saved = earlier.tables[0] if earlier else None
    if saved is None or list(saved.columns) != list(now.columns):
        return now
    lines = {tuple(map(str, row[:keys])): row for row in [*saved.rows, *now.rows]}
    rows = [line for first in order for key, line in lines.items() if key[0] == first]
    return Table(now.columns, rows, now.title)


def keep(name: str, tables: list[Table]) -> None:
    """Write the tables of the running command to the folder of results."""
    known = [table for table in tables if table.rows]
    month = time.strftime("%Y-%m")
    write(Result(name, command(), __version__, month, machine_line(), known), RESULTS)


def command() -> str:
    """The running command; names in capitals stand for its files and folders, see `Result.command`."""
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
    """Write NAME.json, with one line for each row of a table."""
    page = strict_json.plain(asdict(result))
    for table in page["tables"]:
        table["rows"] = [[_short(cell) for cell in row] for row in table["rows"]]
    atomic.write_text(folder / f"{result.name}.json", _json(page) + "\n")


def read(path: Path) -> Result:
    """Read a file written by `write`."""
    page = json.loads(path.read_text(encoding="utf-8"))
    return Result(**{**page, "tables": [Table(**table) for table in page["tables"]]})


def read_all(folder: Path = RESULTS) -> dict[str, Result]:
    """All results in a folder, by name."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.json"))}


def _short(cell: Any) -> Any:
    """The cell with its numbers rounded to `_DIGITS` significant digits."""
    if isinstance(cell, list):
        return [_short(number) for number in cell]
    return float(f"{cell:.{_DIGITS}g}") if isinstance(cell, float) else cell


def _json(value: Any, depth: int = 0) -> str:
    """JSON with line breaks down to depth `_ROW_DEPTH`, so that each row of a table is one line."""
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
