"""Pickled arrays are built without trusting what a pickle says of them."""

import pickle

import numpy as np
import pytest

from crowd3d import data
from crowd3d.data.pickles import convert_pickle
from crowd3d.errors import DataError

ARRAYS = {
    "f": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "text": np.array(["ab", "c"]),
    "bytes": np.array([b"ab", b"c"]),
    "flag": np.array([True, False]),
    "none": np.zeros((0, 3)),
    "single": np.array(5, np.uint8),
}


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_out_as_they_went_in(tmp_path, protocol):
    (tmp_path / "a.pkl").write_bytes(
        pickle.dumps(ARRAYS | {"scalar": np.float32(2.5)}, protocol=protocol)
    )
    with np.load(convert_pickle(tmp_path / "a.pkl")) as found:
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        assert found["scalar"] == 2.5


def spoiled(old: bytes, new: bytes) -> bytes:
    content = pickle.dumps({"poses": np.ones((3, 72))}, protocol=2)
    assert content.count(old) == 1
    return content.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"\x02\x00\x00\x00f8", b"\x02\x00\x00\x00m8", "timedelta64, neither numbers nor texts"),
        (b"\x02\x00\x00\x00f8", b"\x02\x00\x00\x00M8", "neither numbers nor texts"),
        (b"\x02\x00\x00\x00f8", b"\x02\x00\x00\x00O8", "another number of them|objects"),
        (b"\x02\x00\x00\x00f8", b"\x02\x00\x00\x00f2", "whose bytes are of another number"),
        (b"\x02\x00\x00\x00f8", b"\x02\x00\x00\x00V8", "neither numbers nor texts"),
        (b"K\x03KH\x86", b"K\x03J\xff\xff\xff\x7f\x86", "whose bytes are of another number"),
        (b"K\x03KH\x86", b"K\x03J\xff\xff\xff\xff\x86", "an array of the shape"),
        (b"\x01\x00\x00\x00<", b"\x01\x00\x00\x00?", "a byte order"),
    ],
)
def test_types_and_shapes_that_were_altered_are_refused(tmp_path, old, new, says):
    """NumPy believes them, and ends the process with a segmentation fault."""
    (tmp_path / "segv.pkl").write_bytes(spoiled(old, new))
    with pytest.raises(DataError, match=says):
        convert_pickle(tmp_path / "segv.pkl")
    assert not (tmp_path / "segv.npz").exists()


def test_a_pickle_of_pickles_that_explodes_is_refused(tmp_path):
    """Each list holds the one before ten times; written out it would be 10^15 numbers."""
    value = [1.0]
    for _ in range(14):
        value = [value] * 10
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps({"a": value}))
    with pytest.raises(DataError, match=r"more than .* arrays"):
        convert_pickle(tmp_path / "bomb.pkl")


def test_a_pickle_is_never_taken_for_a_data_set(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(ARRAYS))
    with pytest.raises(DataError, match="crowd3d data convert"):
        data.load(tmp_path / "a.pkl")


def test_a_pickle_that_remembers_objects_under_huge_numbers_is_refused(tmp_path):
    """Python's unpickler would take 16 bytes for each number up to that: 34 GB."""
    (tmp_path / "bomb.pkl").write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")
    with pytest.raises(DataError, match="remembers an object as number 2147483647"):
        convert_pickle(tmp_path / "bomb.pkl")
