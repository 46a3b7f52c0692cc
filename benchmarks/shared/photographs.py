"""Annotated photographs and video frames, and which annotated people were found in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.scene.detections import Detections
from crowd3d.scene.people import People
from tiling import box_iou

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

COCO_ANNOTATIONS = "person_keypoints.json"
PETS_FIRST, PETS_EVERY = 10, 20  # frames that are counted
PETS_ANNOTATIONS, PETS_VIDEO = "view1_frames_0_399.json", "vtest.avi"
MATCH_IOU = 0.4
_SEEN_KEYPOINTS = 8  # of 17; a person with fewer does not count as visible
_HIDDEN_SHARE = 0.3  # of a box behind nearer boxes, from which a person does not count as visible


@dataclass
class Picture:
    """A picture, boxes (N, 4) xyxy of all annotated people, and a mask (N,) of those who count as visible."""

    path: Path
    boxes_px: FloatArray
    counts: BoolArray


def seen_by_keypoints(keypoints: FloatArray) -> BoolArray:
    """(N,) from keypoints (N, 17, 3) with COCO's flags: about half of them seen, the whole trunk annotated."""
    flag = keypoints[..., 2]
    trunk = (flag[:, list(TORSO_KEYPOINTS)] > 0).all(axis=1)
    return np.asarray(((flag == 2).sum(axis=1) >= _SEEN_KEYPOINTS) & trunk)


def seen_by_boxes(boxes: FloatArray, size: tuple[int, int]) -> BoolArray:
    """(N,) from boxes (N, 4): inside the picture, little covered by nearer boxes (whose bottom is lower)."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    hidden = (shared * nearer).sum(axis=1) / np.maximum(area, 1e-9)
    inside = (boxes[:, :2] > 1).all(axis=1) & (boxes[:, 2:] < np.array(size) - 1).all(axis=1)
    return np.asarray((hidden < _HIDDEN_SHARE) & inside)


def coco_pictures(folder: Path) -> Iterator[Picture]:
    """Pictures of `person_keypoints.json` and `images/` that show people; boxes around crowds are left out."""
    values = json.loads((folder / COCO_ANNOTATIONS).read_text(encoding="utf-8"))
    for image in values["images"]:
        rows = [
            a for a in values["annotations"] if a["image_id"] == image["id"] and not a["iscrowd"]
        ]
        if rows:
            box = np.array([a["bbox"] for a in rows], np.float64)
            points = np.array([a["keypoints"] for a in rows], np.float64).reshape(-1, 17, 3)
            boxes = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)
            yield Picture(folder / "images" / image["file_name"], boxes, seen_by_keypoints(points))


def pets_annotations(folder: Path) -> dict[str, Any]:
    """The annotations of PETS 2009 view 1: camera, boxes and feet."""
    values: dict[str, Any] = json.loads((folder / PETS_ANNOTATIONS).read_text(encoding="utf-8"))
    return values


def pets_frames(
    folder: Path, scratch: Path, every: int, first: int = 0
) -> Iterator[tuple[int, Picture]]:
    """Yield number and picture of every `every`-th frame; the pictures are written to the folder `scratch`."""
    values = pets_annotations(folder)
    video = cv2.VideoCapture(str(folder / PETS_VIDEO))
    for index in range(len(values["frames"])):
        good, frame = video.read()
        if not good or index % every != first % every:
            continue
        box = np.array([p["box_xcycwh"] for p in values["frames"][str(index)]]).reshape(-1, 4)
        boxes = np.concatenate([box[:, :2] - box[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2], axis=1)
        path = scratch / f"pets_{index}.png"
        cv2.imwrite(str(path), frame)
        yield index, Picture(path, boxes, seen_by_boxes(boxes, (frame.shape[1], frame.shape[0])))


def owners(people: Detections | People, boxes: FloatArray) -> npt.NDArray[np.int64]:
    """(N,) row of the annotated box that matches each found person, one to one; -1 if none does."""
    owner = np.full(len(people), -1)
    if len(boxes) and len(people):
        overlap = np.array([box_iou(np.tile(b, (len(people), 1)), people.box_px) for b in boxes])
        row, column = linear_sum_assignment(-overlap)
        good = overlap[row, column] >= MATCH_IOU
        owner[column[good]] = row[good]
    return owner
