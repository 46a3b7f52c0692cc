"""Camera and ground of a scene as Crowd3D publishes them: `cam_para.npy`, `ground.npy`, `scene_shape.npy`.

Several planes are rows of `ground.npy`; `mask_0.png`, `mask_1.png`, ... then say where in the picture each one
is the ground (not zero). A picture without masks stands on the first plane everywhere.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import tiling
from crowd3d.errors import CameraError, DataError
from crowd3d.files import atomic
from crowd3d.files.arrays import FloatArray, checked, load_array
from crowd3d.scene.camera import Camera
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.plane import Plane

GROUND, INTRINSICS, SHAPE = "ground.npy", "cam_para.npy", "scene_shape.npy"
_MOST_MASK_PIXELS = 400_000_000  # of one plane
_SAME_FOCAL = 1e-3  # relative difference of fx and fy that counts as none


@dataclass(frozen=True)
class SceneParams:
    """Camera and planes of a scene.

    Attributes:
        K: (3, 3) intrinsic matrix, pixels.
        normals: (P, 3) unit vectors pointing up, camera frame.
        offsets_m: (P,) heights of the camera above them.
        masks: P arrays (H, W), True where the plane is the ground; empty = the first plane everywhere.
        size: width and height of the pictures; None if the files do not tell.
    """

    K: FloatArray
    normals: FloatArray
    offsets_m: FloatArray
    masks: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    size: tuple[int, int] | None = None

    def planes(self) -> list[Plane]:
        """The planes without their regions."""
        return [Plane(n, float(d)) for n, d in zip(self.normals, self.offsets_m, strict=True)]

    def plane_at(self, points_px: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.int64]:
        """(N,) index of the plane at (N, 2) pixels of a picture of that size; -1 where no mask is set."""
        if not self.masks:
            return np.zeros(len(points_px), np.int64)
        found = np.full(len(points_px), -1)
        for index in reversed(range(len(self.masks))):
            height, width = self.masks[index].shape
            scale = np.array([width / size[0], height / size[1]])
            u, v = np.floor(points_px * scale).astype(np.int64).T
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            u, v = np.clip(u, 0, width - 1), np.clip(v, 0, height - 1)
            found[inside & self.masks[index][v, u]] = index
        return found


def read_params(folder: Path) -> SceneParams:
    """Camera and planes of the scene in a folder.

    Plane normals are turned upwards and made unit vectors, as published code does on reading.

    Raises:
        DataError: a file is missing or damaged, or says something that no camera can be.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder} with {GROUND} and {INTRINSICS}")
    K = load_array(folder / INTRINSICS, (3, 3), "the intrinsic matrix")
    _check_intrinsics(K, folder / INTRINSICS)
    # A single plane is stored without the outer dimension.
    path = folder / GROUND
    planes = load_array(path, None, "the ground")
    shape = (4,) if planes.ndim == 1 else (-1, 4)
    planes = checked(planes, shape, f"{path}: the ground").reshape(-1, 4)
    length = np.linalg.norm(planes[:, :3], axis=1)
    if not len(planes) or length.min() < 1e-6:
        raise DataError(f"{path}: no plane in it, or one whose normal is zero")
    planes = planes / length[:, None]
    planes *= np.where(planes[:, 1] > 0, -1.0, 1.0)[:, None]
    if planes[:, 3].min() <= 0:
        bad = int(np.argmin(planes[:, 3]))
        raise DataError(
            f"{path}: plane {bad} lies above the camera (offset {planes[bad, 3]:.3g} m)"
        )
    size = None
    if (folder / SHAPE).is_file():
        width, height = load_array(folder / SHAPE, (2,), "width and height")
        if min(width, height) < 1:
            raise DataError(f"{folder / SHAPE}: a picture of {width:g} x {height:g} px")
        size = (int(width), int(height))
    return SceneParams(K, planes[:, :3], planes[:, 3], _masks(folder, len(planes)), size)


def write_params(folder: Path, params: SceneParams) -> None:
    """Write the files that `read_params` reads; raises OutputError."""
    planes = np.concatenate([params.normals, params.offsets_m[:, None]], axis=1)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        GROUND: planes[0] if len(planes) == 1 else planes,
        INTRINSICS: params.K,
    }
    if params.size is not None:
        arrays[SHAPE] = np.array(params.size, np.int64)
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        atomic.write_bytes(folder / name, buffer.getvalue())
    for index, mask in enumerate(params.masks):
        png = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1]
        atomic.write_bytes(folder / f"mask_{index}.png", png.tobytes())


def read_fitted(folder: Path, size: tuple[int, int]) -> Fitted:
    """The first plane and the camera of a scene, for a picture of (width, height) pixels, taken as exact.

    Raises:
        DataError: as `read_params`, or the files are for pictures of another size.
    """
    params = read_params(folder)
    if params.size not in (None, size):
        raise DataError(f"{folder / SHAPE} says {params.size}, but the pictures have {size} px")
    center = (float(params.K[0, 2]), float(params.K[1, 2]))
    try:
        camera = Camera(*size, float(params.K[0, 0]), center)
    except CameraError as error:
        raise DataError(f"{folder / INTRINSICS}: {error}") from None
    return Fitted(camera, params.planes(), np.zeros((4, 4)), {"focal": "given", "ground": "given"})


def _check_intrinsics(K: FloatArray, path: Path) -> None:
    fx, fy = K[0, 0], K[1, 1]
    if min(fx, fy) <= 0 or abs(fx - fy) > _SAME_FOCAL * fx:
        raise DataError(f"{path}: focal lengths {fx:g} and {fy:g} px; one positive one is expected")
    if np.abs([K[0, 1], K[1, 0], K[2, 0], K[2, 1], K[2, 2] - 1]).max() > 1e-6:
        raise DataError(f"{path} is not of the form [[f, 0, cx], [0, f, cy], [0, 0, 1]]")


def _masks(folder: Path, n_planes: int) -> list[npt.NDArray[np.bool_]]:
    paths = [folder / f"mask_{k}.png" for k in range(n_planes)]
    if not any(path.is_file() for path in paths):
        return []
    return [_mask(path, n_planes) for path in paths]


def _mask(path: Path, n_planes: int) -> npt.NDArray[np.bool_]:
    """Read as pictures are: no format but theirs, and no size that their limits forbid."""
    try:
        with tiling.open_image(path, _MOST_MASK_PIXELS, least_side_px=1) as source:
            return np.asarray(source.read(0, 0, source.width, source.height).max(axis=2) > 0)
    except tiling.TilingError as error:
        raise DataError(f"each of {n_planes} planes needs its mask: {error}") from None
