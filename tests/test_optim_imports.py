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


def test_importing_optim_loads_neither_tiling_nor_crowd3d():
    code = (
        "import sys, optim; "
        "sys.exit(bool({'tiling', 'crowd3d', 'torch'} & {m.split('.')[0] for m in sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, check=True)


def test_every_error_is_an_optim_error():
    for name in ("BadInput", "FitFailed", "NotEnoughPeople"):
        assert issubclass(getattr(optim, name), optim.OptimError)
