"""The truth that scorers read: any data set, a synthetic picture's `truth.npz`, or folders of those."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crowd3d.data.truth import GHOST_BELOW, DataSet, FrameTruth
from crowd3d.errors import DataError
from crowd3d.files.arrays import FloatArray, checked, load_arrays
from crowd3d.scene.plane import Plane

BoolArray = npt.NDArray[np.bool_]
Frames = dict[str, FrameTruth]
TRUTH_FILE = "truth.npz"
_NEEDED = ("keypoints_px", "boxes_px", "torso_m", "hvip_m", "hvip_px", "pose", "betas", "transl_m")


def read_truth(source: str | Path | DataSet | FrameTruth | Mapping[str, FrameTruth]) -> Frames:
    """Frames by the name of their picture.

    Args:
        source: a data set that `crowd3d.data.load` reads; a `truth.npz` of `crowd3d synth`, its folder, or a
            folder of such folders or files; or what is in memory already.

    Raises:
        DataError: missing, of no known format, or malformed; names file and member.
    """
    if isinstance(source, DataSet):
        return source.frames
    if isinstance(source, FrameTruth):
        return {source.image_name: source}
    if isinstance(source, Mapping):
        return dict(source)
    path = Path(source)
    files = _synthetic_files(path)
    if files:
        return {frame.image_name: frame for frame in map(read_synthetic, files)}
    from crowd3d import data

    return data.load(path).frames


def read_synthetic(file: Path) -> FrameTruth:
    """One `truth.npz`, whose picture is `image.jpg` beside it or the `.jpg` of its own name.

    Raises:
        DataError: missing or malformed.
    """
    arrays = load_arrays(file)
    missing = [key for key in (*_NEEDED, "joints_m", "image_size") if key not in arrays]
    if missing:
        raise DataError(f"{file} has no {', '.join(missing)}; is it the truth of `crowd3d synth`?")
    n = len(checked(arrays["boxes_px"], (-1, 4), f"{file}: boxes_px", finite=False))
    is_alone = file.name == TRUTH_FILE
    name = f"{file.parent.name}/image.jpg" if is_alone else f"{file.stem}.jpg"
    frame = FrameTruth.unknown(name, file.parent.name, n)
    for key in (*_NEEDED, "joints_m"):
        shape = (n, *getattr(frame, key).shape[1:])
        setattr(frame, key, checked(arrays[key], shape, f"{file}: {key}", finite=False))
    frame.body = "open"
    width, height = (int(v) for v in checked(arrays["image_size"], (2,), f"{file}: image_size"))
    frame.size = (width, height)
    if {"focal_px", "center_px"} <= arrays.keys():
        f = float(checked(arrays["focal_px"], (), f"{file}: focal_px"))
        cx, cy = checked(arrays["center_px"], (2,), f"{file}: center_px")
        frame.K = np.array([[f, 0, cx], [0, f, cy], [0, 0, 1]])
    if {"normals", "offsets_m"} <= arrays.keys():
        normals = checked(arrays["normals"], (-1, 3), f"{file}: normals")
        offsets = checked(arrays["offsets_m"], (len(normals),), f"{file}: offsets_m")
        frame.planes = [Plane(m, float(d)) for m, d in zip(normals, offsets, strict=True)]
    if "visibility" in arrays:
        frame.kind = _kinds(checked(arrays["visibility"], (n,), f"{file}: visibility"))
    return frame


def _kinds(visible_share: FloatArray) -> list[str]:
    """Who is all but hidden is a ghost, whom nobody need find; the limit is that of synthetic annotations."""
    return ["ghost" if share < GHOST_BELOW else "normal" for share in visible_share]


def _synthetic_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".npz" and "hvip_m" in load_arrays(path) else []
    if not path.is_dir() or (path / "annotations").is_dir():
        return []
    alone = path / TRUTH_FILE
    if alone.is_file():
        return [alone]
    found = [*path.glob(f"*/{TRUTH_FILE}"), *path.glob("*.npz"), *path.glob("*/*.npz")]
    found = [f for f in dict.fromkeys(found) if f.name != "people.npz"]
    if not found or "hvip_m" not in load_arrays(found[0]):
        return []
    return sorted(found)


def is_asked(frame: FrameTruth) -> BoolArray:
    """(N,) who has to be found: annotated with keypoints, neither a ghost nor ignored."""
    known = np.isfinite(frame.keypoints_px[..., :2].sum(axis=2))
    ghost = np.array([kind == "ghost" for kind in frame.kind], bool)
    return np.asarray(known.any(axis=1) & ~ghost & ~frame.is_ignored)


def counted_keypoints(keypoints_px: FloatArray) -> BoolArray:
    """(N, 17, 3) -> (N, 17) the seen keypoints; of someone of whom none is seen, all that are located."""
    located = np.isfinite(keypoints_px[..., :2]).all(axis=2)
    seen = located & (keypoints_px[..., 2] > 1)
    return np.asarray(np.where(seen.any(axis=1, keepdims=True), seen, located))


def areas_px2(frame: FrameTruth) -> FloatArray:
    """(N,) the area OKS is scaled by: the data set's own, or that of the box."""
    own = frame.values.get("area_px2")
    if own is not None:
        return np.asarray(own, np.float64)
    return np.asarray(np.prod(frame.boxes_px[:, 2:] - frame.boxes_px[:, :2], axis=1))
