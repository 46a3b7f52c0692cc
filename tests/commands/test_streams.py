"""Standard output and errors that are closed, full, or have a reader that goes away."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from helpers.paths import ROOT

from crowd3d.cli import main

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """A command line that has `$CROWD3D` in it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CROWD3D": f"{sys.executable} -m crowd3d"}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=env, timeout=120
    )


def test_a_full_disk_behind_standard_output_is_said():
    run = shell("$CROWD3D models list >/dev/full")
    assert run.returncode == 3
    assert run.stderr == "crowd3d: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_trouble(closed, tmp_path):
    run = shell(f"$CROWD3D models list {closed}")
    assert run.returncode == 0 and run.stderr == ""
    run = shell(f"$CROWD3D data check {tmp_path} {closed}")
    assert run.returncode == 2 and "Traceback" not in run.stdout + run.stderr


def test_errors_that_nobody_can_read_keep_their_code(tmp_path):
    assert shell(f"$CROWD3D data check {tmp_path} 2>/dev/full").returncode == 2


def test_a_reader_that_has_enough_gets_no_traceback():
    run = shell("$CROWD3D models list | true; exit ${PIPESTATUS[0]}")
    assert run.returncode in (0, 3) and run.stderr == ""  # 0 if all was written before


def test_no_device_of_that_kind(tmp_path):
    for name in ("foo", "meta", "cpu:x", ""):
        run = shell(
            f"$CROWD3D reconstruct {ROOT}/docs/demo/plaza.jpg -o {tmp_path}/out --device '{name}'"
        )
        assert run.returncode == 2 and f"no device is called '{name}'" in run.stderr
        assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--camera", "--keypoints", "--model", "--config"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, option):
    """Opening a pipe without a writer waits for ever, and reading /dev/zero never ends."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    for name, kind in (("pipe.yaml", "a pipe"), ("zero.yaml", "a device")):
        picture = str(ROOT / "docs" / "demo" / "plaza.jpg")
        arguments = [picture, "-o", str(tmp_path / "out"), option, str(tmp_path / name)]
        run = CliRunner().invoke(main, ["reconstruct", *arguments])
        assert run.exit_code == 2 and f"it is {kind}, not a file" in run.stderr, run.output
    assert not (tmp_path / "out" / "scene.json").exists()
