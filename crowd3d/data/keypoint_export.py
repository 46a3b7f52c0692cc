"""Writes detections in the file formats of other people's 2D pose estimators, which `keypoint_files` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from crowd3d.body.tree import COCO_NAMES
from crowd3d.data.keypoint_files import BODY_25, OPENPOSE_SUFFIX, Floats, Format
from crowd3d.errors import DataError
from crowd3d.files.atomic import write_text
from crowd3d.files.strict_json import dumps
from crowd3d.scene.detections import Detections

_NECK, _MID_HIP = 1, 8  # of BODY_25


def write_poses(
    path: str | Path,
    frames: Mapping[str, Detections],
    format: Format,
    sizes_px: Mapping[str, tuple[int, int]] | None = None,
) -> None:
    """Detections by picture in one of the formats; OpenPose's is a folder of one file a picture.

    Args:
        sizes_px: width and height of each picture, which only COCO's format has a place for, and needs.

    Raises:
        OutputError: cannot be written. DataError: COCO's format without sizes.
    """
    path = Path(path)
    if format == "openpose":
        for name, found in frames.items():
            content = {"version": 1.3, "people": [_openpose_person(k) for k in found.keypoints_px]}
            write_text(path / f"{Path(name).stem}{OPENPOSE_SUFFIX}.json", dumps(content))
    elif format == "3dcrowdnet":
        write_text(path, dumps({Path(n).name: d.keypoints_px for n, d in frames.items()}))
    elif format == "alphapose":
        write_text(path, dumps([p for n, d in frames.items() for p in _alphapose_people(n, d)]))
    else:
        write_text(path, dumps(_coco_content(frames, sizes_px or {})))


def _xywh(box_px: Floats) -> Floats:
    return np.concatenate([box_px[:2], box_px[2:] - box_px[:2]])


def _alphapose_people(name: str, found: Detections) -> list[dict[str, object]]:
    rows = zip(found.keypoints_px, found.score, found.box_px, strict=True)
    return [
        {
            "image_id": Path(name).name,
            "category_id": 1,
            "keypoints": points.reshape(-1),
            "score": score,
            "box": _xywh(box),
        }
        for points, score, box in rows
    ]


def _openpose_person(points: Floats) -> dict[str, object]:
    """BODY_25 without feet; neck and middle of the hips lie between two joints, if both are seen."""
    body = np.zeros((25, 3))
    body[BODY_25] = points
    for place, pair in ((_NECK, points[[5, 6]]), (_MID_HIP, points[[11, 12]])):
        if (pair[:, 2] > 0).all():
            body[place] = [*pair[:, :2].mean(axis=0), pair[:, 2].min()]
    return {"person_id": [-1], "pose_keypoints_2d": body.reshape(-1)}


def _coco_content(
    frames: Mapping[str, Detections], sizes_px: Mapping[str, tuple[int, int]]
) -> dict[str, object]:
    unknown = [name for name in frames if name not in sizes_px]
    if unknown:
        raise DataError(
            f"COCO's format needs the size of every picture; that of {unknown[0]} is missing"
        )
    images = [
        {"id": i, "file_name": Path(n).name, "width": sizes_px[n][0], "height": sizes_px[n][1]}
        for i, n in enumerate(frames, start=1)
    ]
    annotations = [
        {
            "id": 0,
            "image_id": i,
            "category_id": 1,
            "keypoints": points.reshape(-1),
            "num_keypoints": int((points[:, 2] > 0).sum()),
            "bbox": _xywh(box),
            "area": float(np.prod(box[2:] - box[:2])),
            "iscrowd": 0,
            "score": score,
        }
        for i, found in enumerate(frames.values(), start=1)
        for points, box, score in zip(found.keypoints_px, found.box_px, found.score, strict=True)
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    category = {"id": 1, "name": "person", "keypoints": list(COCO_NAMES), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}
