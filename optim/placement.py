"""Where posed bodies stand: batched robust least squares for position on the ground and size.

Every body has three unknowns: its foot point on the plane (2) and the logarithm of its scale (1). Bodies do
not share unknowns, so that all normal equations are 3 x 3 and solved at once. The camera enters through the
rays of the seen keypoints only; no projection is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .projection import FloatArray

# Per-keypoint standard deviations of human annotators over the square root of a person's area
# (COCO keypoint evaluation, 2 sigma_i); detectors are about as good on people seen well.
COCO_SIGMAS = np.array(
    [.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089]
)  # fmt: skip
_AREA_OF_HEIGHT = 0.25  # square root of a person's area over the height, upright adults
_MIN_SCORE = 0.05  # keypoints below say nothing
_HUBER = 2.0  # residuals beyond so many standard deviations lose weight
_ITERATIONS = 15
_STEP_LIMIT = 0.3  # of the distance, and of the logarithm of the scale, in one step
_TINY = 1e-9


@dataclass(frozen=True)
class Placement:
    """One row a person.

    Attributes:
        torso_m: (N, 3) torso centre, camera frame.
        scale: (N,) factor on the given body.
        position_cov_m2: (N, 3, 3) covariance of the foot point for a camera known exactly; singular along
            the plane's normal.
        residual_px: (N,) root mean square of the weighted keypoint residuals.
        is_placed: (N,) False where no place in front of the camera explains the picture.
    """

    torso_m: FloatArray
    scale: FloatArray
    position_cov_m2: FloatArray
    residual_px: FloatArray
    is_placed: npt.NDArray[np.bool_]


def place_people(
    keypoints_m: FloatArray,
    torso_height_m: FloatArray,
    scores: FloatArray,
    rays: FloatArray,
    px_per_rad: FloatArray,
    normal: FloatArray,
    offset_m: float,
    *,
    stature_m: FloatArray,
    stature_prior_m: tuple[float, float] = (1.70, 0.10),
) -> Placement:
    """Stands every body on the plane so that its keypoints meet the rays they were seen along.

    Args:
        keypoints_m: (N, 17, 3) about the torso centre, turned into the camera frame.
        torso_height_m: (N,) of the torso centre above the body's lowest point, along the normal.
        scores: (N, 17) of the seen keypoints.
        rays: (N, 17, 3) unit directions of the seen keypoints.
        px_per_rad: (N,) picture pixels per radian at each person.
        normal, offset_m: the plane n.X + d = 0, n up.
        stature_m: (N,) standing height of the given bodies.
        stature_prior_m: mean and standard deviation of the population.
    """
    normal = np.asarray(normal, dtype=np.float64)
    weights, sigma_rad = _noise(keypoints_m, scores, rays, px_per_rad)
    log_prior_mean = np.log(stature_prior_m[0] / stature_m)
    log_prior_sd = stature_prior_m[1] / stature_prior_m[0]
    plane_axes = _plane_axes(normal)
    tangents = _tangents(rays)
    foot = _initial_foot(keypoints_m, scores, rays, normal, offset_m)
    log_scale = log_prior_mean.copy()

    def terms(foot: FloatArray, log_scale: FloatArray) -> tuple[FloatArray, ...]:
        """Residuals (N, 17, 2) in sigmas, their Jacobian (N, 17, 2, 3), depths (N, 17)."""
        body = keypoints_m + (torso_height_m[:, None] * normal)[:, None, :]
        scale = np.exp(log_scale)[:, None, None]
        points = foot[:, None, :] + scale * body
        depth = np.einsum("njc,njc->nj", points, rays)
        safe = np.maximum(depth, _TINY)[..., None]
        across = np.einsum("njkc,njc->njk", tangents, points)
        residual = across / safe / sigma_rad[..., None]
        moves = np.stack(
            [np.broadcast_to(a, points.shape) for a in plane_axes] + [scale * body], axis=-1
        )  # d point / d parameter
        d_across = np.einsum("njkc,njcp->njkp", tangents, moves)
        d_depth = np.einsum("njc,njcp->njp", rays, moves)[:, :, None, :]
        jacobian = (d_across - (across / safe)[..., None] * d_depth) / safe[..., None]
        return residual, jacobian / sigma_rad[..., None, None], depth

    def cost(residual: FloatArray, depth: FloatArray, log_scale: FloatArray) -> FloatArray:
        size = np.linalg.norm(residual, axis=-1)
        huber = np.where(size < _HUBER, size**2, 2 * _HUBER * size - _HUBER**2)
        behind = np.where((depth <= _TINY) & (weights > 0), 1e6, 0.0)
        prior = ((log_scale - log_prior_mean) / log_prior_sd) ** 2
        return np.asarray((weights * huber + behind).sum(axis=1) + prior)

    residual, jacobian, depth = terms(foot, log_scale)
    best = cost(residual, depth, log_scale)
    damping = np.full(len(foot), 1e-3)
    for _ in range(_ITERATIONS):
        size = np.linalg.norm(residual, axis=-1)
        robust = weights * np.minimum(1.0, _HUBER / np.maximum(size, _TINY))
        hessian = np.einsum("nj,njkp,njkq->npq", robust, jacobian, jacobian)
        gradient = np.einsum("nj,njkp,njk->np", robust, jacobian, residual)
        hessian[:, 2, 2] += 1 / log_prior_sd**2
        gradient[:, 2] += (log_scale - log_prior_mean) / log_prior_sd**2
        diagonal = np.einsum("npp->np", hessian)
        damped = hessian + (damping[:, None] * diagonal + _TINY)[:, None, :] * np.eye(3)
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        reach = np.maximum(np.linalg.norm(foot, axis=1), 1.0)
        length = np.maximum(np.linalg.norm(step[:, :2], axis=1) / reach, np.abs(step[:, 2]))
        step *= np.minimum(1.0, _STEP_LIMIT / np.maximum(length, _TINY))[:, None]
        trial_foot = foot + step[:, :1] * plane_axes[0] + step[:, 1:2] * plane_axes[1]
        trial_scale = log_scale + step[:, 2]
        trial = terms(trial_foot, trial_scale)
        trial_cost = cost(trial[0], trial[2], trial_scale)
        better = trial_cost < best
        foot = np.where(better[:, None], trial_foot, foot)
        log_scale = np.where(better, trial_scale, log_scale)
        best = np.where(better, trial_cost, best)
        damping = np.clip(damping * np.where(better, 0.3, 8.0), 1e-9, 1e9)
        residual, jacobian, depth = terms(foot, log_scale)

    in_front = np.all((depth > _TINY) | (weights == 0), axis=1) & (weights.sum(axis=1) > 0)
    scale = np.exp(log_scale)
    torso = foot + (scale * torso_height_m)[:, None] * normal
    covariance = _foot_covariance(residual, jacobian, weights, log_prior_sd, plane_axes)
    squares = (weights[..., None] * (residual * sigma_rad[..., None]) ** 2).sum(axis=(1, 2))
    rms_rad = np.sqrt(squares / np.maximum(weights.sum(axis=1), _TINY))
    return Placement(torso, scale, covariance, rms_rad * px_per_rad, in_front)


def _noise(
    keypoints_m: FloatArray, scores: FloatArray, rays: FloatArray, px_per_rad: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weights (N, 17) and angular standard deviations (N, 17) of the seen keypoints.

    The size of a person is taken from the keypoints' own spread; never less than half a pixel of noise.
    """
    weights = np.where(scores > _MIN_SCORE, np.clip(scores, 0.0, 1.0), 0.0)
    spread_rad = _angular_spread(rays, weights)
    spread_m = np.sqrt((keypoints_m**2).sum(axis=-1).mean(axis=1))
    person_rad = spread_rad * 1.7 / np.maximum(spread_m, _TINY)
    sigma = 2 * COCO_SIGMAS * _AREA_OF_HEIGHT * person_rad[:, None]
    return weights, np.maximum(sigma, 0.5 / px_per_rad[:, None])


def _angular_spread(rays: FloatArray, weights: FloatArray) -> FloatArray:
    """(N,) root mean square angle of the rays about their weighted mean."""
    total = np.maximum(weights.sum(axis=1, keepdims=True), _TINY)
    mean = (weights[..., None] * rays).sum(axis=1) / total
    squares = (weights * ((rays - mean[:, None]) ** 2).sum(axis=-1)).sum(axis=1)
    return np.asarray(np.sqrt(squares / total[:, 0]))


def _initial_foot(
    keypoints_m: FloatArray, scores: FloatArray, rays: FloatArray, normal: FloatArray, offset_m: float
) -> FloatArray:
    """(N, 3) on the plane: the distance at which the body's spread appears as large as it was seen."""
    weights = np.where(scores > _MIN_SCORE, scores, 0.0) + _TINY
    total = weights.sum(axis=1, keepdims=True)
    mean_ray = (weights[..., None] * rays).sum(axis=1) / total
    mean_point = (weights[..., None] * keypoints_m).sum(axis=1) / total
    centred = keypoints_m - mean_point[:, None]
    along = np.einsum("njc,nc->nj", centred, mean_ray)
    across2 = (weights * ((centred**2).sum(axis=-1) - along**2)).sum(axis=1) / total[:, 0]
    spread = np.maximum(_angular_spread(rays, weights), 1e-6)
    torso = mean_ray * (np.sqrt(np.maximum(across2, _TINY)) / spread)[:, None] - mean_point
    return np.asarray(torso - (torso @ normal + offset_m)[:, None] * normal)


def _plane_axes(normal: FloatArray) -> FloatArray:
    """(2, 3) orthonormal directions within the plane."""
    seed = np.eye(3)[np.argmin(np.abs(normal))]
    first = np.cross(normal, seed)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first)])


def _tangents(rays: FloatArray) -> FloatArray:
    """(..., 2, 3) orthonormal directions across each ray."""
    seed = np.where(np.abs(rays[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    first = np.cross(rays, seed)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    return np.stack([first, np.cross(rays, first)], axis=-2)


def _foot_covariance(
    residual: FloatArray,
    jacobian: FloatArray,
    weights: FloatArray,
    log_prior_sd: float,
    plane_axes: FloatArray,
) -> FloatArray:
    """(N, 3, 3) of the foot point, with the scale marginalised; outlying keypoints do not count."""
    size = np.linalg.norm(residual, axis=-1)
    robust = weights * np.minimum(1.0, _HUBER / np.maximum(size, _TINY))
    information = np.einsum("nj,njkp,njkq->npq", robust, jacobian, jacobian)
    information[:, 2, 2] += 1 / log_prior_sd**2
    information += 1e-12 * np.eye(3)
    on_plane = np.linalg.inv(information)[:, :2, :2]
    return np.einsum("pc,npq,qd->ncd", plane_axes, on_plane, plane_axes)
