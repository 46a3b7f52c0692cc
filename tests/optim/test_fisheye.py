"""Fisheyes: the two laws of their lenses, and camera and ground of people around the point below them."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optim
from optim import BadInput, fisheye, panorama
from optim.anthropometry import HEIGHT_FRACTION
from optim.geometry import normal_from_pitch_roll

KINDS = pytest.mark.parametrize("kind", fisheye.KINDS)
CENTER = np.array([790.0, 805.0])


@KINDS
@given(st.floats(0.0, 6.28), st.floats(0.0, 2.9), st.floats(0.1, 100.0))
def test_rays_are_the_inverse_of_project(kind: str, around: float, theta: float, away: float):
    way = [np.cos(around) * np.sin(theta), np.sin(around) * np.sin(theta), np.cos(theta)]
    pixel = fisheye.project(away * np.array(way), 500.0, CENTER, kind)
    np.testing.assert_allclose(fisheye.rays(pixel, 500.0, CENTER, kind), way, atol=1e-9)


def test_the_laws_of_the_lenses():
    """Sixty and ninety degrees off the axis, by r = f theta and r = 2 f sin(theta / 2)."""
    points = [[np.sqrt(3.0), 0.0, 1.0], [0.0, 2.0, 0.0]]
    equidistant = fisheye.project(points, 300.0, [0.0, 0.0], fisheye.EQUIDISTANT)
    np.testing.assert_allclose(equidistant, [[100 * np.pi, 0], [0, 150 * np.pi]], atol=1e-9)
    equisolid = fisheye.project(points, 300.0, [0.0, 0.0], fisheye.EQUISOLID)
    np.testing.assert_allclose(equisolid, [[300, 0], [0, 300 * np.sqrt(2)]], atol=1e-9)


@KINDS
def test_the_axis_has_a_pixel_and_what_is_straight_behind_has_none(kind: str):
    np.testing.assert_allclose(fisheye.project([0.0, 0.0, 3.0], 500.0, CENTER, kind), CENTER)
    assert np.isnan(fisheye.project([0.0, 0.0, -3.0], 500.0, CENTER, kind)).all()
    np.testing.assert_allclose(fisheye.rays(CENTER, 500.0, CENTER, kind), [0, 0, 1])
    # Pixels beyond what a lens can show are rays all the same.
    assert np.linalg.norm(fisheye.rays([1e6, -1e6], 500.0, CENTER, kind)) == pytest.approx(1)
    assert np.isinf(fisheye.theta_rad(10.0, kind))


CALIBRATED = (-0.03, 0.005, -0.002, 0.0003)


def test_a_calibrated_lens_is_opencvs():
    rng = np.random.default_rng(1)
    points = np.c_[rng.uniform(-3, 3, (500, 2)), np.ones(500)]
    K = np.array([[1000.0, 0, 2000], [0, 1010.0, 1500], [0, 0, 1]])
    bend, none = np.array(CALIBRATED), np.zeros(3)
    theirs = cv2.fisheye.projectPoints(points[:, None], none, none, K, bend)[0]
    ours = fisheye.project(
        points, 1000.0, [2000, 1500], fisheye.EQUIDISTANT, CALIBRATED, pixel_aspect=1.01
    )
    np.testing.assert_allclose(ours, theirs[:, 0], atol=1e-8)


def test_it_sees_behind_the_camera_and_back():
    u, v = np.meshgrid(np.arange(0, 4000, 37) + 0.5, np.arange(0, 3000, 37) + 0.5)
    pixels, focal_px, center_px = np.stack([u, v], axis=-1), 4000 / np.radians(200), [2040, 1475]
    lens = (fisheye.EQUIDISTANT, CALIBRATED)
    seen = fisheye.rays(pixels, focal_px, center_px, *lens, pixel_aspect=1.01)
    assert seen[..., 2].min() < 0
    back = fisheye.project(seen, focal_px, center_px, *lens, pixel_aspect=1.01)
    assert np.abs(back - pixels).max() < 1e-6
    assert np.isnan(fisheye.project(np.zeros(3), focal_px, center_px, *lens)).all()
    assert fisheye.reach(CALIBRATED) == np.inf and fisheye.reach((-0.3, 0.0, 0.0, 0.0)) < 1.0


def test_mercator_keeps_shapes():
    """A small step up and a small step aside are as long, at any elevation."""
    center = (1000.0, 500.0)
    for row in (-300.0, 0.0, 700.0, 1400.0):
        at = np.array([1200.0, 500.0 + row])
        steps = np.array([[0.0, 0.0], [0.01, 0.0], [0.0, 0.01]])
        rays = panorama.rays(at + steps, 600.0, center, panorama.MERCATOR)
        aside, up = rays[1] - rays[0], rays[2] - rays[0]
        assert np.linalg.norm(aside) == pytest.approx(np.linalg.norm(up), rel=1e-4)
        assert abs(aside @ up) < 1e-9
        np.testing.assert_allclose(
            panorama.project(rays[0], 600.0, center, panorama.MERCATOR), at, atol=1e-6
        )
    assert np.isfinite(panorama.rays([0.0, 1e9], 600.0, center, panorama.MERCATOR)).all()


def _crowd_below(kind: str, normal: np.ndarray, n: int, noise: float = 0.01, **lens):
    """Keypoints (N, 17, 3) of people all around the point below a camera 5 m high, 2 to 12 m away."""
    rng = np.random.default_rng(1)
    one = np.cross(normal, [1.0, 0.0, 0.0])
    one /= np.linalg.norm(one)
    other = np.cross(normal, one)
    bearing, away = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.uniform(4, 144, n))
    way = np.cos(bearing)[:, None] * one + np.sin(bearing)[:, None] * other
    up = normal + rng.normal(0, 0.03, (n, 3))
    stature = rng.normal(1.70, 0.08, n)[:, None, None]
    joints = (away[:, None] * way - 5.0 * normal)[:, None] + stature * (
        np.asarray(HEIGHT_FRACTION)[:, None] * up[:, None]
    )
    joints += rng.normal(0, noise, joints.shape)
    pixels = fisheye.project(joints, 500.0, CENTER, kind, **lens)
    return np.concatenate([pixels, np.full((n, 17, 1), 0.7)], axis=2)


@KINDS
@pytest.mark.parametrize("pitch_deg", [20.0, 60.0, 90.0])
def test_ground_and_gravity_of_a_fisheye(kind: str, pitch_deg: float):
    normal = normal_from_pitch_roll(np.radians(pitch_deg), 0.02)
    keypoints = _crowd_below(kind, normal, 80)
    fit = optim.fit_panorama(
        keypoints, (1600, 1600), projection=kind, focal_px=500.0, center_px=CENTER
    )
    assert np.degrees(np.arccos(min(1.0, fit.normal @ normal))) < 0.6
    assert fit.offset_m == pytest.approx(5.0, rel=0.02)


def test_ground_through_a_calibrated_lens():
    """What bends is taken away; without it the same people are another ground."""
    normal, lens = (
        normal_from_pitch_roll(np.radians(60.0), 0.02),
        {"distortion": (0.1, 0.02, 0.0, 0.0)},
    )
    keypoints = _crowd_below(fisheye.EQUIDISTANT, normal, 80, **lens, pixel_aspect=1.02)
    known = {"projection": fisheye.EQUIDISTANT, "focal_px": 500.0, "center_px": CENTER}
    fit = optim.fit_panorama(keypoints, (1600, 1600), **known, **lens, pixel_aspect=1.02)
    assert np.degrees(np.arccos(min(1.0, fit.normal @ normal))) < 0.6
    assert fit.offset_m == pytest.approx(5.0, rel=0.02) and fit.distortion == lens["distortion"]
    ignored = optim.fit_panorama(keypoints, (1600, 1600), **known)
    assert abs(ignored.offset_m / 5.0 - 1) > 0.03


def test_a_fisheye_needs_its_focal_length():
    keypoints = _crowd_below(fisheye.EQUIDISTANT, np.array([0.0, 0.0, -1.0]), 10)
    with pytest.raises(BadInput, match="pixels per radian"):
        optim.fit_ground_camera(keypoints, (1600, 1600), projection=fisheye.EQUIDISTANT)
