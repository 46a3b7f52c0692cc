"""Reads and checks the arrays of a body in the SMPL file layout. Never runs code found in a file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crowd3d.body.tree import N_BETAS, N_JOINTS
from crowd3d.errors import BodyError

Array = npt.NDArray[np.float64]

_NEEDED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
_OPTIONAL = ("posedirs", "coco_regressor", "h36m_regressor", "stature", "vt", "ft")
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
    try:
        with np.load(path, allow_pickle=False) as stored:
            present = set(stored.files)
            missing = [k for k in _NEEDED if k not in present and f"{k}_data" not in present]
            if missing:
                raise BodyError(f"{path} is not in the SMPL layout: it has no {', '.join(missing)}")
            names = [k for k in (*_NEEDED, *_OPTIONAL) if k in present]
            values = {k: stored[k] for k in names}
            if "J_regressor" not in present:
                values["J_regressor"] = _from_csc(stored)
    except OSError as error:
        raise BodyError(f"cannot read the body {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if "pickle" in str(error).lower() or "Object arrays" in str(error):
            raise BodyError(
                f"{path} holds pickled objects; convert the original once with "
                "`crowd3d models convert-smpl FILE`"
            ) from None
        raise BodyError(f"{path} is damaged or not an .npz: {error}") from None
    return check(values, str(path))


def _from_csc(stored: np.lib.npyio.NpzFile) -> npt.NDArray[np.generic]:
    """A sparse regressor stored as scipy's compressed columns under J_regressor_*."""
    from scipy.sparse import csc_matrix

    parts = tuple(stored[f"J_regressor_{key}"] for key in ("data", "indices", "indptr"))
    shape = tuple(int(n) for n in stored["J_regressor_shape"])
    dense: npt.NDArray[np.generic] = csc_matrix(parts, shape=shape).toarray()
    return dense


def check(values: dict[str, npt.NDArray[np.generic]], source: str) -> BodyArrays:
    """SMPL-layout arrays by their usual names -> BodyArrays; BodyError on any contradiction."""

    def floats(key: str, shape: tuple[int, ...]) -> Array:
        array = np.asarray(values[key])
        fits = array.ndim == len(shape) and all(
            want in (-1, got) for got, want in zip(array.shape, shape, strict=True)
        )
        if not fits or not np.issubdtype(array.dtype, np.number):
            raise BodyError(f"{source}: {key} is {array.dtype} {array.shape}, expected {shape}")
        result = array.astype(np.float64)
        if not np.isfinite(result).all():
            raise BodyError(f"{source}: {key} holds values that are not finite")
        return result

    def maybe(key: str, shape: tuple[int, ...]) -> Array | None:
        return floats(key, shape) if key in values else None

    template = floats("v_template", (-1, 3))
    v = len(template)
    shapedirs = floats("shapedirs", (v, 3, -1))
    if shapedirs.shape[2] < N_BETAS:
        raise BodyError(f"{source}: {shapedirs.shape[2]} shape directions, {N_BETAS} are needed")
    faces = floats("f", (-1, 3)).astype(np.int64)
    if faces.size and not (0 <= faces.min() and faces.max() < v):
        raise BodyError(f"{source}: a face names a vertex outside 0..{v - 1}")
    weights = floats("weights", (v, N_JOINTS))
    if np.abs(weights.sum(axis=1) - 1).max(initial=0.0) > 1e-2 or weights.min(initial=0.0) < -1e-6:
        raise BodyError(f"{source}: skinning weights are negative or do not sum to one")
    arrays = BodyArrays(
        template,
        shapedirs[:, :, :N_BETAS],
        floats("J_regressor", (N_JOINTS, v)),
        weights,
        _parents(floats("kintree_table", (2, N_JOINTS))[0], source),
        faces,
        maybe("posedirs", (v, 3, 9 * (N_JOINTS - 1))),
        maybe("coco_regressor", (17, v)),
        maybe("h36m_regressor", (17, v)),
        maybe("stature", (1 + N_BETAS,)),
        *_texture(maybe("vt", (-1, 2)), maybe("ft", (len(faces), 3)), source),
    )
    return _with_smpl_keypoints(arrays)


def _texture(
    uv: Array | None, corners: Array | None, source: str
) -> tuple[Array | None, npt.NDArray[np.int64] | None]:
    if uv is None or corners is None:
        return None, None
    index = corners.astype(np.int64)
    if index.size and not (0 <= index.min() and index.max() < len(uv)):
        raise BodyError(f"{source}: ft names a texture coordinate outside 0..{len(uv) - 1}")
    return uv, index


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
