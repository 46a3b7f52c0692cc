"""MATLAB files: the same values as SciPy's reader gives, and no crash on those that are altered."""

import io
import struct

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from crowd3d.errors import DataError
from crowd3d.files.matlab import load_mat

kinds = st.sampled_from([np.dtype(kind) for kind in ("f8", "f4", "i1", "u2", "i4", "u8", "?")])
shapes = arrays_of.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=4)


def saved(path, values, **options):
    scipy.io.savemat(path, values, **options)
    return path


@given(kinds.flatmap(lambda kind: arrays_of.arrays(kind, shapes)), st.booleans())
def test_numbers_are_those_of_scipys_reader(tmp_path_factory, array, is_packed):
    path = saved(tmp_path_factory.mktemp("m") / "a.mat", {"a": array}, do_compression=is_packed)
    found, expected = load_mat(path)["a"], scipy.io.loadmat(path)["a"]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_cells_structs_and_texts(tmp_path):
    cells = np.empty((2, 3), object)
    for place in np.ndindex(2, 3):
        cells[place] = {"sum": sum(place), "name": "ab", "inner": {"x": np.eye(2)}}
    cells[1, 2] = np.zeros((0, 0))
    found = load_mat(saved(tmp_path / "a.mat", {"cells": cells, "b": 5.0}))
    assert found["b"].item() == 5 and found["cells"].shape == (2, 3)
    assert found["cells"][1, 2].shape == (0, 0)
    record = found["cells"][1, 1].item()
    assert record["sum"].item() == 2 and "".join(record["name"].ravel()) == "ab"
    assert record["inner"].item()["x"].tolist() == [[1, 0], [0, 1]]


def test_every_byte_of_a_file_may_be_altered(tmp_path):
    """SciPy's reader ends the process on some of these."""
    buffer = io.BytesIO()
    cells = np.empty((1, 1), object)
    cells[0, 0] = {"annot2": np.ones((2, 3)), "isValidFrame": 1}
    scipy.io.savemat(buffer, {"annotations": cells})
    content, refused = buffer.getvalue(), 0
    for at in range(128, len(content)):
        for bit in (1, 8, 128):
            altered = bytearray(content)
            altered[at] ^= bit
            (tmp_path / "a.mat").write_bytes(altered)
            try:
                load_mat(tmp_path / "a.mat")
            except DataError:
                refused += 1
    assert refused > 200


def _element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def _matrix(kind, shape, content):
    flags, dims = (
        _element(6, struct.pack("<II", kind, 0)),
        _element(5, struct.pack(f"<{len(shape)}i", *shape)),
    )
    return _element(14, flags + dims + _element(1, b"a") + content)


@pytest.mark.parametrize(
    ("element", "says"),
    [
        (_matrix(6, (2**10, 2**10), _element(9, bytes(8))), "1 numbers for the shape"),
        (_matrix(6, (2**30, 2**30), _element(9, bytes(8))), "too many numbers"),
        (_matrix(1, (2**20, 2**20), b""), "a cell or struct of the shape"),
        (_matrix(6, (-1, 1), _element(9, bytes(8))), "no kind or shape"),
        (_matrix(5, (1, 1), _element(9, bytes(8))), "neither numbers, text, cell nor struct"),
        (_matrix(2, (1, 1), _element(5, bytes(4)) + _element(1, b"x")), "has no names"),
        (_matrix(4, (1, 1), _element(9, bytes(8))), "letters of the type float64"),
        (_matrix(4, (1, 1), _element(1, b"\xff")), "letters of the type int8"),
        (
            _element(14, _element(9, struct.pack("<2d", np.nan, 0)) + _element(5, bytes(8)) * 2),
            "no kind or shape",
        ),
        (struct.pack("<II", 14, 2**31), "an element of 2147483648 bytes"),
        (_element(9, bytes(8)), "where an array belongs"),
        (_element(15, b"no zlib"), "damaged"),
    ],
)
def test_sizes_that_lie_are_refused(tmp_path, element, says):
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "a.mat").write_bytes(header + element)
    with pytest.raises(DataError, match=says):
        load_mat(tmp_path / "a.mat")


def test_cells_in_cells_in_cells_are_refused(tmp_path):
    inner = _matrix(6, (1, 1), _element(9, bytes(8)))
    for _ in range(20):
        inner = _matrix(1, (1, 1), inner)
    (tmp_path / "a.mat").write_bytes(b"".ljust(124) + b"\x00\x01IM" + inner)
    with pytest.raises(DataError, match="nested too deeply"):
        load_mat(tmp_path / "a.mat")
