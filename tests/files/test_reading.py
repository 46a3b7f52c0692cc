"""Only regular files are opened, and no more is read than a file of its kind can have."""

import os

import pytest

from crowd3d.errors import CameraError, Crowd3dError, DataError, one_line, printable
from crowd3d.files.reading import read_bytes, read_text


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    for path, kind in (
        (tmp_path / "pipe", "a pipe"),
        ("/dev/zero", "a device"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(CameraError, match=f"it is {kind}, not a file"):
            read_text(path, CameraError)
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(DataError, match="a pipe"):
        read_bytes(tmp_path / "link")
    with pytest.raises(DataError, match="No such file"):
        read_bytes(tmp_path / "none")
    with pytest.raises(DataError, match="null"):
        read_bytes("a\x00b")


def test_no_more_is_read_than_may_be(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 2000)
    assert len(read_bytes(tmp_path / "a", most_bytes=2000)) == 2000
    with pytest.raises(DataError, match=r"more than 0\.001999 MB"):
        read_bytes(tmp_path / "a", most_bytes=1999)


def test_texts_are_utf_8_with_or_without_a_mark(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(tmp_path / "a") == "{}"
    (tmp_path / "b").write_bytes("{}".encode("utf-16"))
    with pytest.raises(DataError, match="not UTF-8 text; save it again"):
        read_text(tmp_path / "b")


def test_messages_are_one_printable_line():
    assert printable("caf\udce9 \x1b[31m\n") == r"caf\xe9 \x1b[31m\n"
    assert printable("plain é 人") == "plain é 人" and printable("\ud800") == r"\ud800"
    long = one_line("a" * 5000 + "\nwhat to do")
    assert len(long) < 620 and long.endswith("what to do") and "[...]" in long
    assert str(Crowd3dError("two\nlines")) == "two lines" and one_line(long) == long
