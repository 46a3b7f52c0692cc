"""Who may import whom."""

import ast

import pytest
from helpers.paths import ROOT

FORBIDDEN = {"tiling": {"optim", "crowd3d", "torch"}, "optim": {"tiling", "crowd3d"}}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_do_not_know_what_is_above_them(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            roots = {name.split(".")[0] for name in names}
            assert not roots & FORBIDDEN[package], (
                f"{path.name} imports {roots & FORBIDDEN[package]}"
            )
