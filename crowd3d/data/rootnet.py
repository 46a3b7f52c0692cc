"""RootNet's and PoseNet's files: boxes and roots (JSON), joints (`.mat`).

RootNet reads a JSON list of tight boxes and writes one of extended boxes, each with its person's root in the
camera frame. PoseNet reads that and writes `.mat` files of joints by picture. The files do not say whether a
box is tight or extended; it is extended exactly where a root stands beside it, and the type `Box` keeps it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.io

from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.errors import DataError
from crowd3d.files.atomic import write_bytes, write_text
from crowd3d.files.located_json import Node, begins_with
from crowd3d.files.matlab import load_mat
from crowd3d.files.strict_json import dumps
from crowd3d.maths.box import Box

Floats = npt.NDArray[np.float64]
Unit = Literal["mm", "m"]  # of the file: metres for 3DPW, millimetres for all else

_METRES = {"mm": 1e-3, "m": 1.0}
_MAT_HEADER_BYTES = 116  # of free text, in which SciPy writes the time


@dataclass(frozen=True)
class Roots:
    """Boxes with what is known of their people, one row each.

    Attributes:
        image_id: N names or numbers of pictures, as the data set has them.
        boxes: extended if there are roots, tight if not.
        root_m: (N, 3) camera frame; None in a detector's file.
        score: (N,), NaN where the file has none.
        ann_id: N numbers of annotations, or None.
    """

    image_id: list[int | str]
    boxes: Box
    root_m: Floats | None
    score: Floats
    ann_id: list[int] | None = None

    def __len__(self) -> int:
        return len(self.image_id)


def recognises(path: Path) -> bool:
    """Whether a file looks like RootNet's: boxes, with roots or without, and no keypoints."""
    return begins_with(path, '"root_cam"', '"bbox"') and not begins_with(path, '"keypoints"')


def load(path: str | Path, unit: Unit = "mm") -> DataSet:
    """Boxes and roots by picture. The root is the pelvis, joint 0 of `joints_m`; the score is in `values`.

    Extended boxes are larger than their people: they are in `values["extended_px"]` and not in `boxes_px`.

    Raises:
        DataError: as `read_roots`.
    """
    roots = read_roots(path, unit)
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(roots.image_id):
        rows.setdefault(str(image), []).append(row)
    corners_px = roots.boxes.to("xyxy").values
    frames = {}
    for name, of_picture in rows.items():
        frame = FrameTruth.unknown(name, str(Path(name).parent), len(of_picture))
        frame.values["score"] = roots.score[of_picture]
        if roots.root_m is None:
            frame.boxes_px = corners_px[of_picture]
        else:
            frame.values["extended_px"] = corners_px[of_picture]
            frame.joints_m[:, 0] = roots.root_m[of_picture]
        frames[name] = frame
    return DataSet("rootnet", frames)


def read_roots(path: str | Path, unit: Unit = "mm") -> Roots:
    """A file such as `bbox_mupots_output.json` (boxes) or `bbox_root_mupots_output.json` (boxes and roots).

    Args:
        unit: of the roots in the file.

    Raises:
        DataError: missing or malformed; names file, line and member.
    """
    rows = list(Node.read(path))
    with_root = [row.get("root_cam") is not None for row in rows]
    if any(with_root) and not all(with_root):
        rows[with_root.index(False)].fail("no 'root_cam', though other people have one")
    boxes = np.array([row["bbox"].array(4) for row in rows]).reshape(-1, 4)
    for row, box in zip(rows, boxes, strict=True):
        if not (box[2:] > 0).all():
            row["bbox"].fail("an empty box; expected [left, top, width, height]")
    roots = None
    if any(with_root):
        roots = np.array([row["root_cam"].array(3) for row in rows]) * _METRES[unit]
    scores = [row.get("score") for row in rows]
    with_id = [row.get("ann_id") is not None for row in rows]
    return Roots(
        image_id=[_image_id(row["image_id"]) for row in rows],
        boxes=Box(boxes, "xywh", extended=roots is not None),
        root_m=roots,
        score=np.array([np.nan if s is None else s.number() for s in scores]),
        ann_id=[row["ann_id"].integer() for row in rows] if rows and all(with_id) else None,
    )


def write_roots(path: str | Path, roots: Roots, unit: Unit = "mm") -> None:
    """The same file back.

    Raises:
        DataError: roots with tight boxes, or extended boxes without roots, which a reader would take wrongly.
        OutputError: cannot be written.
    """
    if roots.boxes.extended != (roots.root_m is not None):
        raise DataError("these files hold extended boxes with roots, or tight boxes without")
    rows: list[dict[str, Any]] = []
    boxes = roots.boxes.to("xywh").values
    for i, name in enumerate(roots.image_id):
        row: dict[str, Any] = {"image_id": name, "bbox": boxes[i]}
        if roots.root_m is not None:
            row["root_cam"] = roots.root_m[i] / _METRES[unit]
        if np.isfinite(roots.score[i]):
            row["score"] = roots.score[i]
        if roots.ann_id is not None:
            row["ann_id"] = roots.ann_id[i]
        rows.append(row)
    write_text(Path(path), dumps(rows))


def _image_id(node: Node) -> int | str:
    return node.integer() if isinstance(node.value, int) else node.text()


def read_joints(path: str | Path) -> dict[str, Floats]:
    """PoseNet's `preds_2d_kpt_*.mat` or `preds_3d_kpt_*.mat`.

    Returns:
        By picture (`TS1_img_000001`, `coco_17`): (people, joints, 2) pixels, or (people, joints, 3) in the
        camera's frame, millimetres, as in the file.

    Raises:
        DataError: missing, damaged, or holds something else.
    """
    joints = {}
    for name, values in load_mat(path).items():
        if values.ndim != 3 or values.shape[2] not in (2, 3) or values.dtype.kind not in "fiu":
            raise DataError(f"{path}: {name} is not people x joints x 2 or 3 but {values.shape}")
        joints[name] = values.astype(np.float64)
    return joints


def write_joints(path: str | Path, joints: Mapping[str, Floats]) -> None:
    """The same file back, without the time that SciPy would put into it.

    Raises:
        DataError: a name that MATLAB cannot have, or an array of another shape. OutputError: cannot be written.
    """
    for name, values in joints.items():
        if not name.isidentifier() or not name[0].isalpha():
            raise DataError(f"{name!r} cannot be a MATLAB name; begin with a letter, as in coco_17")
        if values.ndim != 3 or values.shape[2] not in (2, 3):
            raise DataError(f"{name} must be people x joints x 2 or 3, not {values.shape}")
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, dict(joints), long_field_names=True)
    header = b"MATLAB 5.0 MAT-file".ljust(_MAT_HEADER_BYTES)
    write_bytes(Path(path), header + buffer.getvalue()[_MAT_HEADER_BYTES:])
