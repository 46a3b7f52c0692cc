"""What a camera above a plane predicts of vertical sticks: residuals, Jacobians, covariances.

A person stands where the ray of the stick's bottom meets the plane; the top is predicted from
there, so that place (2 unknowns a person) is eliminated. Stature, lean and keypoint noise are
eliminated too: they enter through the covariance of the predicted top, to first order (the
marginal of a Gaussian latent variable).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optim import anthropometry as body
from optim.geometry import normal_from_pitch_roll, pitch_roll_from_normal, tangent_basis, unit
from optim.ground.sticks import BoolArray, Sticks
from optim.projection import FloatArray

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
        jacobian: (N, 2, 4 + K) of the predicted top by the view and by what describes the ground.
        along: (N, 2) derivative of the top by the logarithm of stature, px.
        by_bottom: (N, 2, 2) derivative of the predicted top by the bottom's pixel.
        by_grade: (N, 2) by how much lower the ground is there, over its distance.
        tangent: (N, 2) place of the predicted top, in focal lengths from the principal point.
        px_per_m: (N,) across the line of sight, at the top.
        depth_growth: (N,) change of depth from bottom to top over the depth of the bottom.
        reach: (N,) as of `Footing`.
        is_valid: (N,) the bottom's ray meets the ground, and the top is in front of the camera.
    """

    residual: FloatArray
    jacobian: FloatArray
    along: FloatArray
    by_bottom: FloatArray
    by_grade: FloatArray
    tangent: FloatArray
    px_per_m: FloatArray
    depth_growth: FloatArray
    reach: FloatArray
    is_valid: BoolArray


@dataclass(frozen=True)
class Footing:
    """Where sticks stand: how far along the rays of their bottoms, and how that changes.

    Attributes:
        depth: (N,) metres, in the view of each stick.
        by_view: (N, 4), by_pixel: (N, 2), by_number: (N, K) its derivatives by the view, by the bottom's pixel,
            and by what describes the ground.
        reach: (N,) relative change of the depth where the ground's height changes by its distance.
        is_met: (N,) whether the ray meets the ground; elsewhere the values mean nothing.
    """

    depth: FloatArray
    by_view: FloatArray
    by_pixel: FloatArray
    by_number: FloatArray
    reach: FloatArray
    is_met: BoolArray


def level_footing(view: View, sticks: Sticks, center_px: FloatArray, stature_m: float) -> Footing:
    """Where sticks stand on level ground."""
    focal = np.exp(view.log_focal)
    center_px, normal, tangents = _own(view, sticks, center_px)
    camera_height = np.exp(view.log_offset)
    offset = camera_height - sticks.bottom_height * stature_m
    ray = (sticks.bottom_px - center_px) / focal  # of depth 1
    fall = -_along(ray, normal)
    steep = np.maximum(fall, _MIN_FALL)
    depth = offset / steep
    rate = depth / steep
    by_view = np.stack(
        [
            rate * (steep + normal[:, 2]),
            *(rate * _along(ray, axis) for axis in tangents),
            camera_height / steep,
        ],
        axis=1,
    )
    return Footing(
        depth,
        by_view,
        (rate / focal)[:, None] * normal[:, :2],
        np.zeros((len(depth), 0)),
        np.sqrt(np.maximum(1 + np.sum(ray**2, axis=1) - fall**2, 0.0)) / steep,
        (fall > _MIN_FALL) & (offset > 0),
    )


def predict(
    view: View,
    sticks: Sticks,
    center_px: FloatArray,
    stature_m: float,
    footing: Footing | None = None,
) -> Prediction:
    """Residuals of all sticks with everything needed to weigh them.

    Args:
        footing: where the sticks stand; on level ground if None. The Jacobian goes on with its numbers.
    """
    if footing is None:
        footing = level_footing(view, sticks, center_px, stature_m)
    focal = np.exp(view.log_focal)
    center_px, normal, tangents = _own(view, sticks, center_px)
    length = (sticks.top_height - sticks.bottom_height) * stature_m
    ray = (sticks.bottom_px - center_px) / focal  # of depth 1
    depth = footing.depth
    top_depth = depth + length * normal[:, 2]
    is_valid = footing.is_met & (top_depth > _MIN_DEPTH_RATIO * depth)
    # Who cannot stand there yet is near and blurred: the spreads that a search starts with let them in.
    top_depth = np.where(is_valid, top_depth, 1.0)
    tangent = (ray * depth[:, None] + length[:, None] * normal[:, :2]) / top_depth[:, None]
    tangent = np.where(is_valid[:, None], tangent, 0.0)
    px_per_m = focal / top_depth
    moves = np.where(is_valid, px_per_m, 0.0)
    nearer = (ray - tangent) * moves[:, None]  # tops, by a metre of the bottom's depth
    by_bottom = nearer[:, :, None] * footing.by_pixel[:, None]
    by_bottom[:, [0, 1], [0, 1]] += (moves * depth / focal)[:, None]
    return Prediction(
        residual=np.where(is_valid[:, None], sticks.top_px - tangent * focal - center_px, 0.0),
        jacobian=_jacobian(focal, ray, tangent, moves, nearer, length, tangents, footing),
        along=_seen(normal, tangent, px_per_m * length),
        by_bottom=by_bottom,
        by_grade=nearer * (depth * footing.reach)[:, None],
        tangent=tangent,
        px_per_m=px_per_m,
        depth_growth=length * normal[:, 2] / depth,
        reach=footing.reach,
        is_valid=is_valid,
    )


def _jacobian(
    focal: float,
    ray: FloatArray,
    tangent: FloatArray,
    px_per_m: FloatArray,
    nearer: FloatArray,
    length: FloatArray,
    tangents: tuple[FloatArray, FloatArray],
    footing: Footing,
) -> FloatArray:
    """(N, 2, 4 + K) of the top by (log focal, two tangents of the normal, log offset) and the ground, px.

    Tops move with their bottoms, which move along their rays, and turn with the normal.
    """
    by_depth = np.concatenate([footing.by_view, footing.by_number], axis=1)
    out = nearer[:, :, None] * by_depth[:, None]
    out[:, :, 0] += tangent * focal - ray * (px_per_m * footing.depth)[:, None]
    for k, axis in enumerate(tangents, start=1):
        out[:, :, k] += _seen(axis, tangent, px_per_m * length)
    return np.asarray(out)


def _along(ray: FloatArray, axis: FloatArray) -> FloatArray:
    """(N,) component of rays (N, 2), their third being 1, along axes (N, 3) or (1, 3)."""
    if len(axis) == 1:
        return np.asarray(ray @ axis[0, :2] + axis[0, 2])
    return np.asarray(np.sum(ray * axis[:, :2], axis=1) + axis[:, 2])


def _seen(axis: FloatArray, tangent: FloatArray, px_per_unit: FloatArray) -> FloatArray:
    """(N, 2) pixels by which points at `tangent` move when they move along axes (N, 3) or (1, 3)."""
    return np.asarray((axis[:, :2] - tangent * axis[:, 2:]) * px_per_unit[:, None])


def _own(
    view: View, sticks: Sticks, center_px: FloatArray
) -> tuple[FloatArray, FloatArray, tuple[FloatArray, FloatArray]]:
    """Principal points, normal and its tangents in the view of each stick; first axis N or 1."""
    first, second = tangent_basis(view.normal)
    if sticks.views is None:
        return center_px[None], view.normal[None], (first[None], second[None])
    turn = sticks.views.R_own_cam
    return sticks.views.center_px, turn @ view.normal, (turn @ first, turn @ second)


def rays_of(view: View, sticks: Sticks, center_px: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rays of the sticks' bottoms in the camera frame, and how they move.

    Returns:
        (N, 3) rays, of depth 1 in the view of each stick; (N, 3, 3) their derivatives by log focal, and by the
        columns and rows of the bottoms' pixels.
    """
    focal = np.exp(view.log_focal)
    own_center = center_px if sticks.views is None else sticks.views.center_px
    ray = np.concatenate(
        [(sticks.bottom_px - own_center) / focal, np.ones((len(sticks), 1))], axis=1
    )
    moves = np.zeros((len(sticks), 3, 3))
    moves[:, 0, :2] = -ray[:, :2]
    moves[:, 1, 0] = moves[:, 2, 1] = 1 / focal
    if sticks.views is None:
        return ray, moves
    turn = sticks.views.R_own_cam
    return np.einsum("ni,nij->nj", ray, turn), np.einsum("nki,nij->nkj", moves, turn)


def sway(prediction: Prediction, sticks: Sticks, stature_m: float) -> FloatArray:
    """(N, 2, 2) covariance of the tops for leans of 1 rad standard deviation, px^2."""
    length = (sticks.top_height - sticks.bottom_height) * stature_m
    tangent, along = prediction.tangent, prediction.along
    everywhere = np.eye(2) + tangent[:, :, None] * tangent[:, None, :]
    everywhere *= ((prediction.px_per_m * length) ** 2)[:, None, None]
    return np.asarray(everywhere - along[:, :, None] * along[:, None, :])


def end_noise(prediction: Prediction, sticks: Sticks) -> FloatArray:
    """(N, 2, 2) covariance of observed minus predicted top from the noise of both ends, px^2."""
    by_bottom = prediction.by_bottom
    first, second = by_bottom[:, :, :1], by_bottom[:, :, 1:]
    square = first * first.transpose(0, 2, 1) + second * second.transpose(0, 2, 1)
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
    return np.asarray(prediction.by_grade[:, :, None] * prediction.by_grade[:, None, :])


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
    # Direction of up in the picture, at the stick's bottom.
    upward = own_normals[..., :2] - low * own_normals[..., 2:]
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
