"""Cameras and grounds of panoramas are found as well as those of perspective pictures."""

import numpy as np
import pytest

import optim
from optim import BadInput, panorama
from optim.anthropometry import HEIGHT_FRACTION
from optim.geometry import normal_from_pitch_roll, pitch_roll_from_normal
from optim.ground.own_views import in_own_views

SIZE = (12000, 3000)
SIDES = np.array(
    [0, .02, -.02, .04, -.04, .1, -.1, .12, -.12, .12, -.12, .06, -.06, .05, -.05, .05, -.05]
)  # fmt: skip
NORMAL = normal_from_pitch_roll(np.radians(6.0), np.radians(2.0))
HEIGHT_M = 5.0


def _crowd(kind: str, fov_deg: float, seed: int, n: int = 300, noise: float = 0.01, normal=NORMAL):
    """People all around, at 6 to 40 m: keypoints (N, 17, 3) and pixels per radian."""
    rng = np.random.default_rng(seed)
    focal = SIZE[0] / np.radians(fov_deg)
    ahead = np.array([0.0, 0, 1]) - normal[2] * normal
    ahead /= np.linalg.norm(ahead)
    right = np.cross(-normal, ahead)
    azimuth = rng.uniform(-0.49, 0.49, n) * np.radians(fov_deg)
    way = np.cos(azimuth)[:, None] * ahead + np.sin(azimuth)[:, None] * right
    foot = -HEIGHT_M * normal + rng.uniform(6, 40, n)[:, None] * way
    up = normal + rng.normal(0, 0.03, (n, 3))
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    aside = np.cross(foot, normal)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    shape = np.asarray(HEIGHT_FRACTION)[:, None] * up[:, None] + SIDES[:, None] * aside[:, None]
    joints = foot[:, None] + rng.normal(1.70, 0.08, n)[:, None, None] * shape
    center = np.array(SIZE) / 2
    pixels = panorama.project(joints, focal, center, kind)
    height_px = np.linalg.norm(pixels[:, 0] - pixels[:, 15], axis=1)
    pixels += rng.normal(0, noise, pixels.shape) * height_px[:, None, None]
    return np.concatenate([pixels, np.full((n, 17, 1), 0.7)], axis=2), focal


@pytest.mark.parametrize(("kind", "fov_deg"), [("cylindrical", 200.0), ("equirectangular", 360.0)])
def test_known_scale(kind: str, fov_deg: float) -> None:
    """At least as good as a perspective picture of 90 degrees: 0.11 degrees, 0.5 % (medians)."""
    turn, height = [], []
    for seed in range(6):
        keypoints, focal = _crowd(kind, fov_deg, seed)
        fit = optim.fit_panorama(keypoints, SIZE, projection=kind, focal_px=focal)
        turn.append(np.degrees(np.arccos(min(1.0, fit.normal @ NORMAL))))
        height.append(abs(fit.offset_m / HEIGHT_M - 1))
    assert np.median(turn) < 0.12 and np.median(height) < 0.006


def test_unknown_scale_of_a_cylinder() -> None:
    keypoints, focal = _crowd("cylindrical", 200.0, 3)
    fit = optim.fit_panorama(keypoints, SIZE, projection="cylindrical")
    sd = np.sqrt(np.diag(fit.covariance))
    truth = [np.log(focal), *pitch_roll_from_normal(NORMAL), np.log(HEIGHT_M)]
    found = [np.log(fit.focal_px), *pitch_roll_from_normal(fit.normal), np.log(fit.offset_m)]
    assert abs(fit.focal_px / focal - 1) < 0.05
    assert (np.abs(np.subtract(found, truth)) < 3.5 * sd).all()
    low, high = fit.report["focal_interval_90_px"]
    assert low < fit.focal_px < high and fit.report["focal_determined"]


@pytest.mark.parametrize("fov_deg", [150.0, 240.0])
def test_a_level_cylinder_says_nothing_of_its_scale(fov_deg: float) -> None:
    """Heights in it are measured in camera heights, whatever a column means; flat ground must not tempt."""
    for seed in range(4):
        level = np.array([0.0, -1.0, 0.0])
        keypoints, focal = _crowd("cylindrical", fov_deg, seed, n=100, normal=level)
        fit = optim.fit_panorama(keypoints, SIZE, projection="cylindrical")
        assert not fit.report["focal_determined"]
        assert np.sqrt(fit.covariance[0, 0]) > 0.33
        low, high = fit.report["focal_interval_90_px"]
        assert low < focal < high
        assert fit.offset_m == pytest.approx(HEIGHT_M, rel=0.05)


def test_columns_may_be_counted_from_anywhere_in_a_whole_turn() -> None:
    keypoints, focal = _crowd("equirectangular", 360.0, 1, n=60)
    moved = keypoints.copy()
    moved[::2, :, 0] += SIZE[0]
    fits = [
        optim.fit_panorama(k, SIZE, projection="equirectangular", focal_px=focal)
        for k in (keypoints, moved)
    ]
    np.testing.assert_allclose(fits[0].normal, fits[1].normal, atol=2e-3)
    assert fits[0].offset_m == pytest.approx(fits[1].offset_m, rel=5e-3)


def test_own_views_turn_about_the_axis_only() -> None:
    rng = np.random.default_rng(0)
    center, focal = np.array(SIZE) / 2, 3400.0
    place = rng.uniform([0, 1200], [SIZE[0], 2400], (20, 1, 2))
    keypoints = np.concatenate(
        [place + rng.uniform(-80, 80, (20, 17, 2)), np.ones((20, 17, 1))], axis=2
    )
    own, views = in_own_views(keypoints, focal, center, "cylindrical")
    np.testing.assert_allclose(views.R_own_cam @ [0.0, 1.0, 0.0], np.tile([0.0, 1, 0], (20, 1)))
    ray = (own[..., :2] - views.center_px[:, None]) / focal
    ray = np.concatenate([ray, np.ones((20, 17, 1))], axis=-1) @ views.R_own_cam
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    direct = panorama.rays(keypoints[..., :2], focal, center, "cylindrical")
    np.testing.assert_allclose(ray, direct, atol=1e-9)
    assert np.abs(own[..., 0] - keypoints[..., 0]).max() < 1.0  # people keep their columns


def test_what_panoramas_cannot_use_is_refused() -> None:
    keypoints, focal = _crowd("cylindrical", 200.0, 0, n=10)
    common = {"projection": "cylindrical"}
    with pytest.raises(BadInput, match="pixels per radian"):
        optim.fit_ground_camera(keypoints, SIZE, **common)
    with pytest.raises(BadInput, match="boxes"):
        optim.fit_ground_camera(
            None, SIZE, boxes_px=np.array([[0, 0, 10, 30.0]] * 4), focal_px=focal, **common
        )
    with pytest.raises(BadInput, match="neither lines"):
        optim.fit_ground_camera(
            keypoints, SIZE, focal_px=focal, lines_px=np.zeros((1, 4)), **common
        )
    with pytest.raises(BadInput, match="projection must be one of"):
        optim.fit_ground_camera(keypoints, SIZE, projection="pinhole")
