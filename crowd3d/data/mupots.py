"""MuPoTS-3D: `TS1/annot.mat` ... `TS20/annot.mat`, and the component papers' `MuPoTS-3D.json`.

`annotations` is a cell array of frames by people, each a struct with `annot2` (2 x 17 pixels), `annot3` and
`univ_annot3` (3 x 17 millimetres, camera frame; the second normalised to one height) and `isValidFrame`. An
`occlusion.mat` beside it says which joints are hidden.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.data.coco import by_image, new_frame
from crowd3d.data.folders import natural_key
from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.errors import DataError
from crowd3d.files.arrays import checked
from crowd3d.files.located_json import Node, begins_with
from crowd3d.files.matlab import load_mat

# Place of each joint from left shoulder to right ankle among COCO's, and the four of the torso.
_COCO = {5: 5, 6: 2, 7: 6, 8: 3, 9: 7, 10: 4, 11: 11, 12: 8, 13: 12, 14: 9, 15: 13, 16: 10}
_TORSO = [2, 5, 8, 11]
_MM = 1e-3


def recognises(path: Path) -> bool:
    """Whether a path looks like MuPoTS."""
    return bool(_files(path)) or begins_with(path, '"intrinsic"')


def load(path: str | Path) -> DataSet:
    """All frames of the sequences below a folder, of one `annot.mat`, or of the JSON file.

    Frames of `.mat` files are named `TS1/img_000000.jpg`. People in invalid frames are ignored.

    Raises:
        DataError: names the file and the key, frame and person of the first mistake.
    """
    path = Path(path)
    if path.suffix == ".json":
        return _load_json(path)
    files = _files(path)
    if not files:
        raise DataError(f"{path} has no TS*/annot.mat")
    frames: dict[str, FrameTruth] = {}
    for file in files:
        frames |= _read_sequence(file)
    return DataSet("mupots", frames)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.name == "annot.mat" else []
    found = [*path.glob("annot.mat"), *path.glob("TS*/annot.mat")]
    return sorted(found, key=lambda file: natural_key(file.parent.name))


def _read_sequence(file: Path) -> dict[str, FrameTruth]:
    cells = _cells(file, "annotations")
    hidden_file = file.with_name("occlusion.mat")
    hidden = _cells(hidden_file, "occlusion_labels") if hidden_file.is_file() else None
    if hidden is not None and hidden.shape != cells.shape:
        raise DataError(
            f"{hidden_file}: occlusion_labels is {hidden.shape}, annotations {cells.shape}"
        )
    scene = file.parent.name
    frames = {}
    for t, row in enumerate(cells):
        name = f"{scene}/img_{t:06d}.jpg"
        frame = FrameTruth.unknown(name, scene, len(row), "mupots17")
        universal = np.zeros((len(row), 17, 3))
        for i, cell in enumerate(row):
            where = f"{file}: annotations{{{t + 1},{i + 1}}}"
            points, joints, universal[i], valid = _person(cell, where)
            frame.joints_m[i] = joints
            shut = np.zeros(17) if hidden is None else _flags(hidden[t, i], hidden_file, t, i)
            for coco, ours in _COCO.items():
                frame.keypoints_px[i, coco] = (*points[ours], 1.0 if shut[ours] else 2.0)
            frame.boxes_px[i] = (*points.min(axis=0), *points.max(axis=0))
            frame.is_ignored[i] = not valid
        frame.torso_m = frame.joints_m[:, _TORSO].mean(axis=1)
        frame.values["universal_joints_m"] = universal
        frames[name] = frame
    return frames


def _cells(file: Path, key: str) -> npt.NDArray[Any]:
    """(frames, people) objects of a cell array."""
    variables = load_mat(file)
    if key not in variables:
        raise DataError(f"{file} has no {key!r}")
    cells = variables[key]
    if cells.dtype != object or cells.ndim != 2:
        raise DataError(f"{file}: {key} is no cell array of frames by people")
    return np.asarray(cells)


def _person(cell: Any, where: str) -> tuple[Any, Any, Any, bool]:
    """2D (17, 2) pixels, 3D and universal 3D (17, 3) metres, and whether the frame counts."""
    record = cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else None
    if not isinstance(record, dict):
        raise DataError(f"{where} is no struct")
    missing = {"annot2", "annot3", "univ_annot3", "isValidFrame"} - set(record)
    if missing:
        raise DataError(f"{where} has no {', '.join(sorted(missing))}")
    points = checked(record["annot2"], (2, 17), f"{where}.annot2").T
    joints, universal = (
        checked(record[k], (3, 17), f"{where}.{k}").T * _MM for k in ("annot3", "univ_annot3")
    )
    return points, joints, universal, bool(np.any(record["isValidFrame"]))


def _flags(cell: Any, file: Path, t: int, i: int) -> npt.NDArray[np.float64]:
    return checked(np.ravel(cell), (17,), f"{file}: occlusion_labels{{{t + 1},{i + 1}}}")


def _load_json(path: Path) -> DataSet:
    """`MuPoTS-3D.json` of the component papers, with intrinsics."""
    frames = {}
    for image, people in by_image(Node.read(path)):
        frame = new_frame(image, people, "mupots17")
        fx, fy, cx, cy = image["intrinsic"].array(4)
        frame.K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        for i, person in enumerate(people):
            frame.joints_m[i] = person["keypoints_cam"].array(17, 3) * _MM
            points, seen = person["keypoints_img"].array(17, 2), person["keypoints_vis"].array(17)
            for coco, ours in _COCO.items():
                frame.keypoints_px[i, coco] = (*points[ours], 2.0 if seen[ours] else 1.0)
            valid = person.get("is_valid")
            frame.is_ignored[i] |= valid is not None and not valid.value
        frame.torso_m = frame.joints_m[:, _TORSO].mean(axis=1)
        frames[frame.image_name] = frame
    return DataSet("mupots", frames)
