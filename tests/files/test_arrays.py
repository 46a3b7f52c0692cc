"""NumPy files: the same arrays as NumPy's reader gives, and refusals before memory is taken."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from crowd3d.errors import DataError
from crowd3d.files.arrays import checked, load_array, load_arrays

kinds = st.sampled_from(
    [np.dtype(kind) for kind in ("<f8", ">f4", "<i8", ">u2", "?", "<U3", "S2", "<c16")]
)


@given(
    kinds.flatmap(
        lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=0, min_side=0))
    ),
    st.booleans(),
    st.booleans(),
)
def test_arrays_are_those_of_numpys_reader(tmp_path_factory, array, is_fortran, is_packed):
    path = tmp_path_factory.mktemp("a") / "a.npz"
    (np.savez_compressed if is_packed else np.savez)(
        path, a=np.asarray(array, order="F" if is_fortran else "C")
    )
    found = load_arrays(path)["a"]
    with np.load(path) as stored:
        assert found.dtype == stored["a"].dtype and found.shape == stored["a"].shape
        assert found.tobytes() == stored["a"].tobytes()


def test_an_archive_that_unpacks_to_gigabytes_is_refused_unread(tmp_path):
    with zipfile.ZipFile(tmp_path / "people.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.npy", "w") as stream:
            np.lib.format.write_array_header_1_0(
                stream, {"descr": "|u1", "fortran_order": False, "shape": (3 * 10**7,)}
            )
            for _ in range(30):
                stream.write(bytes(10**6))
    assert (tmp_path / "people.npz").stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(DataError, match="unpacked it has 30 MB, more than 20"):
        load_arrays(tmp_path / "people.npz", most_bytes=20_000_000)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert load_arrays(tmp_path / "people.npz", names={"b"}, most_bytes=0) == {}


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(118 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


GOOD = "{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npy(GOOD.replace("(4,)", "(4611686018427387904,)")), "too short for"),
        (npy(GOOD.replace("(4,)", f"({10**30}, {10**30})")), "too short for"),
        (npy(GOOD.replace("(4,)", "(-4,)")), "damaged"),
        (npy(GOOD.replace(", }", "")), "damaged"),  # a header that is not closed
        (npy("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "(" * 60), "damaged"),
        (npy(GOOD, bytes(16)), "too early|too short"),
        (npy(GOOD.replace("<f8", "<m8"), bytes(32)), "neither numbers nor texts"),
        (npy(GOOD.replace("'<f8'", "[('a', '<f8')]"), bytes(32)), "neither numbers"),
        (npy(GOOD.replace("<f8", "|O"), bytes(32)), "pickled objects"),
        (b"\x93NUMPY\x09\x00" + bytes(50), "damaged"),
        (b"", "damaged"),
        (b"PK\x03\x04 a zip", "an archive of several arrays"),
        (npy(GOOD, np.array([1, 2, np.nan, 4.0]).tobytes()), "not finite"),
        (npy(GOOD, np.array([1, 2, 1e300, 4.0]).tobytes()), r"beyond 1e\+15"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, content, says):
    (tmp_path / "ground.npy").write_bytes(content)
    with pytest.raises(DataError, match=says):
        load_array(tmp_path / "ground.npy", (4,), "the ground")


def test_packings_that_take_memory_of_their_own_are_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.ones(4))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", buffer.getvalue())
    with pytest.raises(DataError, match="packed in a way"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "odd", ["1", ["1", "2"], [None, 1], [[1], [1, 2]], [10**30, 1], {}, [1j, 2], [True, "a"]]
)
def test_what_is_no_number_is_not_made_one(odd):
    with pytest.raises(
        DataError, match=r"here holds something else than numbers|here has the shape"
    ):
        checked(odd, (2,), "here")


def test_lists_of_different_lengths_are_not_taken_for_none():
    with pytest.raises(DataError, match="something else than numbers"):
        checked([[1], [1, 2]], (-1,), "here")
    assert checked([], (-1,), "here").shape == (0,)
