"""SIGTERM, as a cluster or a shutdown sends it: the program ends at once and leaves nothing half-written."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
main(["write"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGTERM")
def test_nothing_half_written_is_left(tmp_path):
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
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 128 + signal.SIGTERM and said == ""
    assert list(Path(out).iterdir()) == [] and time.monotonic() - begin < 20
