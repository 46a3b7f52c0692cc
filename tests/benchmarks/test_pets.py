"""Comparing a camera with a calibration: the turn between two frames is no error of the scene."""

import numpy as np
import pets
import pytest

from crowd3d.scene.camera import Camera
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.plane import Plane

SIZE, FOCAL_PX = (768, 576), 1190.0
NORMAL = np.array([-0.05, -0.957, -0.284]) / np.linalg.norm([-0.05, -0.957, -0.284])
K = np.array([[FOCAL_PX, 0, 324.0], [0, FOCAL_PX, 288.0], [0, 0, 1]])
TRUTH = pets.Truth(K, NORMAL, 7.0, SIZE)


def _feet(n: int) -> np.ndarray:
    """(N, 3) points of the true ground."""
    pixels = np.random.default_rng(0).uniform([60, 220], [700, 540], (n, 2))
    return Plane(NORMAL, 7.0).intersect_m(TRUTH.rays(pixels))


def _seen(feet_m: np.ndarray) -> np.ndarray:
    """(N, 17, 3) keypoints whose ankles are above the feet where `pets` expects them."""
    ankle = feet_m + pets._ANKLE_HEIGHT_M * NORMAL
    pixels = ankle @ K.T
    keypoints = np.ones((len(feet_m), 17, 3))
    keypoints[..., :2] = (pixels[:, :2] / pixels[:, 2:])[:, None]
    return keypoints


def _compared(camera: Camera, normal: np.ndarray) -> dict[str, float]:
    feet = _feet(40)
    fitted = Fitted(camera, [Plane(normal, 7.0)], np.eye(4), {})
    return pets.compared(fitted, _seen(feet), feet, TRUTH)


def test_the_calibration_itself_has_no_error():
    errors = _compared(Camera(*SIZE, FOCAL_PX, (324.0, 288.0)), NORMAL)
    for name, value in errors.items():
        assert name == "center_px" or value == pytest.approx(0, abs=1e-5), name


def test_a_camera_that_looks_elsewhere_is_right_once_its_rays_are_turned():
    """The same rays but for second order, with the principal point in the middle of the picture."""
    camera = Camera(*SIZE, FOCAL_PX, (384.0, 288.0))
    turn = pets.to_truth(camera, TRUTH)
    errors = _compared(camera, turn.T @ NORMAL)
    assert errors["feet_m, as it is"] > 0.8
    assert errors["feet_m, same rays"] < 0.15
    assert errors["normal_deg, same rays"] == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_a_wrong_focal_length_is_not_turned_away():
    errors = _compared(Camera(*SIZE, 0.8 * FOCAL_PX, (324.0, 288.0)), NORMAL)
    assert errors["feet_m, same rays"] > 1.0
