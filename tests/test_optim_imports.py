"""optim stands alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import optim

ROOT = Path(optim.__file__).parent
ALLOWED = {"numpy", "scipy", *sys.stdlib_module_names}


def test_optim_imports_only_numpy_scipy_and_itself():
    for path in sorted(ROOT.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                assert name.split(".")[0] in ALLOWED, f"{path.name} imports {name}"


def _loaded_by(statement: str) -> set[str]:
    """Roots of all modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_optim_loads_neither_tiling_nor_crowd3d():
    assert "optim" in _loaded_by("import optim")
    assert not {"tiling", "crowd3d", "torch"} & _loaded_by("import optim")
    assert "tiling" in _loaded_by("import tiling")  # the check can see what it looks for


def test_every_error_is_an_optim_error():
    errors = [e for e in vars(optim.errors).values() if isinstance(e, type)]
    assert len(errors) >= 4
    assert all(issubclass(e, optim.OptimError) for e in errors)
