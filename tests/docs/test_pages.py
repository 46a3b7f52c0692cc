"""What pages claim about the repository: links, files, messages, commands; and that the site builds."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

import crowd3d

CODE = ("crowd3d", "tiling", "optim")


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", _text(page), flags=re.S)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in _anchors(there.read_text(encoding="utf-8")), f"{page}: {target}"


def test_files_that_are_named_exist(page):
    for path in re.findall(
        r"`((?:crowd3d|tiling|optim|tests|benchmarks|docs)/[\w./-]+)`", _text(page)
    ):
        assert (ROOT / path).exists(), f"{page} names {path}"


def test_readme_is_short_and_its_numbers_have_commands():
    readme = _text("README.md")
    assert len(readme.splitlines()) <= 120
    assert "docs/how_it_works.md" in readme and "docs/demo/result.jpg" in readme
    table = readme.split("## Numbers")[1].split("##")[0]
    rows = [row.split("|")[1:-1] for row in table.splitlines() if row.startswith("| ")][1:]
    assert 0 < len(rows) <= 10
    for _, _, command in rows:
        assert "`" in command or command.strip() == "the same"
        for script in re.findall(r"benchmarks/\w+\.py|tests/\w+", command):
            assert (ROOT / script).exists(), script


def test_what_is_where():
    """`name` in [file](path) on the page of how it works: the file defines that name."""
    page = _text("docs/how_it_works.md")
    table = page.split("## Where to look")[1].split("##")[0]
    claims = re.findall(r"`(\w+)`(?: and `(\w+)`)? (?:of|in) \[[^]]*\]\(\.\./([\w/.]+)\)", page)
    assert len([row for row in table.splitlines() if row.startswith("| ")]) == 1 + 10
    assert len(claims) >= 6
    for *names, path in claims:
        code = _text(path)
        for name in filter(None, names):
            assert re.search(rf"((def|class) {name}\b|^{name}\b.*=)", code, flags=re.MULTILINE), (
                name,
                path,
            )
    # The scale that becomes a body's height.
    assert "optim.place_people(" in _text("crowd3d/lift/standing.py")


def test_the_page_of_commands_is_what_the_command_line_says():
    made = runpy.run_path(str(ROOT / "docs" / "make_commands.py"))["page"]()
    assert _text("docs/commands.md") == made, "run: python docs/make_commands.py"


def _code() -> str:
    """All source text, strings that Python joins put together, and values in them left out."""
    files = sorted(file for package in CODE for file in (ROOT / package).rglob("*.py"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_every_message_stands_in_the_code():
    code = _code()
    cells = re.findall(r"^\| (`.*?`[^|]*) \|", _text("docs/troubleshooting.md"), flags=re.MULTILINE)
    assert len(cells) > 40
    for cell in cells:
        for message in re.findall(r"`([^`]+)`", cell):
            assert message in code, message


def test_the_api_page_names_what_is_public():
    named = set(re.findall(r"^::: (\S+)$", _text("docs/api.md"), flags=re.MULTILINE))
    for name in crowd3d.__all__:
        assert name.startswith("__") or f"crowd3d.{name}" in named, name


def test_weights_are_told_of():
    told, notice = _text("docs/licences.md"), _text("NOTICE")
    for file in (ROOT / "crowd3d" / "weights").glob("*.safetensors"):
        assert f"`{file.stem}`" in told, file.name
        assert file.name in notice, file.name


def test_drawings_are_whole():
    for drawing in (ROOT / "docs" / "img").glob("*.svg"):
        text = drawing.read_text(encoding="utf-8")
        assert text.rstrip().endswith("</svg>") and "<title" in text
        assert "prefers-color-scheme: dark" in text
        assert "http" not in text.replace("http://www.w3.org/", ""), "a drawing loads nothing"


def test_the_site_builds_without_a_warning(tmp_path: Path):
    pytest.importorskip("mkdocs", reason="needs the extra `docs`")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "How it works" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_notice_names_files_that_are_there():
    named = re.findall(r"^- ((?:crowd3d|docs)/\S+?):", (ROOT / "NOTICE").read_text("utf-8"), re.M)
    named += re.findall(r"crowd3d/[\w/]+\.py", _text("NOTICE"))
    assert named
    for path in named:
        assert list(ROOT.glob(path.rstrip(",:"))), f"NOTICE: {path}"
