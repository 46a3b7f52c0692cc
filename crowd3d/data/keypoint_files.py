"""Reads 2D poses from the files of other people's estimators, so that they can replace the detector.

AlphaPose, OpenPose, 3DCrowdNet, COCO (also Detectron2's results), MMPose, OpenPifPaf, ultralytics, MediaPipe.
Everything becomes `Detections` by picture, in the coordinates that the file has, COCO's seventeen joints; a
joint that is not there has the score 0. What that means in a picture: `crowd3d.data.poses.in_picture`.
`keypoint_export` goes the other way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from crowd3d.data.poses.given import ANY_PICTURE, detections_of
from crowd3d.data.poses.joints import BODY_25, Floats
from crowd3d.data.poses.reading import OPENPOSE_SUFFIX, Kind, poses_of_picture, read_file
from crowd3d.scene.detections import Detections

__all__ = [
    "ANY_PICTURE",
    "BODY_25",
    "FORMATS",
    "OPENPOSE_SUFFIX",
    "Floats",
    "Format",
    "poses_of",
    "read_poses",
]

Format = Literal["alphapose", "openpose", "3dcrowdnet", "coco"]
FORMATS: tuple[Format, ...] = ("alphapose", "openpose", "3dcrowdnet", "coco")  # also written


def read_poses(path: str | Path, format: Kind | None = None) -> dict[str, Detections]:
    """Everybody in a file of 2D poses, by the name of the picture.

    Args:
        path: a file; or a folder of one file a picture, such as OpenPose's `NAME_keypoints.json`.
        format: who wrote it; recognised by the content if not given.

    Raises:
        DataError: missing, of no known format, or malformed; names file, line and member.
    """
    return {name: detections_of(p) for name, p in read_file(path, format).people.items()}


def poses_of(path: str | Path, picture: str, format: Kind | None = None) -> Detections:
    """Everybody whom a file of 2D poses has in one picture, known by its name, with or without the ending.

    Raises:
        DataError: as `read_poses`; or the file has no such picture.
    """
    return poses_of_picture(path, picture, format).people
