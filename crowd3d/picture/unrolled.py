"""Pictures in which people do not stand upright, as panoramas in which they do.

A fisheye, or a camera that looks down steeply, shows people around the point below it, their heads outward.
`Unrolled` is the same view as a Mercator panorama whose axis is the vertical. There everybody is upright, and
as slender as in the picture, so that whatever finds people in panoramas finds these. What was found there goes
back into the picture.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
import torch

from crowd3d.maths.upright import as_floats, gravity_axes
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections, PeopleSeen
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownGround
from crowd3d.scene.plane import Plane
from optim.geometry import pitch_roll_from_normal, tangent_basis
from optim.panorama import MERCATOR
from tiling import Picture

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

# How far a panorama goes below and above the horizon. Who stands nearer to straight below is not seen.
_LOWEST_RAD, _HIGHEST_RAD = math.radians(84.0), math.radians(45.0)
_SAMPLES = 65  # along each side of a grid over the picture
_SEAM_RAD = math.radians(
    10.0
)  # a picture with a wider gap between its bearings does not go all around
_SAME_RAY = math.cos(math.radians(0.5))
_LEAN = math.tan(math.radians(60.0))  # of people in the picture, from which they lie
_LYING_SHARE = 0.15  # of the ground in view, where they do
_LEAST_COS = 1e-3
_OUTSIDE = 114  # grey beyond the picture, as in `tiling`


@dataclass(frozen=True)
class Unrolled:
    """The way between a picture and its panorama around the vertical.

    Attributes:
        camera: of the picture; panorama: of the panorama.
        R_level_cam: (3, 3) turns the picture's camera frame into the panorama's, whose y axis is gravity.
    """

    camera: Camera
    panorama: Camera
    R_level_cam: FloatArray

    @classmethod
    def of(cls, camera: Camera, up: npt.ArrayLike) -> Unrolled:
        """The panorama of all that a camera sees, with as many pixels per radian at the horizon.

        Args:
            up: (3,) unit vector against gravity in the camera frame.
        """
        ahead = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
        R_level_cam = gravity_axes(ahead, as_floats(np.asarray(up, np.float64)[None]))[0].numpy()
        left, right, low, high = _extent_rad(camera, R_level_cam)
        focal = camera.focal_px
        columns, rows = (right - left) * focal, (_row(low) + _row(high)) * focal
        size = max(1, math.ceil(columns)), max(1, math.ceil(rows))
        center = (-left * focal, _row(high) * focal)
        panorama = Camera(*size, focal, center, projection=MERCATOR)
        return cls(camera, panorama, R_level_cam)

    def to_picture(self, points_px: FloatArray) -> FloatArray:
        """(..., 2) pixels of the panorama -> pixels of the picture; NaN for what its camera cannot see."""
        rays = self.panorama.rays(points_px) @ self.R_level_cam
        places = self.camera.project(rays)
        if any(self.camera.distortion):
            # Beyond its border a lens model may fold back into the picture.
            is_there = np.sum(self.camera.rays(places) * rays, axis=-1) > _SAME_RAY
            places = np.where(is_there[..., None], places, np.nan)
        return places

    def to_panorama(self, points_px: FloatArray) -> FloatArray:
        """(..., 2) pixels of the picture -> pixels of the panorama."""
        return self.panorama.project(self.camera.rays(points_px) @ self.R_level_cam.T)

    def people_in_picture(self, people: Detections) -> Detections:
        """People, or detections, of the panorama where they are in the picture, which must show them."""
        sides = self._sides_px(people)
        keypoints = self._keypoints(people.keypoints_px)
        height_px = people.box_px[:, 3] - people.box_px[:, 1]
        away = np.linalg.norm(sides[:, 1] - sides[:, 3], axis=1) / np.maximum(height_px, 1e-9)
        moved = replace(
            people,
            box_px=np.concatenate([sides.min(axis=1), sides.max(axis=1)], axis=1),
            keypoints_px=keypoints,
            head_px=people.head_px * away,
        )
        if isinstance(moved, PeopleSeen):
            moved.looks_px = self._keypoints(moved.looks_px)
        return moved

    def shows(self, people: Detections) -> npt.NDArray[np.bool_]:
        """(N,) whether the picture shows people, or detections, of the panorama."""
        return np.asarray(np.isfinite(self._sides_px(people)).all(axis=(1, 2)))

    def _sides_px(self, people: Detections) -> FloatArray:
        """(N, 4, 2) where the picture shows the middles of boxes' left, upper, right and lower side."""
        left, top, right, bottom = people.box_px.T
        u, v = (left + right) / 2, (top + bottom) / 2
        sides = np.stack([left, v, u, top, right, v, u, bottom], axis=-1).reshape(-1, 4, 2)
        return self.to_picture(sides)

    def _keypoints(self, keypoints_px: FloatArray) -> FloatArray:
        """(..., 17, 3) with pixels in the picture; what it cannot show has score 0."""
        places = self.to_picture(keypoints_px[..., :2])
        seen = np.isfinite(places).all(axis=-1, keepdims=True)
        return np.where(seen, np.concatenate([places, keypoints_px[..., 2:]], axis=-1), 0.0)

    def fitted_in_picture(self, fitted: Fitted) -> Fitted:
        """Camera and ground of the panorama, in the frame of the picture's camera."""
        return _turned(fitted, self.R_level_cam.T, self.camera)

    def ground_in_panorama(self, ground: KnownGround) -> KnownGround:
        """What is known of gravity and height, in the panorama's frame."""
        if ground.gravity is None:
            return ground
        x, y, z = (float(value) for value in self.R_level_cam @ np.array(ground.gravity))
        return KnownGround((x, y, z), ground.height_m)

    def fitted_in_panorama(self, fitted: Fitted) -> Fitted:
        """The inverse of `fitted_in_picture`."""
        return _turned(fitted, self.R_level_cam, self.panorama)


@dataclass(frozen=True)
class UnrolledPicture:
    """A picture that is read as its panorama; see `tiling.Picture`."""

    picture: Picture
    unrolled: Unrolled

    @property
    def width(self) -> int:
        """Columns of the panorama."""
        return self.unrolled.panorama.width

    @property
    def height(self) -> int:
        """Rows of the panorama."""
        return self.unrolled.panorama.height

    @cached_property
    def identity(self) -> str:
        """Of the picture and of the way it is unrolled."""
        way = [self.unrolled.camera.to_dict(), self.unrolled.R_level_cam.tolist()]
        text = self.picture.identity + json.dumps(way, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def check_unchanged(self) -> None:
        """As `tiling.Picture.check_unchanged`."""
        self.picture.check_unchanged()

    def read(
        self, x: float, y: float, w: float, h: float, out_size: tuple[int, int] | None = None
    ) -> Pixels:
        """Pixels of a region, as `tiling.Picture.read`; what the picture does not show is grey."""
        out_w, out_h = out_size or (max(1, round(w)), max(1, round(h)))
        u = x + (np.arange(out_w) + 0.5) * (w / out_w)
        v = y + (np.arange(out_h) + 0.5) * (h / out_h)
        inside_panorama = ((v >= 0) & (v <= self.height))[:, None] & ((u >= 0) & (u <= self.width))
        places = self.unrolled.to_picture(np.stack(np.meshgrid(u, v), axis=-1))
        size = (self.picture.width, self.picture.height)
        with np.errstate(invalid="ignore"):
            inside = ((places >= 0) & (places <= size)).all(axis=-1) & inside_panorama
        if not inside.any():
            return np.full((out_h, out_w, 3), _OUTSIDE, np.uint8)
        left, top = np.floor(places[inside].min(axis=0)) - 2
        right, bottom = np.ceil(places[inside].max(axis=0)) + 2
        scale = min(1.0, 1 / max(_step_px(places, inside), 1e-6))
        wide, tall = (max(2, round(side * scale)) for side in (right - left, bottom - top))
        pixels = self.picture.read(left, top, right - left, bottom - top, (wide, tall))
        at = (np.where(inside[..., None], places, left) - (left, top)) * (
            wide / (right - left),
            tall / (bottom - top),
        )
        at = at.astype(np.float32) - 0.5
        seen = cv2.remap(pixels, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        seen[~inside] = _OUTSIDE
        return np.asarray(seen)


def lies_in_picture(camera: Camera, plane: Plane) -> bool:
    """Whether, on much of the ground in view, people lie in the picture or stand on their heads."""
    u, v = (np.linspace(0, side, _SAMPLES) for side in (camera.width, camera.height))
    foot_px = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    rays = camera.rays(foot_px)
    foot_px, rays = (values[rays @ plane.normal < -_LEAST_COS] for values in (foot_px, rays))
    # A little above the ground, so that nobody's head is behind the camera.
    across, down = (camera.project(rays + 0.01 * plane.normal) - foot_px).T
    lies = np.abs(across) > -_LEAN * down
    return bool(len(lies)) and float(lies.mean()) > _LYING_SHARE


def _extent_rad(camera: Camera, R_level_cam: FloatArray) -> tuple[float, float, float, float]:
    """Bearings of the left and right border of what is seen; how far it goes below and above the horizon."""
    u, v = (np.linspace(0, side, _SAMPLES) for side in (camera.width, camera.height))
    rays = camera.rays(np.stack(np.meshgrid(u, v), axis=-1)).reshape(-1, 3) @ R_level_cam.T
    fall = np.arctan2(rays[:, 1], np.hypot(rays[:, 0], rays[:, 2]))
    low = min(float(fall.max()), _LOWEST_RAD)
    high = max(min(-float(fall.min()), _HIGHEST_RAD), -low + 0.1)
    bearing = np.sort(np.arctan2(rays[:, 0], rays[:, 2])[fall > -high])
    gaps = np.diff(np.concatenate([bearing, bearing[:1] + 2 * np.pi]))
    widest = int(np.argmax(gaps))
    if gaps[widest] < _SEAM_RAD:
        return -math.pi, math.pi, low, high
    # The picture begins after the widest gap.
    left = float(bearing[(widest + 1) % len(bearing)])
    right = float(bearing[widest])
    return left, right if right > left else right + 2 * math.pi, low, high


def _row(angle_rad: float) -> float:
    """Rows between the horizon and an elevation, in pixels per radian."""
    return math.asinh(math.tan(angle_rad))


def _step_px(places: FloatArray, inside: npt.NDArray[np.bool_]) -> float:
    """Median distance, in the picture, of neighbouring pixels of an answer."""
    with np.errstate(invalid="ignore"):
        steps = np.linalg.norm(np.diff(places, axis=1), axis=-1)
    steps = steps[inside[:, 1:] & inside[:, :-1]]
    return float(np.median(steps)) if len(steps) else 1.0


def _turned(fitted: Fitted, turn: FloatArray, camera: Camera) -> Fitted:
    """The same solution in a frame that is turned (3, 3), for another camera in the same place."""
    planes = [replace(plane, normal=turn @ plane.normal) for plane in fitted.planes]
    before, after = fitted.normal, planes[0].normal
    # Both ends of the way from pitch and roll to pitch and roll are moves of the normal along its tangents.
    into = np.diag([1.0, max(math.cos(pitch_roll_from_normal(before)[0]), _LEAST_COS)])
    out = np.diag([1.0, 1 / max(math.cos(pitch_roll_from_normal(after)[0]), _LEAST_COS)])
    change = np.eye(4)
    change[1:3, 1:3] = out @ tangent_basis(after) @ turn @ tangent_basis(before).T @ into
    covariance = change @ fitted.covariance @ change.T
    return replace(fitted, camera=camera, planes=planes, covariance=covariance)
