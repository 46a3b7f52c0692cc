"""A journal survives being killed at any byte, and a resumed run ends with the same bytes."""

import errno
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiling
from tiling import Journal, JournalError, Tile, record_key
from tiling.errors import ResourceError

TILE = Tile(1.5, 2.0, 100.0, 100.0, 512, 512, 0, 3, (10.0, 60.0))


def _arrays(k: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(k)
    return {
        "scores": rng.random(k).astype(np.float32),
        "keypoints": rng.random((k, 2, 3)),
        "label": np.array(k),
        "mask": rng.random(3) > 0.5,
    }


def _fill(folder: Path, n: int, **options: Any) -> None:
    with Journal(folder, sync=False, **options) as journal:
        for k in range(n):
            if f"key{k}" not in journal:
                journal.put(f"key{k}", _arrays(k))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _assert_equal(got: dict[str, np.ndarray] | None, expected: dict[str, np.ndarray]) -> None:
    assert got is not None and got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def test_records_return_as_they_were(tmp_path: Path) -> None:
    _fill(tmp_path, 4)
    with Journal(tmp_path) as journal:
        assert len(journal) == 4 and "key9" not in journal and journal.get("key9") is None
        for k in range(4):
            _assert_equal(journal.get(f"key{k}"), _arrays(k))


@pytest.mark.parametrize("name", ["index.jsonl", "arrays.bin"])
def test_cut_at_every_byte_it_resumes_to_the_same_bytes(tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole"
    _fill(whole, 3)
    expected = _bytes(whole)
    for size in range(len(expected[name]) + 1):
        folder = tmp_path / f"{size}"
        folder.mkdir()
        for file, content in expected.items():
            (folder / file).write_bytes(content[:size] if file == name else content)
        with Journal(folder, sync=False) as journal:
            kept = len(journal)
            for k in range(kept):
                _assert_equal(journal.get(f"key{k}"), _arrays(k))
        assert (kept == 3) == (size == len(expected[name]))
        _fill(folder, 3)
        assert _bytes(folder) == expected


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    _fill(whole, 2)
    expected = _bytes(whole)
    for name in ("index.jsonl", "arrays.bin"):
        for position in range(0, len(expected[name]), 3):
            damaged = bytearray(expected[name])
            damaged[position] ^= 0x11
            folder = tmp_path / f"{name}{position}"
            folder.mkdir()
            for file, content in expected.items():
                (folder / file).write_bytes(bytes(damaged) if file == name else content)
            _fill(folder, 2)
            assert _bytes(folder) == expected


def test_a_killed_process_loses_no_finished_record(tmp_path: Path) -> None:
    code = (
        "import os, sys, numpy as np, tiling\n"
        "journal = tiling.Journal(sys.argv[1], sync=False)\n"
        "for k in range(5): journal.put(f'key{k}', {'a': np.arange(k)})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    folder = Path(tiling.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=folder, check=False)
    with Journal(tmp_path) as journal:
        assert len(journal) == 5


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with Journal(tmp_path), pytest.raises(JournalError, match="another process"):
        Journal(tmp_path)
    Journal(tmp_path).close()


def test_a_known_key_is_left_as_it_is(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.put("k", {"a": np.arange(3)})
        journal.put("k", {"a": np.arange(5)})
        _assert_equal(journal.get("k"), {"a": np.arange(3)})


def test_only_plain_numbers_are_recorded(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for array in (np.array([object()]), np.array(["text"])):
            with pytest.raises(JournalError, match="only numbers"):
                journal.put("k", {"a": array})
        assert len(journal) == 0


def test_a_place_that_cannot_hold_a_journal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="no journal"):
        Journal(tmp_path / "file")


def test_keys_depend_on_everything_that_matters() -> None:
    base = record_key("image", [TILE], {"a": 1, "b": [2.5]}, "weights")
    assert base == record_key("image", [TILE], {"b": [2.5], "a": 1}, "weights")
    other = Tile(1.5, 2.5, 100.0, 100.0, 512, 512, 0, 3, (10.0, 60.0))
    changed = {
        record_key("other", [TILE], {"a": 1, "b": [2.5]}, "weights"),
        record_key("image", [other], {"a": 1, "b": [2.5]}, "weights"),
        record_key("image", [TILE], {"a": 2, "b": [2.5]}, "weights"),
        record_key("image", [TILE], {"a": 1, "b": [2.5]}, "others"),
        record_key("image", [TILE, other], {"a": 1, "b": [2.5]}, "weights"),
    }
    assert len(changed | {base}) == 6
    with pytest.raises(JournalError):
        record_key("image", [TILE], {"a": object()}, "weights")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("name", ["lock", "index.jsonl", "arrays.bin", ""])
def test_planted_links_are_not_followed(tmp_path, name):
    precious = tmp_path / "precious"
    folder = tmp_path / "journal"
    if name:
        precious.write_text("mine")
        folder.mkdir()
        (folder / name).symlink_to(precious)
    else:
        precious.mkdir()
        folder.symlink_to(precious)
    with pytest.raises(JournalError, match="is a link; delete it"):
        Journal(folder)
    assert precious.read_text() == "mine" if name else not any(precious.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": [["a", "|O", [5]]]},
        {"arrays": [["a", "<f8", [2**62]]]},
        {"arrays": [["a", "<f8", [-5]]]},
        {"arrays": [["a", "<m8", [5]]]},
        {"arrays": [["a", "nonsense", [5]]]},
        {"arrays": [["a", ",", [5]]]},
        {"arrays": 5},
        {"size": -1},
        {"offset": None},
        {"key": 3},
    ],
)
def test_entries_that_lie_are_cut_off_like_torn_ones(tmp_path, change):
    """Their checksums may be right all the same."""
    with Journal(tmp_path, sync=False) as journal:
        journal.put("a", {"a": np.arange(5.0)})
    line = (tmp_path / "index.jsonl").read_bytes().rpartition(b"\t")[0]
    text = json.dumps(json.loads(line) | change).encode()
    (tmp_path / "index.jsonl").write_bytes(text + b"\t%08x\n" % zlib.crc32(text))
    with Journal(tmp_path, sync=False) as journal:
        assert len(journal) == 0
        journal.put("a", {"a": np.arange(5.0)})
        assert journal.get("a")["a"].tolist() == [0, 1, 2, 3, 4]


def test_a_full_disk_is_the_machines_trouble(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(tmp_path, sync=False) as journal:
        monkeypatch.setattr(journal, "_append", full)
        with pytest.raises(ResourceError, match=f"{tmp_path}.*free some disk there"):
            journal.put("a", {"a": np.arange(5.0)})
