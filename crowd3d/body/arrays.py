"""Reads and checks the arrays of a body in the SMPL file layout. Never runs code found in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crowd3d.body.tree import N_BETAS, N_JOINTS
from crowd3d.errors import BodyError, DataError
from crowd3d.files.arrays import checked, load_arrays

Array = npt.NDArray[np.float64]
Values = Mapping[str, npt.NDArray[np.generic]]

_NEEDED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
_OPTIONAL = ("posedirs", "coco_regressor", "h36m_regressor", "stature", "vt", "ft")
_CSC = tuple(f"J_regressor_{key}" for key in ("data", "indices", "indptr", "shape"))
# Models of the same family by their numbers of vertices and joints.
_RELATIVES = (
    ("SMPL-H", 6890, 52),
    ("SMPL-X", 10475, 55),
    ("MANO", 778, 16),
    ("FLAME", 5023, 5),
    ("SMAL", 3889, 33),
)
_STAR_CORRECTIVES = 93
# SMPL's own mesh: the vertices of nose, left eye, right eye, left ear, right ear, and the joints
# that stand for the other twelve COCO keypoints.
SMPL_VERTICES = 6890
_SMPL_FACE = (332, 2800, 6260, 583, 4071)
_SMPL_LIMBS = (16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8)


@dataclass(frozen=True)
class BodyArrays:
    """One body model. Metres; regressors act on vertices.

    Attributes:
        v_template: (V, 3); shapedirs: (V, 3, 10); posedirs: (V, 3, 207) or None.
        j_regressor: (24, V); weights: (V, 24); parents: (24,); faces: (F, 3).
        coco_regressor, h36m_regressor: (17, V) or None.
        uv, uv_faces: (T, 2) texture coordinates and (F, 3) their index per corner, or None.
        stature: (11,) mean stature and its change per beta, or None to take it from the template.
    """

    v_template: Array
    shapedirs: Array
    j_regressor: Array
    weights: Array
    parents: npt.NDArray[np.int64]
    faces: npt.NDArray[np.int64]
    posedirs: Array | None = None
    coco_regressor: Array | None = None
    h36m_regressor: Array | None = None
    stature: Array | None = None
    uv: Array | None = None
    uv_faces: npt.NDArray[np.int64] | None = None

    def joint_directions(self) -> Array:
        """(24, 3, 10) how the joints follow the shape."""
        return np.asarray(np.einsum("jv,vxb->jxb", self.j_regressor, self.shapedirs, optimize=True))

    def stature_directions(self) -> Array:
        """(11,) stature of the template, and its change per beta: highest minus lowest vertex."""
        if self.stature is not None:
            return self.stature
        height = self.v_template[:, 1]
        top, sole = int(height.argmax()), int(height.argmin())
        slope = self.shapedirs[top, 1] - self.shapedirs[sole, 1]
        return np.concatenate([[height[top] - height[sole]], slope])


def read_npz(path: str | Path) -> BodyArrays:
    """Read a body in the SMPL layout from an `.npz` without pickles.

    Raises:
        BodyError: the file is missing, damaged, holds pickles, or is not in the SMPL layout.
    """
    names = {*_NEEDED, *_OPTIONAL, *_CSC}
    values = load_arrays(Path(path), BodyError, names, converter="crowd3d models convert-smpl")
    check_members(values, str(path))
    return check(values, str(path))


def check_members(values: Values, source: str) -> None:
    """Raises BodyError if an array of the layout is missing, or they are of another model than SMPL."""
    refuse_relatives(values, source)
    present = {*values, *(["J_regressor"] if values.keys() >= {*_CSC} else [])}
    missing = [key for key in _NEEDED if key not in present]
    if missing:
        raise BodyError(f"{source} is not in the SMPL layout: it has no {', '.join(missing)}")


def refuse_relatives(values: Values, source: str) -> None:
    """Raises BodyError for models of the same family whose joints or correctives are not SMPL's, by name."""
    sizes = [np.shape(values.get(key, ())) for key in ("v_template", "kintree_table", "posedirs")]
    vertices, joints = (sizes[0] or (0,))[0], (sizes[1] or (0,))[-1]
    name = next((name for name, *of in _RELATIVES if (vertices, joints) == tuple(of)), None)
    if name is None and sizes[2][-1:] == (_STAR_CORRECTIVES,):
        name = "STAR"
    if name is not None:
        raise BodyError(
            f"{source} is a {name} model, whose parameters are not SMPL's; give a plain SMPL file of 24 "
            "joints and 6890 vertices, such as SMPL_NEUTRAL.pkl or basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl "
            "of smpl.is.tue.mpg.de, or do without --body"
        )


def dense_of_csc(parts: Values, shape: tuple[int, int], source: str) -> Array:
    """A matrix stored as compressed sparse columns (scipy's `csc_matrix`), with every index checked.

    Args:
        parts: `data`, `indices` (rows) and `indptr` (where each column begins).

    Raises:
        BodyError: an index that is none of the matrix, or arrays that do not fit together.
    """
    rows, columns = shape
    data = _floats(parts["data"], (-1,), f"{source}: data")
    row = _whole(parts["indices"], (-1,), f"{source}: indices", rows)
    starts = _whole(parts["indptr"], (columns + 1,), f"{source}: indptr", len(data) + 1)
    fits = len(row) == len(data) == starts[-1] and starts[0] == 0 and (np.diff(starts) >= 0).all()
    if not fits:
        raise BodyError(f"{source}: the arrays of the sparse matrix do not fit together")
    dense = np.zeros(shape)
    np.add.at(dense, (row, np.repeat(np.arange(columns), np.diff(starts))), data)
    return dense


def _floats(values: object, shape: tuple[int, ...], where: str) -> Array:
    try:
        return checked(values, shape, where)
    except DataError as error:
        raise BodyError(str(error)) from None


def _whole(values: object, shape: tuple[int, ...], where: str, below: int) -> npt.NDArray[np.int64]:
    """Whole numbers of 0 .. below - 1."""
    numbers = _floats(values, shape, where)
    if numbers.size and not (0 <= numbers.min() and numbers.max() < below):
        raise BodyError(f"{where} names something outside 0..{below - 1}")
    if (numbers != np.floor(numbers)).any():
        raise BodyError(f"{where} holds numbers that are not whole")
    return numbers.astype(np.int64)


def check(values: Values, source: str) -> BodyArrays:
    """SMPL-layout arrays by their usual names -> BodyArrays; BodyError on any contradiction.

    The joint regressor may come as `J_regressor`, or in the parts of a sparse matrix, `J_regressor_data` ...
    """

    def floats(key: str, shape: tuple[int, ...]) -> Array:
        return _floats(values[key], shape, f"{source}: {key}")

    def maybe(key: str, shape: tuple[int, ...]) -> Array | None:
        return floats(key, shape) if key in values else None

    template = floats("v_template", (-1, 3))
    v = len(template)
    if not v:
        raise BodyError(f"{source} has no vertices")
    shapedirs = floats("shapedirs", (v, 3, -1))
    if shapedirs.shape[2] < N_BETAS:
        raise BodyError(f"{source}: {shapedirs.shape[2]} shape directions, {N_BETAS} are needed")
    faces = _whole(values["f"], (-1, 3), f"{source}: a face in f", v)
    if not len(faces):
        raise BodyError(f"{source} has no faces")
    weights = floats("weights", (v, N_JOINTS))
    if np.abs(weights.sum(axis=1) - 1).max(initial=0.0) > 1e-2 or weights.min(initial=0.0) < -1e-6:
        raise BodyError(f"{source}: skinning weights are negative or do not sum to one")
    arrays = BodyArrays(
        template,
        shapedirs[:, :, :N_BETAS],
        _j_regressor(values, v, source),
        weights,
        _parents(floats("kintree_table", (2, N_JOINTS))[0], source),
        faces,
        maybe("posedirs", (v, 3, 9 * (N_JOINTS - 1))),
        maybe("coco_regressor", (17, v)),
        maybe("h36m_regressor", (17, v)),
        maybe("stature", (1 + N_BETAS,)),
        *_texture(values, len(faces), source),
    )
    return _with_smpl_keypoints(arrays)


def _j_regressor(values: Values, n_vertices: int, source: str) -> Array:
    shape = N_JOINTS, n_vertices
    if "J_regressor" in values:
        return _floats(values["J_regressor"], shape, f"{source}: J_regressor")
    where = f"{source}: J_regressor"
    stored = _floats(values["J_regressor_shape"], (2,), f"{where}_shape")
    if tuple(stored) != shape:
        raise BodyError(f"{where} has the shape {stored[0]:g} x {stored[1]:g}, expected {shape}")
    parts = {key: values[f"J_regressor_{key}"] for key in ("data", "indices", "indptr")}
    return dense_of_csc(parts, shape, where)


def _texture(
    values: Values, n_faces: int, source: str
) -> tuple[Array | None, npt.NDArray[np.int64] | None]:
    if "vt" not in values or "ft" not in values:
        return None, None
    uv = _floats(values["vt"], (-1, 2), f"{source}: vt")
    return uv, _whole(values["ft"], (n_faces, 3), f"{source}: ft", len(uv))


def _parents(row: Array, source: str) -> npt.NDArray[np.int64]:
    parents = row.astype(np.int64)
    parents[0] = -1  # stored as 2^32 - 1 in the original files
    if (parents[1:] < 0).any() or (parents[1:] >= np.arange(1, N_JOINTS)).any():
        raise BodyError(f"{source}: kintree_table is not a tree whose parents come first")
    return parents


def _with_smpl_keypoints(arrays: BodyArrays) -> BodyArrays:
    """Official SMPL files bring no COCO regressor; its mesh is known, so one is made."""
    if arrays.coco_regressor is not None or len(arrays.v_template) != SMPL_VERTICES:
        return arrays
    face = np.zeros((len(_SMPL_FACE), SMPL_VERTICES))
    face[range(len(_SMPL_FACE)), _SMPL_FACE] = 1.0
    coco = np.concatenate([face, arrays.j_regressor[list(_SMPL_LIMBS)]])
    return BodyArrays(**{**vars(arrays), "coco_regressor": coco})
