"""A photograph to a scene, and what is in it.

    python docs/examples/01_reconstruct.py [PICTURE]

Shows: `crowd3d.reconstruct`, the camera, the ground, people as one struct of arrays, warnings.
"""

import sys
from pathlib import Path

import numpy as np

import crowd3d

DEMO = Path(__file__).parents[1] / "demo" / "plaza.jpg"


def main(picture: Path) -> None:
    """Reconstructs one picture and tells what was found."""
    scene = crowd3d.reconstruct(picture, config="fast")  # leave config out for all that it can do
    print(f"{scene.image_name}: {len(scene.people)} people")
    people = scene.people.filter(scene.people.placed)  # not those on a poster or in a mirror
    print(f"field of view {np.degrees(scene.camera.fov_rad):.1f} degrees")
    for plane in scene.planes:
        print(f"the camera is {plane.offset_m:.1f} m above the ground")
    if len(people):
        distance_m = np.linalg.norm(people.hvip_m, axis=1)  # the camera is the origin
        print(f"they stand {distance_m.min():.0f} to {distance_m.max():.0f} m from the camera")
        print(f"their statures: {people.stature_m.mean():.2f} m on average")
    for warning in scene.diagnostics["warnings"]:
        print(f"warning: {warning}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO)
