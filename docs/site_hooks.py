"""What the site needs beyond the pages in docs/: the pages at the top of the repository, and links that fit.

README, CONTRIBUTING, RELEASING and CHANGELOG stay where people look for them, and become pages of the site.
Links are written for the repository, where a reader may follow them into the code; the site holds no code, so
there such a link becomes its plain text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# File at the top of the repository -> page of the site.
TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "RELEASING.md": "releasing.md",
    "CHANGELOG.md": "changelog.md",
}
# What the site has no page of -> where it tells of it.
TOLD_ELSEWHERE = {
    "NOTICE": "licences.md",
    "LICENSE": "licences.md",
    "docs/examples": "quickstart.md#from-python",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def site_link(target: str, here: str) -> str | None:
    """A link of the repository as the site has it; None where the site has nothing of the kind.

    Args:
        target: as written, relative to the file it stands in.
        here: that file's path from the root of the repository.
    """
    if re.match(r"[a-z]+:|#", target):
        return target
    path, _, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
    page = TOP_PAGES.get(path) or TOLD_ELSEWHERE.get(path)
    if page is None and path.startswith("docs/"):
        page = path.removeprefix("docs/")
    if page is None:
        return None
    return f"{page}#{anchor}" if anchor else page


def site_text(text: str, here: str) -> str:
    """A page with its links as the site has them; pages of the site all lie in one folder."""

    def link(match: re.Match[str]) -> str:
        target = site_link(match[3], here)
        return match[2] if target is None else f"{match[1]}[{match[2]}]({target})"

    return _LINK.sub(link, text)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from the top of the repository."""
    for source, page in TOP_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=site_text(text, source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fits the links of every other page."""
    if page.file.src_uri in TOP_PAGES.values():
        return markdown
    return site_text(markdown, f"docs/{page.file.src_uri}")
