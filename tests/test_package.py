"""The wheel, installed into an empty environment, brings everything that a run needs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    build = subprocess.run(command, capture_output=True, text=True)
    assert build.returncode == 0, build.stderr[-2000:]
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_presets_weights_and_bodies(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "crowd3d/configs/presets/default.yaml",
        "crowd3d/configs/recipes/lift.yaml",
        "crowd3d/weights/crowd3d-s.safetensors",
        "crowd3d/weights/lift.safetensors",
        "crowd3d/body/open_crowd.npz",
        "crowd3d/py.typed",
        "tiling/source.py",
        "optim/ground/ground_camera.py",
    ):
        assert wanted in names
    assert not [n for n in names if n.startswith(("configs/", "tests/", "benchmarks/"))]


def test_the_installed_command_runs_outside_the_checkout(wheel, tmp_path):
    environment = tmp_path / "venv"
    # Dependencies are those of this environment: what is tested is the wheel, not the registry.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    site = next((environment / "lib").glob("python*")) / "site-packages"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True)
    here = Path(next(p for p in sys.path if p.endswith("site-packages")))
    (site / "dependencies.pth").write_text(f"{here}\n")
    script = (
        "import crowd3d, crowd3d.config as c; from crowd3d import body, lift, models;"
        "print(crowd3d.__file__); print(c.preset_names()); models.build(); lift.load(); body.load()"
    )
    python = environment / "bin" / "python"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run(
        [python, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=clean
    )
    assert run.returncode == 0, run.stderr
    assert str(site) in run.stdout and "accurate" in run.stdout
    cli = subprocess.run(
        [python, "-m", "crowd3d", "reconstruct", "nowhere.jpg", "-o", "out"],
        capture_output=True, text=True, cwd=tmp_path, env=clean,
    )  # fmt: skip
    assert cli.returncode == 2 and "nowhere.jpg" in cli.stderr
