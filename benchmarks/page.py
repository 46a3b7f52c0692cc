"""Make docs/benchmarks.md from benchmarks/results/*.json: python benchmarks/page.py"""

from __future__ import annotations

from pathlib import Path

import click

from crowd3d.files import atomic
from shared.results import Result, read_all
from shared.sections import INTRODUCTION, SECTIONS, Section

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def page(results: dict[str, Result]) -> str:
    """The whole page, Markdown."""
    parts = [INTRODUCTION, *(section_text(section, results) for section in SECTIONS)]
    return "\n\n".join(parts) + "\n"


def section_text(section: Section, results: dict[str, Result]) -> str:
    """A heading, the sentences before, every table, the sentences after."""
    tables = [result_text(results[name]) for name in section.results]
    parts = [f"## {section.title}", section.before, *tables, section.after]
    return "\n\n".join(part for part in parts if part)


def result_text(result: Result) -> str:
    """The tables of one command and where they come from."""
    source = f"`{result.command}`, version {result.version}, {result.date}; {result.machine}."
    return "\n\n".join([*(table.markdown() for table in result.tables), source])


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=PAGE, help="Another file.")
def main(out: Path) -> None:
    atomic.write_text(out, page(read_all()))


if __name__ == "__main__":
    main()
