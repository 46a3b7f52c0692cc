"""What a known camera changes.

    python docs/examples/02_known_camera.py [PICTURE] [FIELD OF VIEW IN DEGREES]

Shows: `Camera.from_fov`, how sure camera and ground are, and that given values are kept exactly.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

import crowd3d

DEMO = Path(__file__).parents[1] / "demo" / "plaza.jpg"


def tell(name: str, scene: crowd3d.Scene) -> None:
    """The camera in one line, with one standard deviation each."""
    covariance = scene.diagnostics["covariance_log_focal_pitch_roll_log_height"]
    if not scene.planes or covariance is None:
        print(f"{name}: the camera could not be determined")
        return
    sd = np.sqrt(np.diag(covariance))
    height_m = scene.planes[0].offset_m
    print(
        f"{name}: focal length {scene.camera.focal_px:.0f} px +- {sd[0]:.1%}, "
        f"height {height_m:.2f} m +- {sd[3]:.1%}, pitch +- {np.degrees(sd[1]):.2f} degrees"
    )


def main(picture: Path, fov_deg: float) -> None:
    """The same picture with a fitted camera and with a given one."""
    tell("fitted", crowd3d.reconstruct(picture, config="fast"))

    height, width = cv2.imread(str(picture)).shape[:2]
    camera = crowd3d.Camera.from_fov(width, height, fov_deg)  # or focal_px, or a camera.json
    known = crowd3d.reconstruct(picture, config="fast", camera=camera)
    tell("given ", known)
    print(f"kept exactly: {known.camera.focal_px == camera.focal_px}")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO,
        float(sys.argv[2]) if len(sys.argv) > 2 else 65.0,
    )
