"""docs/benchmarks.md is what page.py makes of the results."""

from string import Template

import page
import pytest
from shared.results import Result, Table, read_all


def test_the_page_is_made_of_the_results():
    made = page.page(page.SENTENCES.read_text(encoding="utf-8"), read_all())
    assert page.PAGE.read_text(encoding="utf-8") == made, "run: python benchmarks/page.py"


def test_every_result_stands_on_the_page_once():
    names = Template.pattern.findall(page.SENTENCES.read_text(encoding="utf-8"))
    assert sorted(name for _, name, _, _ in names) == sorted(read_all())


def test_tables_come_with_their_command_and_version():
    table = Table({"what": "{}", "s": "{:.1f}"}, [["this", 0.25]])
    result = Result("x", "python benchmarks/x.py", "1.2.3", "2026-12", "a machine", [table])
    made = page.page("before $x after", {"x": result})
    assert "| this | 0.2 |" in made
    assert "`python benchmarks/x.py`, version 1.2.3, 2026-12; a machine." in made
    with pytest.raises(KeyError):
        page.page("$y", {"x": result})
