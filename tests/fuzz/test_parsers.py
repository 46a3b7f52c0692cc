"""No parser ends in anything but its own kind of error, whatever the file holds.

A few seconds each in the suite, by the same seed; `make soak` gives each a minute. A file that fails is kept
where the message says.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest
from fuzz.targets import Target, targets

import optim
import tiling
from crowd3d.errors import Crowd3dError

SECONDS = float(os.environ.get("CROWD3D_FUZZ_SECONDS", "2.5"))
EXPECTED = (Crowd3dError, tiling.TilingError, optim.OptimError)
TARGETS = {target.name: target for target in targets()}
_SLOW_S = 10.0


@pytest.mark.parametrize("name", TARGETS)
def test_good_files_are_read(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    for number, content in enumerate(target.good):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            target.read(content, folder)
        except EXPECTED as error:
            assert name == "pickle", error  # no file is a body and a table of numbers


@pytest.mark.parametrize("name", TARGETS)
def test_spoiled_files_end_in_words(name: str, tmp_path: Path) -> None:
    tried, refused = spoil(
        TARGETS[name], tmp_path, SECONDS, seed=int(os.environ.get("CROWD3D_FUZZ_SEED", "18"))
    )
    print(f"{name}: {tried} files, {refused} refused")
    assert tried > 0


def spoil(target: Target, tmp_path: Path, seconds: float, seed: int) -> tuple[int, int]:
    """Read spoiled files for so long; how many were tried, and how many refused."""
    rng = random.Random(f"{target.name} {seed}")
    folder, kept = tmp_path / "work", tmp_path / "failed"
    tried = refused = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        content = target.mutate(rng.choice(target.good), rng)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        kept.write_bytes(content)  # before it is read: it may end the process
        begin = time.monotonic()
        try:
            target.read(content, folder)
        except EXPECTED as error:
            refused += 1
            line = str(error)
            assert line and "\n" not in line and len(line) < 1000, (
                f"no readable line: {line!r}; {kept}"
            )
        except Exception as error:
            raise AssertionError(f"{target.name} failed on {kept}: {error!r}") from error
        assert time.monotonic() - begin < _SLOW_S, f"{target.name} is slow on {kept}"
        tried += 1
    return tried, refused
