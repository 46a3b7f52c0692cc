"""`tiling` stands on its own: numpy, scipy, shapely and pyvips, nothing of ours and no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import tiling

_FOLDER = Path(tiling.__file__).parent
_ALLOWED = {"numpy", "scipy", "shapely", "pyvips", "tiling"} | set(sys.stdlib_module_names)


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


def test_imports_only_what_the_layer_allows() -> None:
    files = sorted(_FOLDER.glob("*.py"))
    assert len(files) >= 8
    for path in files:
        assert _imported(path) <= _ALLOWED, path.name


def test_importing_tiling_loads_no_other_layer() -> None:
    code = (
        "import sys, tiling; print(sorted({'torch', 'optim', 'crowd3d', 'cv2'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_FOLDER.parent
    )
    assert answer.stdout.strip() == "[]"


def test_public_names_exist() -> None:
    assert sorted(tiling.__all__) == tiling.__all__
    assert all(hasattr(tiling, name) for name in tiling.__all__)
