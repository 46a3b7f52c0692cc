"""Nothing heavy is loaded before it is needed, and every public name is there all the same."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest
from helpers.paths import ROOT

from crowd3d.cli import main

HEAVY = {"torch", "cv2", "pyvips", "scipy", "shapely", "ray"}


def _loaded(code: str) -> set[str]:
    """Which heavy packages a fresh Python holds after some code."""
    listed = (
        f"{code}\nimport sys\nprint(*{HEAVY!r} & {{name.split('.')[0] for name in sys.modules}})"
    )
    run = subprocess.run(
        [sys.executable, "-c", listed], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


def _commands(command: click.Command = main, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command with its way from the top: (), ("data",), ("data", "check"), ..."""
    found = [path]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found += _commands(command.get_command(context, name), (*path, name))
    return found


def test_import_of_the_package_is_light() -> None:
    assert _loaded("import crowd3d; crowd3d.__version__; dir(crowd3d)") == set()
    assert _loaded("import optim; optim.geometry") == set()
    assert _loaded("import crowd3d; crowd3d.Camera") == set()
    assert "torch" in _loaded("import crowd3d; crowd3d.reconstruct")  # the check can fail


@pytest.mark.parametrize("path", _commands(), ids=" ".join)
def test_help_is_light_and_whole(path: tuple[str, ...]) -> None:
    call = f"from crowd3d.cli import main; main({[*path, '--help']!r}, standalone_mode=False)"
    assert _loaded(call) == set()


def test_first_lines_of_help_fit_a_terminal() -> None:
    for path in _commands():
        command: click.Command = main
        for name in path:
            command = command.get_command(click.Context(command), name)  # type: ignore[attr-defined]
        assert not command.get_short_help_str(60).endswith("..."), path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{path}: {parameter.name} has no help"


NAMES = {
    "crowd3d": "reconstruct Scene Camera Plane People __version__",
    "crowd3d.body": "load BodyModel",
    "crowd3d.models": "build from_official",
    "crowd3d.evaluate": "largecrowd scene_metrics",
    "crowd3d.lift": "load Lift LiftResult",
    "crowd3d.posterior": "sample_people",
    "crowd3d.scene": "Camera People Plane Scene",
    "crowd3d.config": "Config load preset_names",
    "crowd3d.synth": "render_scene synthesize",
    "crowd3d.data": "load",
    "crowd3d.export": "write_all FILES",
    "tiling": "open_image plan_tiles ImageSource",
    "optim": "fit_ground_camera GroundCameraFit refine_scene place_people",
}


def test_public_names_are_there_in_both_ways() -> None:
    lines = ["import crowd3d, optim, tiling"]
    for module, names in NAMES.items():
        top, _, inner = module.partition(".")
        if inner:  # what an earlier line has imported on its way does not count
            lines += [f"vars({top}).pop({inner!r}, None)", f"from {top} import {inner}"]
            lines += [f"vars({top}).pop({inner!r}, None)"]
        lines += [f"{module}.{name}" for name in names.split()]
        lines += [f"from {module} import {name}" for name in names.split()]
    _loaded("\n".join(lines))


@pytest.mark.parametrize("module", ["crowd3d", "crowd3d.scene", "optim"])
def test_late_names_are_those_that_type_checkers_see(module: str) -> None:
    package = importlib.import_module(module)
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {
        alias.name: node.module
        for node in imports
        for alias in node.names
        if str(node.module).split(".")[0] == module.split(".")[0]
    }
    assert set(package.__all__) <= set(seen) <= set(dir(package))
    for name, home in seen.items():
        there = importlib.import_module(str(home))
        if not hasattr(there, name):  # a module of its own
            there = importlib.import_module(f"{home}.{name}")
            assert getattr(package, name) is there
        else:
            assert getattr(package, name) is getattr(there, name)
    with pytest.raises(AttributeError, match="no attribute 'misspelt'"):
        package.misspelt  # noqa: B018
    with pytest.raises(ImportError):
        exec(f"from {module} import misspelt")


def test_the_pipeline_loads_no_compiler_of_torch():
    """It takes a second, and nothing here is compiled."""
    code = "import sys, crowd3d.api; print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "False"]
