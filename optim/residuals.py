"""What a camera above a plane predicts of vertical sticks: residuals, Jacobians, covariances.

A person stands where the ray of the stick's bottom meets the plane; the top is predicted from
there, so that place (2 unknowns a person) is eliminated. Stature, lean and keypoint noise are
eliminated too: they enter through the covariance of the predicted top, to first order (the
marginal of a Gaussian latent variable).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import anthropometry as body
from .geometry import normal_from_pitch_roll, pitch_roll_from_normal, tangent_basis, unit
from .projection import FloatArray
from .sticks import BoolArray, Sticks

_MIN_FALL = 1e-7  # rays must fall at least so steeply (per unit of depth) to meet the ground
_MIN_DEPTH_RATIO = 0.02  # depth of the top over that of the bottom
_BLIND_SD = 30.0  # of the horizontal position of a box's top, in lengths: no information


@dataclass(frozen=True)
class View:
    """The unknowns: one camera above one plane, with what is known beforehand.

    Attributes:
        log_focal, log_offset: logarithms of pixels and metres.
        normal: (3,) unit vector up.
    """

    log_focal: float
    normal: FloatArray
    log_offset: float

    def moved(self, step: FloatArray) -> View:
        """After a step in (log focal, two tangents of the normal, log offset)."""
        normal = unit(self.normal + step[1:3] @ tangent_basis(self.normal))
        return View(self.log_focal + float(step[0]), normal, self.log_offset + float(step[3]))

    def minus(self, other: View) -> FloatArray:
        """(4,) the step that leads from another view to this one, to first order."""
        tangent = tangent_basis(other.normal) @ (self.normal - other.normal)
        return np.array(
            [self.log_focal - other.log_focal, *tangent, self.log_offset - other.log_offset]
        )

    @classmethod
    def of(cls, focal_px: float, pitch_rad: float, roll_rad: float, offset_m: float) -> View:
        return cls(np.log(focal_px), normal_from_pitch_roll(pitch_rad, roll_rad), np.log(offset_m))

    @property
    def pitch_roll(self) -> tuple[float, float]:
        return pitch_roll_from_normal(self.normal)


@dataclass(frozen=True)
class Prediction:
    """Tops of sticks as a view predicts them; rows of people who cannot stand there hold zeros.

    Attributes:
        residual: (N, 2) observed minus predicted top, px.
        jacobian: (N, 2, 4) of the predicted top.
        along: (N, 2) derivative of the top by the logarithm of stature, px.
        by_bottom: (N, 2, 2) derivative of the predicted top by the bottom's pixel.
        by_point: (N, 2, 3) derivative of the predicted top's pixel by its place, px per m.
        depth_growth: (N,) change of depth from bottom to top over the depth of the bottom.
        reach: (N,) horizontal distance of the bottom over the camera's height above it.
        is_valid: (N,) the bottom is below the horizon and the top in front of the camera.
    """

    residual: FloatArray
    jacobian: FloatArray
    along: FloatArray
    by_bottom: FloatArray
    by_point: FloatArray
    depth_growth: FloatArray
    reach: FloatArray
    is_valid: BoolArray


def predict(
    view: View,
    sticks: Sticks,
    center_px: FloatArray,
    stature_m: float,
    offset_ratio: FloatArray | float = 1.0,
) -> Prediction:
    """Residuals of all sticks with everything needed to weigh them.

    Args:
        offset_ratio: (N,) height of the camera above the ground of each stick, over the view's.
    """
    focal = np.exp(view.log_focal)
    center_px, normal, tangents = _own(view, sticks, center_px)
    camera_height = np.exp(view.log_offset) * offset_ratio
    offset = camera_height - sticks.bottom_height * stature_m
    length = (sticks.top_height - sticks.bottom_height) * stature_m
    n = len(sticks)
    ray = np.ones((n, 3))
    ray[:, :2] = (sticks.bottom_px - center_px) / focal
    fall = -np.sum(ray * normal, axis=1)
    depth = offset / np.maximum(fall, _MIN_FALL)
    bottom = ray * depth[:, None]
    top = bottom + length * normal
    is_valid = (fall > _MIN_FALL) & (offset > 0) & (top[:, 2] > _MIN_DEPTH_RATIO * depth)
    top_depth = np.where(is_valid, top[:, 2], 1.0)
    normalised = top[:, :2] / top_depth[:, None]

    projection = np.zeros((n, 2, 3))  # of points to pixels, at the tops
    normalised = np.where(is_valid[:, None], normalised, 0.0)
    projection[:, 0, 0] = projection[:, 1, 1] = focal / top_depth
    projection[:, :, 2] = -normalised * (focal / top_depth)[:, None]

    # How the top moves in space with the parameters and with the bottom's pixel.
    rate = depth / np.maximum(fall, _MIN_FALL)
    moves = np.empty((n, 3, 4))
    to_center = ray * [-1.0, -1.0, 0.0]
    moves[:, :, 0] = (
        to_center * depth[:, None] + ray * (rate * np.sum(to_center * normal, axis=1))[:, None]
    )
    for k, axis in enumerate(tangents, start=1):
        moves[:, :, k] = ray * (rate * np.sum(ray * axis, axis=1))[:, None] + length * axis
    moves[:, :, 3] = bottom * np.reshape(camera_height / offset, (-1, 1))
    jacobian = _projected(moves, normalised, focal / top_depth)
    jacobian[:, :, 0] += normalised * focal
    by_bottom = ray[:, :, None] * (rate[:, None] * normal[:, :2] / focal)[:, None, :]
    by_bottom[:, [0, 1], [0, 1]] += (depth / focal)[:, None]

    predicted = normalised * focal + center_px
    residual = np.where(is_valid[:, None], sticks.top_px - predicted, 0.0)
    mask = is_valid[:, None, None]
    return Prediction(
        residual=residual,
        jacobian=np.where(mask, jacobian, 0.0),
        along=(projection @ normal[:, :, None])[..., 0] * length,
        by_bottom=np.where(mask, _projected(by_bottom, normalised, focal / top_depth), 0.0),
        by_point=projection,
        depth_growth=length * normal[:, 2] / depth,
        reach=np.linalg.norm(ray + fall[:, None] * normal, axis=1) / np.maximum(fall, _MIN_FALL),
        is_valid=is_valid,
    )


def _projected(moves: FloatArray, normalised: FloatArray, scale: FloatArray) -> FloatArray:
    """(N, 2, K) pixels by which points seen at `normalised` move when they move by (N, 3, K).

    The same as multiplying with the projection's derivative, without its zeros.
    """
    aside = moves[:, :2] - normalised[:, :, None] * moves[:, 2:]
    return np.asarray(aside * scale[:, None, None])


def _own(
    view: View, sticks: Sticks, center_px: FloatArray
) -> tuple[FloatArray, FloatArray, tuple[FloatArray, FloatArray]]:
    """Principal points, normal and its tangents in the view of each stick; first axis N or 1."""
    first, second = tangent_basis(view.normal)
    if sticks.views is None:
        return center_px[None], view.normal[None], (first[None], second[None])
    turn = sticks.views.R_own_cam
    return sticks.views.center_px, turn @ view.normal, (turn @ first, turn @ second)


def sway(prediction: Prediction, sticks: Sticks, stature_m: float) -> FloatArray:
    """(N, 2, 2) covariance of the tops for leans of 1 rad standard deviation, px^2."""
    length = (sticks.top_height - sticks.bottom_height) * stature_m
    everywhere = prediction.by_point @ prediction.by_point.transpose(0, 2, 1) * length**2
    along = prediction.along
    return np.asarray(everywhere - along[:, :, None] * along[:, None, :])


def end_noise(prediction: Prediction, sticks: Sticks) -> FloatArray:
    """(N, 2, 2) covariance of observed minus predicted top from the noise of both ends, px^2."""
    by_bottom = prediction.by_bottom
    square = by_bottom @ by_bottom.transpose(0, 2, 1)
    both = by_bottom + by_bottom.transpose(0, 2, 1)
    noise = sticks.var_bottom[:, None, None] * square - sticks.cov[:, None, None] * both
    noise[:, 0, 0] += sticks.var_top
    noise[:, 1, 1] += sticks.var_top
    if not sticks.sees_angle:
        noise[:, 0, 0] += (_BLIND_SD * sticks.length_px) ** 2
    return np.asarray(noise)


def unevenness(prediction: Prediction) -> FloatArray:
    """(N, 2, 2) covariance of the tops where the ground's height varies by its distance, px^2.

    Who stands higher than the plane is nearer than the plane says, as if the camera were lower.
    """
    by_height = prediction.jacobian[:, :, 3] * prediction.reach[:, None]
    return np.asarray(by_height[:, :, None] * by_height[:, None, :])


def log_offsets(
    normals: FloatArray,
    focals_px: FloatArray,
    sticks: Sticks,
    center_px: FloatArray,
    stature_m: float,
) -> tuple[FloatArray, FloatArray]:
    """What every stick alone says, for many cameras at once.

    Both rays of a stick and the known length between its ends give the depth in closed form (least
    squares over the component along the stick), hence the height of the camera; the component
    across the stick is the angle by which the stick leans.

    Args:
        normals: (C, 3) candidates, focals_px: (C,).

    Returns:
        (C, N) logarithm of the camera's height, NaN where there is none; (C, N) lean in the
        picture, radians.
    """
    length = (sticks.top_height - sticks.bottom_height) * stature_m
    own_normals = normals[:, None]
    if sticks.views is not None:
        center_px = sticks.views.center_px
        own_normals = np.einsum("nij,cj->cni", sticks.views.R_own_cam, normals)
    low = (sticks.bottom_px - center_px) / focals_px[:, None, None]
    high = (sticks.top_px - center_px) / focals_px[:, None, None]
    seen = high - low
    upward = (
        own_normals[..., :2] - low * own_normals[..., 2:]
    )  # picture direction of up, at the bottom
    norm2 = np.sum(upward**2, axis=-1)
    dot = np.sum(upward * seen, axis=-1)
    cross = upward[..., 0] * seen[..., 1] - upward[..., 1] * seen[..., 0]
    # top = (low Z + L n_xy) / (Z + L n_z), hence seen (Z + L n_z) = L upward: solve along `upward`.
    share = dot / np.maximum(norm2, 1e-12)
    depth = length / np.where(share > 0, share, np.nan) - length * own_normals[..., 2]
    fall = -(np.sum(low * own_normals[..., :2], axis=-1) + own_normals[..., 2])
    height = depth * fall + sticks.bottom_height * stature_m
    usable = (depth > 0) & (fall > 0)
    with np.errstate(invalid="ignore"):
        log_height = np.log(np.where(usable, height, np.nan))
    return np.asarray(log_height), np.asarray(np.arctan2(cross, dot))


def adult_sd(sticks: Sticks) -> tuple[FloatArray, FloatArray]:
    """(N,) rough standard deviations of a single stick's log offset and lean, for the starts."""
    end = (sticks.var_bottom + sticks.var_top - 2 * sticks.cov) / sticks.length_px**2
    size = np.sqrt(body.LOG_STATURE_SD**2 + end)
    return size, np.sqrt(body.UPRIGHT_LEAN_SD_RAD**2 + end)
