"""Each example in docs/examples runs as it is, and says what it promises."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.paths import ROOT

FOLDER = ROOT / "docs" / "examples"
# Example -> what its output must hold, on a small picture with 23 people.
SAYS = {
    "01_reconstruct.py": ("people", "m above the ground", "statures"),
    "02_known_camera.py": ("fitted: focal length", "given : focal length", "kept exactly: True"),
    "03_own_poses.py": ("all of them yours", "2D poses come from: own 2D poses"),
    "04_uncertainty.py": ("one standard deviation is", "with 90 % between"),
    "05_body_swap.py": ("now in 'stand_in.npz'", "poses are the same: True"),
    "06_batch.py": ("exit code 2", "torn.jpg: failed", "panorama.jpg:"),
}


def test_all_examples_are_here():
    assert sorted(SAYS) == sorted(path.name for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", SAYS)
def test_example(name, small_picture):
    command = [sys.executable, str(FOLDER / name), str(small_picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for words in SAYS[name]:
        assert words in done.stdout, done.stdout


@pytest.mark.parametrize("name", SAYS)
def test_an_example_says_first_what_it_shows(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert text.startswith('"""') and "Shows:" in text.split('"""')[1]
    assert f"docs/examples/{name} [PICTURE" in text
