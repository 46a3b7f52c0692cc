"""2D poses of another program in place of the detector.

    python docs/examples/03_own_poses.py [PICTURE] [POSES]

POSES is a file of AlphaPose, OpenPose, COCO or 3DCrowdNet. Without one, poses are made here: those that crowd3d
itself finds, written as AlphaPose would write them. Shows: `write_poses`, and `reconstruct(keypoints=...)`.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import crowd3d
from crowd3d.data.keypoint_export import write_poses
from crowd3d.scene.detections import Detections

DEMO = Path(__file__).parents[1] / "demo" / "plaza.jpg"


def poses_of(scene: crowd3d.Scene, file: Path) -> None:
    """Writes everybody's 2D pose in AlphaPose's format."""
    people = scene.people
    found = Detections(
        score=people.score,
        quality=np.ones(len(people)),
        box_px=people.box_px,
        keypoints_px=people.keypoints_px,
        is_cut=np.zeros(len(people), bool),
        tile=np.zeros(len(people), np.int64),
    )
    write_poses(file, {scene.image_name: found}, "alphapose")


def main(picture: Path, poses: Path | None) -> None:
    """Reconstructs from given 2D poses."""
    with tempfile.TemporaryDirectory() as folder:
        if poses is None:
            poses = Path(folder) / "alphapose-results.json"
            first = crowd3d.reconstruct(picture, config="fast")
            poses_of(first, poses)
            print(f"{poses.name}: {len(first.people)} people of our own detector")
        scene = crowd3d.reconstruct(picture, config="fast", keypoints=poses)
    print(f"{scene.image_name}: {len(scene.people)} people stand on the ground, all of them yours")
    for plane in scene.planes:
        print(f"the camera is {plane.offset_m:.1f} m above the ground")
    print(f"2D poses come from: {scene.diagnostics['versions']['weights']}")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO,
        Path(sys.argv[2]) if len(sys.argv) > 2 else None,
    )
