"""The stage: camera over the ground, sun, buildings and seats, in one ground frame.

Ground frame: x right, y up, z towards the viewer, metres, origin on the ground below the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from crowd3d.camera import Camera
from crowd3d.scene import Plane
from crowd3d.synth.outfits import linear
from crowd3d.synth.presets import Preset

FloatArray = npt.NDArray[np.float64]
Rng = np.random.Generator

BUILDING, KERB, SEAT, POST, TIER = range(5)
TIER_DEPTH_M, TIER_RISE_M = 0.85, 0.45
PERSON_M = 1.7


@dataclass(frozen=True)
class View:
    """Where the camera is.

    Attributes:
        rotation: (3, 3) R_camera_ground.
        height_m: of the camera above the ground.
    """

    camera: Camera
    rotation: FloatArray
    height_m: float

    @classmethod
    def of_angles(
        cls, camera: Camera, height_m: float, pitch_deg: float, roll_deg: float = 0.0
    ) -> View:
        """A camera at a height, looking down by the pitch, rolled clockwise by the roll."""
        p, r = math.radians(pitch_deg), math.radians(roll_deg)
        level = np.array(
            [[1, 0, 0], [0, -math.cos(p), math.sin(p)], [0, -math.sin(p), -math.cos(p)]]
        )
        roll = np.array([[math.cos(r), math.sin(r), 0], [-math.sin(r), math.cos(r), 0], [0, 0, 1]])
        return cls(camera, roll @ level, height_m)

    @property
    def eye_m(self) -> FloatArray:
        """(3,) the camera in the ground frame."""
        return np.array([0.0, self.height_m, 0.0])

    def to_camera(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) ground frame -> camera frame."""
        return np.asarray((np.asarray(points_m, np.float64) - self.eye_m) @ self.rotation.T)

    def project(self, points_m: npt.ArrayLike) -> FloatArray:
        """(..., 3) ground frame -> (..., 2) pixels, NaN behind the camera."""
        return self.camera.project(self.to_camera(points_m))

    def rays(self, points_px: npt.ArrayLike) -> FloatArray:
        """(..., 2) pixels -> (..., 3) unit directions in the ground frame."""
        return np.asarray(self.camera.rays(points_px) @ self.rotation)

    def plane(self, level_m: float = 0.0) -> Plane:
        """The horizontal plane at a height, in the camera frame."""
        return Plane(self.rotation @ np.array([0.0, 1.0, 0.0]), self.height_m - level_m)


@dataclass
class Boxes:
    """Upright boxes, one row each: buildings, kerbs, seats, posts.

    Attributes:
        center_m, half_m: (B, 3); yaw_rad: (B,) about the vertical.
        kind: (B,) codes of this module; color: (B, 3) linear.
    """

    center_m: FloatArray
    half_m: FloatArray
    yaw_rad: FloatArray
    kind: npt.NDArray[np.int64]
    color: FloatArray

    def __len__(self) -> int:
        return len(self.kind)

    def corners_m(self) -> FloatArray:
        """(B, 8, 3)."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
        turn = Rotation.from_euler("y", self.yaw_rad[:, None]).as_matrix().reshape(-1, 3, 3)
        local = signs * self.half_m[:, None]
        return np.asarray(np.einsum("bij,bkj->bki", turn, local) + self.center_m[:, None])


BOX_FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)  # of the corners in `corners_m`; two triangles a side: -x, +x, -y, +y, -z, +z


@dataclass(frozen=True)
class Light:
    """Sun and sky. Radiances are relative; the exposure is set from them.

    Attributes:
        to_sun: (3,) unit vector in the ground frame; sun, sky, bounce: (3,) irradiances.
        cloudiness: 0 clear .. 1 overcast.
    """

    to_sun: FloatArray
    sun: FloatArray
    sky: FloatArray
    bounce: FloatArray
    cloudiness: float


@dataclass
class World:
    """Everything but the people.

    Attributes:
        ground: kind of paving; ground_seed, ground_yaw_rad: its details.
        levels_m: heights of the horizontal planes people are on; 0 first.
        reach_m: distance of the farthest people; near_m: of the nearest ground in view.
        rise_z: where the tiers begin (they climb towards -z); None without tiers.
    """

    view: View
    light: Light
    boxes: Boxes
    ground: str
    ground_seed: int
    ground_yaw_rad: float
    levels_m: list[float]
    near_m: float
    reach_m: float
    rise_z: float | None


def sample_view(rng: Rng, size: tuple[int, int], preset: Preset) -> View:
    """A camera of the preset, for a picture of (width, height)."""
    camera = Camera.from_fov(size[0], size[1], float(rng.uniform(*preset.fov_deg)))
    angles = (float(rng.uniform(*r)) for r in (preset.height_m, preset.pitch_deg, preset.roll_deg))
    return View.of_angles(camera, *angles)


def ground_reach_m(view: View, person_px: float) -> tuple[float, float]:
    """Distances between which people stand: from the lower edge of the view to where they are too small."""
    camera = view.camera
    low = view.rays([camera.width / 2, camera.height - 1.0])
    near = view.height_m * -low[2] / max(-low[1], 1e-6) if low[1] < 0 else 4.0
    far = camera.focal_px * PERSON_M / person_px
    top = view.rays([camera.width / 2, 0.06 * camera.height])
    if top[1] < -1e-3:
        far = min(far, view.height_m * -top[2] / -top[1])
    near = max(near, 2.0)
    return near, max(far, 1.8 * near)


def sample_light(rng: Rng, preset: Preset) -> Light:
    """Sun somewhere behind or beside the camera, or an overcast sky."""
    azimuth = rng.uniform(-1.7, 1.7)
    elevation = math.radians(rng.uniform(preset.min_elevation_deg, 68))
    to_sun = np.array(
        [
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        ]
    )
    if rng.random() < preset.sunny:
        warmth = np.array(
            [1.0, 0.93 - 0.1 * math.cos(elevation), 0.84 - 0.24 * math.cos(elevation)]
        )
        strength = rng.uniform(1.6, 3.2)
        return Light(
            to_sun,
            strength * warmth,
            np.array([0.80, 0.92, 1.12]),
            np.array([0.33, 0.31, 0.28]),
            rng.uniform(0.05, 0.45),
        )
    return Light(
        to_sun,
        rng.uniform(0.0, 0.25) * np.ones(3),
        np.array([0.98, 1.0, 1.04]),
        np.array([0.30, 0.29, 0.28]),
        1.0,
    )


_WALLS = ("b9a48a", "cbbfae", "a86f54", "8d8f92", "d8d2c6", "9c8468", "b7b3ab", "7a5a48", "c7b48f")


def _row_of_buildings(
    rng: Rng, start: float, end: float, wall: float, along_x: bool, sign: float
) -> list[tuple[FloatArray, FloatArray, str]]:
    """Buildings side by side from `start` to `end`, their fronts at the distance `wall`."""
    found, at = [], start
    while at < end:
        width, height, depth = rng.uniform(14, 34), rng.uniform(9, 26), rng.uniform(10, 16)
        setback = rng.uniform(0, 1.5)
        middle, out = at + width / 2, wall + setback + depth / 2
        center = (
            np.array([middle, height / 2, -out])
            if along_x
            else np.array([sign * out, height / 2, -middle])
        )
        half = (
            np.array([width, height, depth]) / 2
            if along_x
            else np.array([depth, height, width]) / 2
        )
        found.append((center, half, str(rng.choice(_WALLS))))
        at += width + (rng.uniform(4, 9) if rng.random() < 0.25 else 0.0)
    return found


def sample_boxes(
    rng: Rng, view: View, preset: Preset, reach_m: float
) -> tuple[Boxes, list[float], float | None]:
    """Buildings behind and beside the crowd, kerbs, lamp posts, tiers; heights of the tiers and their start."""
    half_width = reach_m * math.tan(view.camera.fov_rad / 2) * 1.3 + 10
    rows: list[tuple[FloatArray, FloatArray, float, int, str]] = []
    levels, rise_z = [0.0], None
    wall = reach_m * preset.front + 4
    if preset.tiers:
        rise_z = -(reach_m * 0.55)
        wall = max(wall, -rise_z + preset.tiers * TIER_DEPTH_M + 6)
        for k in range(preset.tiers):
            top = (k + 1) * TIER_RISE_M
            middle = rise_z - (k + 0.5) * TIER_DEPTH_M
            levels.append(top)
            rows.append(
                (
                    np.array([0, top / 2, middle]),
                    np.array([half_width, top / 2, TIER_DEPTH_M / 2]),
                    0.0,
                    TIER,
                    "9a9a98",
                )
            )
    if preset.front:
        for center, half, color in _row_of_buildings(rng, -half_width, half_width, wall, True, 1.0):
            rows.append((center, half, 0.0, BUILDING, color))
        rows.append(
            (
                np.array([0, 0.07, -(wall - 2.2)]),
                np.array([half_width, 0.07, 0.15]),
                0.0,
                KERB,
                "a3a19c",
            )
        )
    if preset.sides:
        for sign in (-1.0, 1.0):
            out = rng.uniform(7, 12)
            for center, half, color in _row_of_buildings(rng, -6.0, wall, out, False, sign):
                rows.append((center, half, 0.0, BUILDING, color))
            rows.append(
                (
                    np.array([sign * (out - 2.5), 0.06, -wall / 2]),
                    np.array([0.12, 0.06, wall / 2 + 6]),
                    0.0,
                    KERB,
                    "a3a19c",
                )
            )
    for _ in range(int(rng.integers(2, 7)) if not preset.tiers else 0):
        at = np.array([rng.uniform(-0.7, 0.7) * half_width, 0.0, -rng.uniform(0.5, 1.1) * wall])
        tall = rng.uniform(4.5, 8.0)
        rows.append(
            (at + np.array([0, tall / 2, 0]), np.array([0.06, tall / 2, 0.06]), 0.0, POST, "3a3d40")
        )
        rows.append(
            (
                at + np.array([0, tall, 0]),
                np.array([0.55, 0.05, 0.12]),
                float(rng.uniform(0, 3)),
                POST,
                "54575a",
            )
        )
    return _stack(rows), levels, rise_z


def _stack(rows: list[tuple[FloatArray, FloatArray, float, int, str]]) -> Boxes:
    return Boxes(
        np.array([r[0] for r in rows], np.float64).reshape(-1, 3),
        np.array([r[1] for r in rows], np.float64).reshape(-1, 3),
        np.array([r[2] for r in rows], np.float64),
        np.array([r[3] for r in rows], np.int64),
        np.array([linear(r[4])[0] for r in rows], np.float64).reshape(-1, 3),
    )


def add_boxes(boxes: Boxes, rows: list[tuple[FloatArray, FloatArray, float, int, str]]) -> Boxes:
    """The boxes and some more: (center, half, yaw, kind, sRGB hex) each."""
    more = _stack(rows)
    return Boxes(
        *(
            np.concatenate([getattr(boxes, n), getattr(more, n)])
            for n in ("center_m", "half_m", "yaw_rad", "kind", "color")
        )
    )


def sample_world(
    rng: Rng, size: tuple[int, int], preset: Preset, view: View | None = None
) -> World:
    """A place of the preset; a given view is used as it is."""
    drawn = sample_view(rng, size, preset)
    view = view or drawn
    near, reach = ground_reach_m(view, preset.person_px * size[1] / 1000)
    boxes, levels, rise_z = sample_boxes(rng, view, preset, reach)
    return World(
        view=view,
        light=sample_light(rng, preset),
        boxes=boxes,
        ground=str(rng.choice(preset.grounds)),
        ground_seed=int(rng.integers(1 << 30)),
        ground_yaw_rad=float(rng.uniform(-0.8, 0.8))
        if not preset.sides
        else float(rng.normal(0, 0.03)),
        levels_m=levels,
        near_m=near,
        reach_m=reach,
        rise_z=rise_z,
    )
