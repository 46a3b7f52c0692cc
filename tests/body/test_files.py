"""Reading and converting body files: layouts, damage, and pickles that must not run."""

import io
import os
import pickle
import pickletools

import numpy as np
import pytest
import scipy.sparse
import torch

from crowd3d import body
from crowd3d.body.arrays import SMPL_VERTICES
from crowd3d.body.convert import _ChumpyArray, convert_smpl_pickle
from crowd3d.body.tree import PARENTS
from crowd3d.errors import BodyError


def layout(n: int = 40, seed: int = 0) -> dict[str, np.ndarray]:
    """A random body in the official layout."""
    rng = np.random.default_rng(seed)
    weights = rng.random((n, 24))
    return {
        "v_template": rng.normal(size=(n, 3)),
        "shapedirs": rng.normal(size=(n, 3, 10)),
        "posedirs": 0.01 * rng.normal(size=(n, 3, 207)),
        "J_regressor": rng.random((24, n)) / n,
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": np.array([(2**32 - 1, *PARENTS[1:]), range(24)], dtype=np.int64),
        "f": rng.integers(0, n, (60, 3)).astype(np.uint32),
    }


def pose_and_betas():
    generator = torch.Generator().manual_seed(0)
    return 0.3 * torch.randn(2, 24, 3, generator=generator), torch.randn(2, 10, generator=generator)


def test_dense_and_sparse_regressors_load_alike(tmp_path):
    values = layout()
    np.savez(tmp_path / "dense.npz", **values)
    sparse = scipy.sparse.csc_matrix(values.pop("J_regressor"))
    np.savez(
        tmp_path / "sparse.npz",
        J_regressor_data=sparse.data,
        J_regressor_indices=sparse.indices,
        J_regressor_indptr=sparse.indptr,
        J_regressor_shape=sparse.shape,
        **values,
    )
    pose, betas = pose_and_betas()
    a = body.load(tmp_path / "dense.npz")(pose, betas)
    b = body.load(tmp_path / "sparse.npz")(pose, betas)
    assert torch.equal(a.vertices, b.vertices) and torch.equal(a.joints, b.joints)


def test_more_shape_directions_are_cut_to_ten(tmp_path):
    values = layout()
    np.savez(tmp_path / "ten.npz", **values)
    extra = np.random.default_rng(1).normal(size=(40, 3, 290))
    values["shapedirs"] = np.concatenate([values["shapedirs"], extra], axis=2)
    np.savez(tmp_path / "many.npz", **values)
    assert torch.equal(
        body.load(tmp_path / "ten.npz").shapedirs, body.load(tmp_path / "many.npz").shapedirs
    )


def test_smpls_own_mesh_gets_coco_keypoints(tmp_path):
    values = layout(SMPL_VERTICES)
    del values["posedirs"]
    np.savez(tmp_path / "smpl.npz", **values)
    model = body.load(tmp_path / "smpl.npz")
    vertices = model(torch.zeros(1, 24, 3), torch.zeros(1, 10)).vertices
    points = model.keypoints(vertices)[0]
    for row, vertex in enumerate((332, 2800, 6260, 583, 4071)):
        assert torch.allclose(points[row], vertices[0, vertex], atol=1e-5)
    for row, joint in zip(range(5, 17), (16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8), strict=True):
        assert torch.allclose(points[row], model.j_template[joint], atol=1e-4)


def test_an_unknown_mesh_has_no_keypoints(tmp_path):
    np.savez(tmp_path / "b.npz", **layout())
    model = body.load(tmp_path / "b.npz")
    with pytest.raises(BodyError, match="coco"):
        model.keypoints(torch.zeros(1, 40, 3))


@pytest.mark.parametrize(
    "key, value, word",
    [
        ("weights", np.ones((40, 24)), "sum to one"),
        ("weights", np.ones((40, 23)), "weights"),
        ("f", np.array([[0, 1, 40]]), "face"),
        ("v_template", np.full((40, 3), np.nan), "finite"),
        ("shapedirs", np.zeros((40, 3, 4)), "shape directions"),
        ("kintree_table", np.array([(-1, *range(1, 24)), range(24)]), "tree"),
        ("J_regressor", np.zeros((24, 39)), "J_regressor"),
        ("v_template", np.array(["a"] * 40), "v_template"),
    ],
)
def test_contradictions_are_named(tmp_path, key, value, word):
    np.savez(tmp_path / "bad.npz", **(layout() | {key: value}))
    with pytest.raises(BodyError, match=word):
        body.load(tmp_path / "bad.npz")


def test_a_body_is_read_once_and_belongs_to_whoever_asked():
    with torch.inference_mode():
        first = body.load("open", "crowd")
    second = body.load("open", "crowd")
    assert first is not second
    assert first.v_template.data_ptr() == second.v_template.data_ptr()
    first.double()
    assert first.v_template.dtype == torch.float64 and second.v_template.dtype == torch.float32
    betas = torch.zeros(1, 10, requires_grad=True)
    second.rest_vertices(betas).sum().backward()
    assert betas.grad is not None and body.load("open", "crowd").v_template.dtype == torch.float32


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path = tmp_path / "b.npz"
    np.savez(path, **layout())
    before = body.load(path).v_template
    np.savez(path, **layout() | {"v_template": 2 * layout()["v_template"]})
    os.utime(path, ns=(0, 0))
    torch.testing.assert_close(body.load(path).v_template, 2 * before)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(BodyError, match="cannot read"):
        body.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(BodyError):
        body.load(tmp_path / "text.npz")
    np.savez(tmp_path / "whole.npz", **layout())
    content = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(BodyError):
        body.load(tmp_path / "half.npz")
    values = layout()
    del values["f"], values["weights"]
    np.savez(tmp_path / "less.npz", **values)
    with pytest.raises(BodyError, match="weights, f"):
        body.load(tmp_path / "less.npz")


def test_names_and_levels():
    with pytest.raises(BodyError, match="level"):
        body.load("open", "tiny")
    with pytest.raises(BodyError, match="open"):
        body.load("smpl")


def test_a_pickle_is_not_read(tmp_path):
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "boom")))
    with pytest.raises(BodyError, match="convert-smpl"):
        body.load(tmp_path / "SMPL_NEUTRAL.pkl")
    np.savez(tmp_path / "hidden.npz", **layout(), posedirs_=np.array([Bomb("x")], dtype=object))
    values = layout() | {"J_regressor": np.array([Bomb(tmp_path / "boom")], dtype=object)}
    np.savez(tmp_path / "bomb.npz", **values)
    with pytest.raises(BodyError, match="convert-smpl"):
        body.load(tmp_path / "bomb.npz")
    assert not (tmp_path / "boom").exists()


class Bomb:
    """Runs a shell command when unpickled by anything careless."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def chumpy_pickle(values: dict, protocol: int) -> bytes:
    """The bytes of a pickle whose arrays claim to be chumpy's, like the original SMPL files."""
    stream = io.BytesIO()
    pickle.dump(values, stream, protocol=protocol)
    ours = f"{_ChumpyArray.__module__}\n{_ChumpyArray.__name__}\n".encode()
    return stream.getvalue().replace(b"c" + ours, b"cchumpy.ch\nCh\n")


@pytest.mark.parametrize("protocol", [0, 2])
def test_conversion_round_trip(tmp_path, protocol):
    values = layout()
    stored = dict(values)
    stored["J_regressor"] = scipy.sparse.csc_matrix(values["J_regressor"])
    stored["bs_type"] = "lrotmin"
    for key in ("shapedirs", "v_template"):
        stored[key] = _ChumpyArray()
        stored[key].state = {"x": values[key]}
    content = chumpy_pickle({k: wrap(v) for k, v in stored.items()}, protocol)
    assert b"chumpy.ch" in content
    (tmp_path / "smpl.pkl").write_bytes(content)
    written = convert_smpl_pickle(tmp_path / "smpl.pkl", tmp_path)
    assert written == tmp_path / "smpl.npz"
    np.savez(tmp_path / "direct.npz", **values)
    pose, betas = pose_and_betas()
    a, b = body.load(written)(pose, betas), body.load(tmp_path / "direct.npz")(pose, betas)
    assert torch.allclose(a.vertices, b.vertices, atol=1e-6)


def wrap(value):
    return Stateful(value.state) if isinstance(value, _ChumpyArray) else value


class Stateful:
    """Pickles as a chumpy array with this state."""

    def __init__(self, state):
        self.state = state

    def __reduce__(self):
        return (_ChumpyArray, (), self.state)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(lambda p: pickle.dumps(Bomb(p)), id="os.system"),
        pytest.param(lambda p: pickle.dumps({"v_template": Bomb(p)}), id="inside"),
        pytest.param(
            lambda p: f"cbuiltins\neval\n(V__import__('os').system('touch {p}')\ntR.".encode(),
            id="eval",
        ),
        pytest.param(
            lambda p: (
                f"cnumpy.testing._private.utils\nrunstring\n(Vopen('{p}','w')\n}}tR.".encode()
            ),
            id="numpy-runstring",
        ),
        pytest.param(lambda p: b"cnumpy\nload\n(Vx\ntR.", id="numpy.load"),
        pytest.param(lambda p: b"cbuiltins\ngetattr\n(cnumpy\nndarray\nVsize\ntR.", id="getattr"),
        pytest.param(lambda p: b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.__a\x93.", id="dotted"),
        pytest.param(lambda p: b"not a pickle", id="noise"),
        pytest.param(lambda p: b"", id="empty"),
        pytest.param(lambda p: pickle.dumps([1, 2]), id="list"),
        pytest.param(lambda p: pickle.dumps({"f": [1, 2]}), id="few"),
    ],
)
def test_restricted_unpickler_refuses(tmp_path, payload):
    boom = tmp_path / "boom"
    (tmp_path / "bad.pkl").write_bytes(payload(boom))
    with pytest.raises(BodyError):
        convert_smpl_pickle(tmp_path / "bad.pkl", tmp_path / "out.npz")
    assert not boom.exists() and not (tmp_path / "out.npz").exists()


def test_the_bomb_is_real(tmp_path):
    """So that the refusals above can fail: the payload does name the system's shell."""
    names = [arg for _, arg, _ in pickletools.genops(pickle.dumps(Bomb(tmp_path / "boom")))]
    assert "system" in names


def sparse_file(path, **changes):
    """A body whose regressor is in compressed columns, with some of its arrays changed."""
    values = layout()
    sparse = scipy.sparse.csc_matrix(values.pop("J_regressor"))
    parts = {"data": sparse.data, "indices": sparse.indices, "indptr": sparse.indptr}
    parts |= {"shape": np.array(sparse.shape)} | changes
    np.savez(path, **values, **{f"J_regressor_{key}": part for key, part in parts.items()})
    return path


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("indices", np.full(960, 2_000_000), "indices names something outside 0..23"),
        ("indices", np.full(960, -1), "outside 0..23"),
        ("indices", np.full(960, 0.5), "not whole"),
        ("indptr", np.array([0, 10**9, *[960] * 39]), "outside 0..960"),
        ("indptr", np.array([5, *range(24, 961, 24)]), "do not fit together"),
        ("indptr", np.arange(41), "do not fit together"),
        ("data", np.ones(3), "indptr|fit together"),
        ("data", np.full(960, np.nan), "not finite"),
        ("shape", np.array([24, 10**9]), "has the shape 24 x 1e"),
        ("shape", np.array([24, 40, 1]), "has the shape 3, expected 2"),
    ],
)
def test_sparse_indices_are_checked_before_they_are_used(tmp_path, key, value, says):
    """Scipy's own code would follow them wherever they point."""
    with pytest.raises(BodyError, match=says):
        body.load(sparse_file(tmp_path / "evil.npz", **{key: value}))


@pytest.mark.parametrize(
    ("name", "vertices", "joints"), [("SMPL-H", 6890, 52), ("SMPL-X", 10475, 55), ("MANO", 778, 16)]
)
@pytest.mark.parametrize("is_pickled", [False, True])
def test_relatives_of_smpl_are_named(tmp_path, name, vertices, joints, is_pickled):
    values = {
        "v_template": np.zeros((vertices, 3)),
        "kintree_table": np.zeros((2, joints), np.int64),
        "f": np.zeros((1, 3), np.int64),
    }
    if is_pickled:
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(values, protocol=2))
    else:
        np.savez(tmp_path / "m.npz", **values)
    with pytest.raises(BodyError, match=f"is a {name} model.*give a plain SMPL file of 24 joints"):
        if is_pickled:
            convert_smpl_pickle(tmp_path / "m.pkl", tmp_path / "out.npz")
        else:
            body.load(tmp_path / "m.npz")
    assert not (tmp_path / "out.npz").exists()


def test_what_chumpys_own_getstate_writes_converts(tmp_path):
    """Beside the numbers, a set of names and empty tables; the set is spelled as Python 2 did."""
    values = layout()
    stored = dict(values)
    stored["J_regressor"] = scipy.sparse.csc_matrix(values["J_regressor"])
    stored["shapedirs"] = _ChumpyArray()
    stored["shapedirs"].state = {
        "_dirty_vars": {"x"},
        "_itr": None,
        "_make_dense": False,
        "_depends_on_deps": {},
        "x": values["shapedirs"],
    }
    content = chumpy_pickle({k: wrap(v) for k, v in stored.items()}, 2)
    assert b"c__builtin__\nset\n" in content
    (tmp_path / "smpl.pkl").write_bytes(content)
    written = body.load(convert_smpl_pickle(tmp_path / "smpl.pkl", tmp_path))
    assert torch.allclose(written.shapedirs, torch.from_numpy(values["shapedirs"]).float())
    expected = torch.from_numpy(values["J_regressor"] @ values["v_template"]).float()
    assert torch.allclose(written.j_template, expected, atol=1e-5)


def test_a_sparse_matrix_in_a_pickle_is_checked_too(tmp_path):
    matrix = scipy.sparse.csc_matrix(layout()["J_regressor"])
    matrix.indices[0] = 2_000_000_000
    (tmp_path / "smpl.pkl").write_bytes(
        pickle.dumps(layout() | {"J_regressor": matrix}, protocol=2)
    )
    with pytest.raises(BodyError, match="indices names something outside"):
        convert_smpl_pickle(tmp_path / "smpl.pkl", tmp_path / "out.npz")
