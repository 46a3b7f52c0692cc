"""SIGTERM, as a cluster or a shutdown sends it: the program ends at once and leaves nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crowd3d.files import atomic

# Writes into a folder until it is told to stop.
WRITING = """
import sys, time
from pathlib import Path
import click
from crowd3d.cli import main
from crowd3d.files import atomic

@click.command()
def write():
    with atomic.staged(Path(sys.argv[2])) as stage:
        (stage / "half").write_text("half")
        print("writing", flush=True)
        time.sleep(60)

main.get_command = lambda context, name: write
main(["reconstruct"])
"""


def test_what_a_killed_run_has_left_goes_with_the_next(tmp_path):
    (tmp_path / ".writing-abandoned").mkdir()
    (tmp_path / ".writing-abandoned" / "half").write_text("half")
    with atomic.staged(tmp_path) as held, atomic.staged(tmp_path) as stage:
        assert held.is_dir() and stage != held  # somebody else's that is being written stays
        (stage / "whole").write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["whole"]


def test_no_mix_of_old_and_new_results_is_ever_there(tmp_path, monkeypatch):
    """Killed between any two moves, the folder has no file by which others tell a result."""
    names = ["a.txt", "people.npz", "scene.json", "z.txt"]
    for name in names:
        (tmp_path / name).write_text("old")
    seen = []

    def look(source, target, replace=os.replace):
        seen.append({p.name: p.read_text() for p in tmp_path.iterdir() if p.is_file()})
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    with atomic.staged(tmp_path, last="scene.json") as stage:
        for name in names:
            (stage / name).write_text("new")
    assert len(seen) == 4
    assert all("scene.json" not in files and "old" not in files.values() for files in seen)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == dict.fromkeys(names, "new")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_half_written_is_left(tmp_path, number):
    out = tmp_path / "out"
    run = subprocess.Popen(
        [sys.executable, "-c", WRITING, "write", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None and run.stdout.readline() == "writing\n"
    assert [p.name for p in next(out.iterdir()).iterdir()] == ["half"]
    begin = time.monotonic()
    run.send_signal(number)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 128 + number
    assert said == "crowd3d: stopped; the same command goes on where it was\n"
    assert list(Path(out).iterdir()) == [] and time.monotonic() - begin < 20
