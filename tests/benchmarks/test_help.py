"""Every benchmark explains itself from the root of the repository."""

import runpy
import subprocess
import sys

import pytest
from helpers.paths import ROOT

SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_says_what_it_does(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    assert end.value.code == 0
    said = capsys.readouterr().out
    first = script.read_text(encoding="utf-8").removeprefix('"""').splitlines()[0]
    assert " ".join(first.split()[:5]) in " ".join(said.split())
    assert f"benchmarks/{script.name}" in said


def test_they_run_as_scripts():
    """In a process of its own, where nothing has prepared the imports."""
    command = [sys.executable, "benchmarks/ground_camera.py", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--save" in done.stdout
