"""Helpers."""

from __future__ import annotations

import math

import numpy as np

import optim
from optim.anthropometry import HEIGHT_FRACTION
from optim.geometry import normal_from_pitch_roll, pitch_roll_from_normal
from optim.projection import project

HEIGHT = np.where(np.isnan(HEIGHT_FRACTION), 0.6, HEIGHT_FRACTION)


ASIDE = np.array([0, 2, -2, 4, -4, 10, -10, 13, -13, 14, -14, 5, -5, 5, -5, 5, -5]) / 100


SIZE = (4000, 3000)


class World:
    """A camera over a flat ground, and a crowd in front of it."""

    def __init__(self, *, fov=60.0, pitch=15.0, roll=0.0, height=7.0, size=SIZE, center=None):
        self.size = size
        self.focal_px = size[0] / 2 / math.tan(math.radians(fov) / 2)
        self.center_px = np.array(center if center is not None else np.array(size) / 2, dtype=float)
        self.pitch, self.roll, self.height = math.radians(pitch), math.radians(roll), height
        self.normal = normal_from_pitch_roll(self.pitch, self.roll)

    def crowd(self, n, seed=0, **how):
        """(N, 17, 3), see `crowd_and_feet`."""
        return self.crowd_and_feet(n, seed, **how)[0]

    def crowd_and_feet(
        self,
        n,
        seed=0,
        *,
        lean_deg=3.0,
        spread=0.05,
        noise=0.015,
        outliers=0.0,
        far=9.0,
        relief=None,
    ):
        """(N, 17, 3) and where they stand (N, 3); `far` in camera heights.

        Outliers lean by 20 degrees, sit or are children. The relief tells the ground's height in metres from
        metres to the right and ahead.
        """
        rng = np.random.default_rng(seed)
        ahead = np.array([0.0, 0.0, 1.0]) - self.normal[2] * self.normal
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, self.normal)
        m = 150 * n
        reach = max(far * self.height, 12.0)
        foot = -self.height * self.normal + reach * (
            rng.uniform(-0.3, 1, m)[:, None] * ahead + rng.uniform(-1, 1, m)[:, None] * right
        )
        if relief is not None:
            foot = foot + np.asarray(relief(foot @ right, foot @ ahead))[:, None] * self.normal
        nominal = project(
            np.stack([foot, foot + 1.7 * self.normal], 1), self.focal_px, self.center_px
        )
        inside = ((nominal > 0) & (nominal < self.size)).all(axis=(1, 2)) & (foot[:, 2] > 2.5)
        foot = foot[inside][:n]
        assert len(foot) == n, "the camera sees too little ground"
        stature = 1.70 * np.exp(rng.normal(0, spread, n))
        lean = np.tan(rng.normal(0, math.radians(lean_deg), (n, 2)))
        kind = np.where(rng.uniform(size=n) < outliers, rng.integers(1, 4, n), 0)
        turn = rng.uniform(0, 2 * np.pi, n)
        tilt = math.tan(math.radians(20)) * np.stack([np.cos(turn), np.sin(turn)], 1)
        lean = np.where((kind == 1)[:, None], tilt, lean)
        level = np.tile(HEIGHT, (n, 1))
        level[kind == 2, :13] -= 0.24
        stature = np.where(kind == 3, rng.uniform(0.9, 1.4, n), stature)
        axis = self.normal + lean[:, :1] * right + lean[:, 1:] * ahead
        yaw = rng.uniform(0, 2 * np.pi, n)[:, None]
        sideways = np.cos(yaw) * right + np.sin(yaw) * ahead
        body = level[..., None] * axis[:, None] + ASIDE[:, None] * sideways[:, None]
        pixels = project(
            foot[:, None] + stature[:, None, None] * body, self.focal_px, self.center_px
        )
        length = np.linalg.norm(pixels[:, 0] - pixels[:, 15:].mean(1), axis=1)
        pixels = pixels + rng.normal(size=pixels.shape) * (noise * length)[:, None, None]
        return np.concatenate([pixels, np.full((n, 17, 1), 0.9)], axis=2), foot

    def fit(self, keypoints, **options):
        return optim.fit_ground_camera(keypoints, self.size, **options)

    def errors(self, fit):
        """(4,) in log focal, pitch, roll, log offset."""
        pitch, roll = pitch_roll_from_normal(fit.normal)
        return np.array(
            [
                math.log(fit.focal_px / self.focal_px),
                pitch - self.pitch,
                roll - self.roll,
                math.log(fit.offset_m / self.height),
            ]
        )


SCENES = {
    "street": {},
    "tower": {"fov": 36, "pitch": 12, "height": 16.0, "size": (19200, 6480)},
    "pitched up": {"pitch": -10, "height": 5.0},
    "rolled, horizon inside": {"pitch": 5, "roll": 10, "height": 6.0},
    "steep": {"fov": 80, "pitch": 60, "height": 10.0},
    "principal point aside": {"center": (1500, 900)},
    "wide": {"fov": 95, "pitch": 25, "height": 9.0},
}


def terrace(ratio: float, seed: int):
    """People on the left of one ground, and on the right of one `ratio` times as far below."""
    near = World(height=9.0, pitch=20)
    other = World(height=9.0 * ratio, pitch=20)
    left, right = near.crowd(200, seed, outliers=0.1), other.crowd(240, seed + 1, outliers=0.1)
    left, right = left[left[:, 0, 0] < 2600], right[right[:, 0, 0] > 2600][:60]
    return near, np.concatenate([left, right]), len(left)


# A body of other proportions than the project's: height, to the side and forward, over stature.
_OTHER_BODY = np.array([
    [.89, 0, .07], [.91, .02, .05], [.91, -.02, .05], [.90, .045, .02], [.90, -.045, .02],
    [.80, .115, 0], [.80, -.115, 0], [.61, .13, 0], [.61, -.13, 0], [.46, .13, .03], [.46, -.13, .03],
    [.51, .07, 0], [.51, -.07, 0], [.28, .06, 0], [.28, -.06, 0], [.045, .06, 0], [.045, -.06, 0],
])  # fmt: skip
_STRIDE = np.array([0.0] * 13 + [0.03, -0.03, 0.06, -0.06])


def other_people(world, n, seed, *, noise=0.015, facing=0.0, away=(2.2, 8.8)):
    """(N, 17, 3): other proportions than `World.crowd`, leaning above the knees only, turned any way.

    Args:
        noise: of every joint, over the body's length.
        away: from how near to how far, in camera heights.
        facing: concentration of the directions about that of the camera; 0 for any.
    """
    rng = np.random.default_rng(seed)
    ahead = np.array([0.0, 0.0, 1.0]) - world.normal[2] * world.normal
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, world.normal)
    m = 60 * n
    distance = world.height * away[0] * (away[1] / away[0]) ** rng.uniform(0, 1, m)
    across = distance * rng.uniform(-1, 1, m) * world.size[0] / 2 / world.focal_px
    foot = -world.height * world.normal + distance[:, None] * ahead + across[:, None] * right
    ends = project(np.stack([foot, foot + 1.8 * world.normal], 1), world.focal_px, world.center_px)
    foot = foot[((ends > 0) & (ends < world.size)).all(axis=(1, 2))][:n]
    assert len(foot) == n, "the camera sees too little ground"
    stature = rng.normal(1.68, 0.09, n)[:, None, None]
    turn = rng.vonmises(np.pi, facing, n)[:, None]
    side = np.cos(turn) * right + np.sin(turn) * ahead
    forward = np.cross(np.broadcast_to(world.normal, side.shape), side)
    lean = rng.normal(0, math.radians(1.5), (n, 2))
    bent = _OTHER_BODY[:, :1] * (lean[:, :1] * right + lean[:, 1:] * ahead)[:, None]
    bent[:, 13:] = 0.0
    fore = _OTHER_BODY[:, 2] + _STRIDE * rng.normal(0, 1, (n, 1))
    body = _OTHER_BODY[:, :1] * world.normal + bent
    body = body + _OTHER_BODY[:, 1:2] * side[:, None] + fore[..., None] * forward[:, None]
    points = foot[:, None] + stature * body
    pixels = project(points, world.focal_px, world.center_px)
    length = np.linalg.norm(pixels[:, 0] - pixels[:, 15:].mean(axis=1), axis=1)
    pixels = pixels + rng.normal(size=pixels.shape) * (noise * length)[:, None, None]
    return np.concatenate([pixels, np.full((n, 17, 1), 0.9)], axis=2)
