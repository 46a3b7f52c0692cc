"""Tables as text and as files."""

import json

import click
import pytest
from click.testing import CliRunner
from shared import results
from shared.results import Result, Table, cell_text

TABLE = Table(
    {"scenes": "{}", "error m": "{:.2f} -> {:.2f}", "share": "{:.1f} %", "nobody": "{}"},
    [["a", [0.5, 0.25], 12.345678, None], ["b, odd", None, None, None]],
    "two scenes",
)


@pytest.mark.parametrize(
    ("cell", "form", "text"),
    [
        ("as it is", "{:.1f}", "as it is"),
        (0.25, "{:.1f} %", "0.2 %"),
        (1234, "{:,}", "1,234"),
        ([1.0, 2.5], "{:.1f} ({:.2f})", "1.0 (2.50)"),
        (None, "{}", "-"),
        (float("nan"), "{}", "-"),
        ([1.0, None], "{} {}", "-"),
    ],
)
def test_cells(cell, form, text):
    assert cell_text(cell, form) == text


def test_a_column_of_which_nothing_is_known_is_left_out():
    assert TABLE.markdown().splitlines() == [
        "two scenes",
        "",
        "| scenes | error m | share |",
        "|---|---|---|",
        "| a | 0.50 -> 0.25 | 12.3 % |",
        "| b, odd | - | - |",
    ]


def test_files_come_back_with_the_digits_that_count(tmp_path):
    result = Result("x", "python x.py", "1.0", "2026-11", "none", [TABLE])
    results.write(result, tmp_path)
    (again,) = results.read_all(tmp_path).values()
    assert again.tables[0].rows[0][2] == 12.35
    assert again.tables[0].markdown() == TABLE.markdown()
    assert (again.name, again.command, again.date) == ("x", "python x.py", "2026-11")
    lines = (tmp_path / "x.json").read_text(encoding="utf-8").splitlines()
    assert '    ["b, odd", null, null, null]' in lines, "a row a line"


@click.command()
@click.argument("folder", metavar="PETS", type=click.Path())
@click.option("--cache", type=click.Path(), default="cache")
@click.option("--scenes", multiple=True, default=("all",))
@click.option("--weights", type=click.Path())
@click.option("--people", default=3)
@results.save_option
def measuring(**options):
    results.show("measured", [TABLE, Table({"a": "{}"}, [])], save=options["save"])


def run(monkeypatch, tmp_path, *words):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    done = CliRunner().invoke(measuring, words, prog_name="measuring.py", catch_exceptions=False)
    assert TABLE.markdown() in done.output
    return done


def test_nothing_is_written_unasked(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path, "somewhere")
    assert not list(tmp_path.iterdir())


def test_the_command_is_kept_without_anybodys_folders(monkeypatch, tmp_path):
    words = ["my/pets", "--scenes", "low phone", "--weights", "w", "--cache", "c", "--save"]
    run(monkeypatch, tmp_path, *words)
    kept = json.loads((tmp_path / "measured.json").read_text(encoding="utf-8"))
    assert kept["command"] == (
        "python benchmarks/measuring.py PETS --scenes 'low phone' --weights FILE"
    )
    assert len(kept["tables"]) == 1, "an empty table is no result"


def test_committed_results_are_whole():
    for name, result in results.read_all().items():
        assert result.name == name
        assert result.tables
        for table in result.tables:
            assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
