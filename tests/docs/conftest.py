"""What the tests of the documentation share: a small picture with people, and the fenced blocks of pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest
from helpers.paths import DEMO, ROOT

SMALL = (slice(150, 650), slice(500, 1500))  # rows and columns of the bundled picture: 23 people


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text."""

    page: str
    line: int
    language: str
    text: str


@pytest.fixture(scope="session")
def small_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1000 x 500 px of the bundled picture, with people of 40 to 90 px."""
    path = tmp_path_factory.mktemp("small") / "panorama.jpg"
    cv2.imwrite(str(path), cv2.imread(str(DEMO))[SMALL])
    return path


def pages() -> list[str]:
    """Every page of the documentation, by its path in the repository."""
    top = ("README.md", "CONTRIBUTING.md", "RELEASING.md")
    below = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
    return [*top, *below]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order; those in lists lose their indentation."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^( *)```(.*)\n((?:.*\n)*?)\1```$", text, flags=re.MULTILINE):
        indent, language, body = match.groups()
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        number = text[: match.start()].count("\n") + 1
        found.append(Block(page, number, language.split(" ")[0], "\n".join(lines)))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a `page` runs once for each."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", pages())


@pytest.fixture
def page_blocks(page: str) -> list[Block]:
    """The fenced blocks of the page under test."""
    return blocks(page)
