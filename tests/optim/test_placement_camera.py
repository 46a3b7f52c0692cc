"""The camera's own uncertainty in people's places, and inputs that are not whole."""

from __future__ import annotations

import numpy as np
import pytest

import optim
from optim.geometry import normal_from_pitch_roll, tangent_basis, unit
from optim.projection import project, rays

FOCAL_PX, CENTER_PX = 2000.0, np.array([2000.0, 1500.0])
PITCH, ROLL, HEIGHT_M = 0.3, 0.1, 6.0
LEVELS = np.array([92, 94, 94, 93, 93, 79, 79, 62, 62, 48, 48, 52, 52, 28, 28, 5, 5]) * 0.017
ASIDE = np.array([0, 2, -2, 4, -4, 18, -18, 20, -20, 20, -20, 10, -10, 10, -10, 10, -10]) * 0.01


class Crowd:
    """Stick figures placed exactly by a camera (log focal, pitch, roll, log height)."""

    def __init__(self, n: int):
        self.theta = np.array([np.log(FOCAL_PX), PITCH, ROLL, np.log(HEIGHT_M)])
        normal = normal_from_pitch_roll(PITCH, ROLL)
        ahead = np.array([0, 0, 1.0]) - normal[2] * normal
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, normal)
        rng = np.random.default_rng(0)
        body = LEVELS[:, None] * normal + ASIDE[:, None] * right
        foot = rng.uniform(-5, 5, (n, 1)) * right + rng.uniform(10, 30, (n, 1)) * ahead
        self.foot = foot - HEIGHT_M * normal
        self.pixels = project(self.foot[:, None] + body, FOCAL_PX, CENTER_PX)
        self.body, self.normal = np.repeat(body[None], n, axis=0), normal

    def place(self, theta, **options):
        """Foot points (N, 3) and the placement for another camera; bodies stay upright."""
        normal = normal_from_pitch_roll(theta[1], theta[2])
        axis = np.cross(self.normal, normal)
        cross = np.cross(np.eye(3), axis)  # its matrix
        rotation = np.eye(3) + cross + cross @ cross / (1 + self.normal @ normal)
        body = self.body @ rotation.T
        torso = body[:, [5, 6, 11, 12]].mean(axis=1)
        n = len(body)
        placed = optim.place_people(
            body - torso[:, None],
            torso @ normal,
            np.ones((n, 17)),
            rays(self.pixels, np.exp(theta[0]), CENTER_PX),
            np.full(n, np.exp(theta[0])),
            normal,
            float(np.exp(theta[3])),
            stature_m=np.full(n, 1.70),
            **options,
        )
        return placed.torso_m - (placed.torso_m @ normal + np.exp(theta[3]))[
            :, None
        ] * normal, placed


def test_the_camera_s_covariance_becomes_the_people_s():
    crowd = Crowd(6)
    root = np.diag([0.01, 0.002, 0.003, 0.01])
    root[0, 1] = -0.004  # focal length and pitch go together
    covariance = root.T @ root
    _, alone = crowd.place(crowd.theta)
    foot, both = crowd.place(crowd.theta, camera_covariance=covariance)
    np.testing.assert_allclose(foot, crowd.foot, atol=1e-3)
    added = both.position_cov_m2 - alone.position_cov_m2
    derivative = np.stack(
        [
            (crowd.place(crowd.theta + h)[0] - crowd.place(crowd.theta - h)[0]) / 2e-4
            for h in np.eye(4) * 1e-4
        ],
        axis=-1,
    )
    expected = derivative @ covariance @ derivative.transpose(0, 2, 1)
    np.testing.assert_allclose(added, expected, rtol=0.02, atol=2e-4)


def test_a_person_s_own_covariance_is_that_of_a_known_camera():
    crowd = Crowd(6)
    covariance = np.diag([0.1, 0.01, 0.01, 0.1]) ** 2
    _, known = crowd.place(crowd.theta)
    _, fitted = crowd.place(crowd.theta, camera_covariance=covariance)
    np.testing.assert_array_equal(known.own_cov_m2, known.position_cov_m2)
    np.testing.assert_array_equal(fitted.own_cov_m2, known.own_cov_m2)
    shared = fitted.position_cov_m2 - fitted.own_cov_m2
    assert (np.trace(shared, axis1=1, axis2=2) > 0.1).all()


def test_a_fitted_camera_plugs_in():
    crowd = Crowd(40)
    keypoints = np.concatenate([crowd.pixels, np.ones((40, 17, 1))], axis=2)
    fit = optim.fit_ground_camera(keypoints, (4000, 3000))
    _, placed = crowd.place(crowd.theta, camera_covariance=fit.covariance)
    values = np.linalg.eigvalsh(placed.position_cov_m2)
    assert placed.is_placed.all() and (values > -1e-9).all() and values.max() < 30


def test_broken_keypoints_do_not_spread():
    crowd = Crowd(8)
    whole, _ = crowd.place(crowd.theta)
    crowd.pixels[3] = np.nan
    crowd.pixels[4, 9] = np.nan
    broken, placed = crowd.place(crowd.theta)
    keep = [0, 1, 2, 5, 6, 7]
    np.testing.assert_array_equal(broken[keep], whole[keep])
    assert not placed.is_placed[3] and placed.is_placed[4]
    assert np.linalg.norm(broken[4] - whole[4]) < 0.05


def test_people_above_the_horizon_are_not_placed_badly():
    crowd = Crowd(5)
    crowd.pixels[2, :, 1] -= 3000
    _, placed = crowd.place(crowd.theta)
    assert placed.is_placed[[0, 1, 3, 4]].all()
    assert not placed.is_placed[2] or placed.residual_px[2] > 50


@pytest.mark.parametrize(
    "change",
    [
        {"offset_m": 0.0},
        {"offset_m": np.nan},
        {"normal": np.ones((3, 3))},
        {"scores": np.ones((4, 16))},
    ],
)
def test_nonsense_is_refused(change):
    options = {
        "keypoints_m": np.zeros((4, 17, 3)),
        "torso_height_m": np.ones(4),
        "scores": np.ones((4, 17)),
        "rays": np.ones((4, 17, 3)) / 3**0.5,
        "px_per_rad": np.ones(4),
        "normal": np.array([0, -1.0, 0]),
        "offset_m": 2.0,
        "stature_m": np.ones(4),
    }
    with pytest.raises(optim.BadInput):
        optim.place_people(**(options | change))


class Slope(Crowd):
    """The same people on ground that rises by 0.2 to the right and by 0.3 ahead."""

    def __init__(self, n: int):
        super().__init__(n)
        axes = tangent_basis(self.normal)
        self.tilted = unit(self.normal + 0.3 * axes[0] - 0.2 * axes[1])
        level = (self.foot + HEIGHT_M * self.normal) @ self.tilted
        self.foot = self.foot - (level / (self.normal @ self.tilted))[:, None] * self.normal
        self.offset = HEIGHT_M * float(self.normal @ self.tilted)
        body = self.body[0]
        self.pixels = project(self.foot[:, None] + body, FOCAL_PX, CENTER_PX)

    def stand(self, lower_m: float = 0.0, **options):
        """The placement on the slope, or on one that is so much lower."""
        torso = self.body[:, [5, 6, 11, 12]].mean(axis=1)
        n = len(torso)
        return optim.place_people(
            self.body - torso[:, None],
            torso @ self.normal,
            np.ones((n, 17)),
            rays(self.pixels, FOCAL_PX, CENTER_PX),
            np.full(n, FOCAL_PX),
            np.tile(self.tilted, (n, 1)),
            np.full(n, self.offset + lower_m * float(self.normal @ self.tilted)),
            up=self.normal,
            stature_m=np.full(n, 1.70),
            **options,
        )


def test_people_stand_upright_on_a_slope():
    crowd = Slope(8)
    placed = crowd.stand()
    np.testing.assert_allclose(placed.foot_m, crowd.foot, atol=1e-6)
    np.testing.assert_allclose(placed.scale, 1.0, atol=1e-6)
    above = placed.torso_m - placed.foot_m
    np.testing.assert_allclose(above, (above @ crowd.normal)[:, None] * crowd.normal, atol=1e-9)


def test_doubt_about_the_ground_s_height_becomes_the_people_s():
    crowd = Slope(5)
    joint = np.zeros((5, 5))
    joint[4, 4] = 0.2**2  # of the one number that raises everybody's ground by a metre
    options = {"camera_covariance": joint, "height_by_number": np.ones((5, 1))}
    placed = crowd.stand(**options)
    spread = placed.position_cov_m2 - placed.own_cov_m2
    moved = (crowd.stand(-1e-3).foot_m - crowd.stand(1e-3).foot_m) / 2e-3
    slow = 0.2**2 * moved[:, :, None] * moved[:, None, :]
    np.testing.assert_allclose(spread, slow, rtol=1e-3, atol=1e-6)
    unseen = crowd.stand(camera_covariance=np.zeros((4, 4)), height_variance_m2=np.full(5, 0.04))
    np.testing.assert_allclose(
        unseen.position_cov_m2 - unseen.own_cov_m2, slow, rtol=1e-3, atol=1e-6
    )
