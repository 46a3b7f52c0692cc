"""Make docs/benchmarks.md from benchmarks/results/*.json: python benchmarks/page.py

The text of the page is in benchmarks/page.md. There, `$body_speed` is replaced by the tables of
results/body_speed.json, and so on.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

import click
from shared.results import Result, read_all

from crowd3d.files import atomic

SENTENCES = Path(__file__).with_suffix(".md")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def page(sentences: str, results: dict[str, Result]) -> str:
    """The whole page in Markdown.

    Raises:
        KeyError: the sentences name a result that does not exist.
    """
    return Template(sentences).substitute({name: tables(r) for name, r in results.items()})


def tables(result: Result) -> str:
    """The tables of one result, followed by the command, version, date and machine."""
    source = f"`{result.command}`, version {result.version}, {result.date}; {result.machine}."
    return "\n\n".join([*(table.markdown() for table in result.tables), source])


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=PAGE, help="Another file.")
def main(out: Path) -> None:
    atomic.write_text(out, page(SENTENCES.read_text(encoding="utf-8"), read_all()))


if __name__ == "__main__":
    main()
