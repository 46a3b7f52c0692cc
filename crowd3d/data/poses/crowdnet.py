"""3DCrowdNet's `2d_pose_result.json`: by picture, by person, seventeen times [x, y, score]."""

from __future__ import annotations

import numpy as np

from crowd3d.data.poses.given import Person, PoseFile
from crowd3d.data.poses.joints import N_COCO, Floats
from crowd3d.files.located_json import Node


def read_crowdnet(whole: Node) -> PoseFile:
    """Everybody, by picture."""
    return PoseFile({name: [Person(_points(p)) for p in people] for name, people in whole.items()})


def _points(person: Node) -> Floats:
    """(17, 3); published files have more numbers than three a joint."""
    joints = list(person)
    if len(joints) != N_COCO:
        person.fail(f"{len(joints)} joints where COCO's {N_COCO} belong")
    numbers = [joint.array(-1) for joint in joints]
    for joint, values in zip(joints, numbers, strict=True):
        if len(values) < 3:
            joint.fail("a joint is [x, y, score]")
    return np.array([values[:3] for values in numbers])
