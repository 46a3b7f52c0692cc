"""A few dozen of the odd pictures of `corpus.py`, in this process: read, or refused in one line."""

import importlib.util
from pathlib import Path

import pytest

import tiling

_spec = importlib.util.spec_from_file_location("corpus", Path(__file__).with_name("corpus.py"))
assert _spec is not None and _spec.loader is not None
corpus = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(corpus)

SOUND = corpus.sound(96)


@pytest.mark.parametrize("name", SOUND)
def test_odd_pictures_are_read_or_refused_in_one_line(tmp_path: Path, name: str) -> None:
    for seed in range(2):
        for how, content in [("sound", SOUND[name]), *corpus.odd(SOUND[name], seed)]:
            path = tmp_path / f"{how}_{name}"
            path.write_bytes(content)
            for damaged in (False, True):
                try:
                    with tiling.open_image(path, damaged=damaged) as source:
                        assert source.thumbnail(32).shape[2] == 3
                        assert damaged or source.damage is None
                except tiling.TilingError as error:
                    assert how != "sound", f"{how}: {error}"
                    assert "\n" not in str(error) and name in str(error)


def test_a_fault_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "sound_a.png").write_bytes(SOUND["plain.png"][:50])
    assert corpus.verdict(tmp_path / "sound_a.png").startswith("fault: sound, but refused")
    (tmp_path / "cut_a.png").write_bytes(SOUND["plain.png"][:50])
    assert corpus.verdict(tmp_path / "cut_a.png") == "refused"
    (tmp_path / "sound_b.png").write_bytes(SOUND["plain.png"])
    assert corpus.verdict(tmp_path / "sound_b.png") == "read"
