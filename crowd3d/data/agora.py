"""AGORA's table of people, one row a picture, as pandas writes it with `to_json`.

    {"imgPath": {"0": "a.png", ...}, "gt_joints_2d": {"0": [[[u, v], ...], ...], ...},
     "gt_joints_3d", "gender", "kid", "occlusion", "isValid": likewise, lists with one element a person}

Joints are SMPL's 45 or SMPL-X's 127 (the first 22 are the same); 3D in metres in the camera frame, 2D in
pixels of 3840 x 2160. The published tables are pickles of pandas; `pandas.read_pickle(F).to_json(G)` makes this
file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crowd3d.body.tree import TORSO_JOINTS
from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.files.located_json import Node, begins_with

SIZE = (3840, 2160)
# COCO's seventeen by the number of joints: face, then limbs.
_FACE = {45: [24, 26, 25, 28, 27], 127: [55, 57, 56, 59, 58]}
_LIMBS = [16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8]
_BODY_JOINTS = 22  # SMPL and SMPL-X differ in the hands


def recognises(path: Path) -> bool:
    """Whether a file looks like AGORA's table as JSON."""
    return begins_with(path, '"imgPath"', '"gt_joints_2d"')


def load(path: str | Path) -> DataSet:
    """All pictures of a table. Invalid people (more than 90 % hidden) are ignored.

    Raises:
        DataError: names file, line and member of the first mistake.
    """
    whole = Node.read(path)
    frames = {}
    for row, image in whole["imgPath"].items():
        points = list(whole["gt_joints_2d"][row])
        frame = FrameTruth.unknown(image.text(), "", len(points))
        frame.size = SIZE
        joints = list(whole["gt_joints_3d"][row])
        if len(joints) != len(points):
            whole["gt_joints_3d"][row].fail(f"{len(joints)} people, but {len(points)} in 2D")
        for i, (flat, solid) in enumerate(zip(points, joints, strict=True)):
            pixels, metres = flat.array(-1, 2), solid.array(-1, 3)
            if len(pixels) not in _FACE or len(metres) != len(pixels):
                flat.fail(f"{len(pixels)} joints in 2D and {len(metres)} in 3D; expected 45 or 127")
            frame.keypoints_px[i, :, :2] = pixels[_FACE[len(pixels)] + _LIMBS]
            frame.keypoints_px[i, :, 2] = 2
            frame.joints_m[i, :_BODY_JOINTS] = metres[:_BODY_JOINTS]
            frame.torso_m[i] = metres[list(TORSO_JOINTS)].mean(axis=0)
            frame.boxes_px[i] = (*pixels.min(axis=0), *pixels.max(axis=0))
        _read_lists(whole, row, frame)
        frames[frame.image_name] = frame
    return DataSet("agora", frames)


def _read_lists(whole: Node, row: str, frame: FrameTruth) -> None:
    """The columns with one plain value a person."""
    n = len(frame)

    def column(key: str) -> list[Node]:
        values = list(whole[key][row])
        if len(values) != n:
            whole[key][row].fail(f"{len(values)} values for {n} people")
        return values

    frame.gender = [g.one_of("neutral", "male", "female") for g in column("gender")]
    frame.is_ignored = np.array([not v.value for v in column("isValid")], dtype=bool)
    frame.values["kid"] = np.array([bool(v.value) for v in column("kid")])
    frame.values["occlusion"] = np.array([v.number() for v in column("occlusion")])
