"""Camera and ground from people: closed-form starts, then robust least squares over four unknowns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import BadInput, NotEnoughPeople
from .projection import FloatArray, rays
from .segments import (
    Segments,
    angles_of,
    from_boxes,
    from_keypoints,
    normal_of,
    whitened_residuals,
)

# Priors, wide enough to matter only where people say nothing: most cameras see 25-90 degrees, are held
# roughly level, and hang between a hand and a tower.
_FOV_PRIOR_RAD, _LOG_FOCAL_SD = np.radians(52.0), 0.45
_ROLL_SD_RAD = np.radians(8.0)
_LOG_HEIGHT_PRIOR, _LOG_HEIGHT_SD = np.log(5.0), 1.2
_FOV_STARTS_RAD = np.radians([12.0, 18.0, 26.0, 36.0, 48.0, 62.0, 80.0, 105.0])
_PITCH_STARTS_RAD = np.radians([-10.0, 2.0, 10.0, 20.0, 35.0, 55.0])
_REFINED_STARTS = 4
_CAUCHY_SCALES = (4.0, 2.0, 1.5)  # graduated: the last one is the estimator
_ITERATIONS = 25
_INLIER_SIGMAS = 3.0
_FOCAL_KNOWN_SD = 0.20  # of log focal; more is reported as undetermined
_STEP = 1e-5
_Z90 = 1.645  # two-sided 90 % of a normal distribution


@dataclass(frozen=True)
class GroundCameraFit:
    """Camera and ground of one picture.

    Attributes:
        focal_px: focal length in pixels.
        normal: (3,) unit, up, camera frame.
        offset_m: camera height above the plane.
        planes: [(normal, offset_m)].
        plane_index: (N,) plane of each person of the input.
        inlier: (N,) whether a person stands upright on the plane with a plausible size.
        covariance: (4, 4) over (log focal, pitch, roll, log offset), radians and logarithms.
        cost: robust cost at the solution.
        report: assumptions, starts, and why people were left out; plain JSON values.
    """

    focal_px: float
    normal: FloatArray
    offset_m: float
    planes: list[tuple[FloatArray, float]]
    plane_index: npt.NDArray[np.int64]
    inlier: npt.NDArray[np.bool_]
    covariance: FloatArray
    cost: float
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Problem:
    """Segments, priors, and which of the four unknowns are free."""

    seen: Segments
    prior_mean: FloatArray
    prior_sd: FloatArray
    free: npt.NDArray[np.bool_]


def fit_ground_camera(
    keypoints: npt.ArrayLike | None = None,
    image_size: tuple[int, int] | None = None,
    *,
    boxes_px: npt.ArrayLike | None = None,
    stature_m: float = 1.70,
    focal_px: float | None = None,
    center_px: tuple[float, float] | None = None,
    gravity: npt.ArrayLike | None = None,
    distortion: tuple[float, float] = (0.0, 0.0),
    max_planes: int = 1,
    min_people: int = 3,
) -> GroundCameraFit:
    """Focal length, gravity and camera height that make everybody stand upright at a plausible size.

    Args:
        keypoints: (N, 17, 3) COCO-17 pixels and score; or
        boxes_px: (N, 4) xyxy of standing people, whose heights alone count: give the focal length with them.
        image_size: (width, height).
        stature_m: mean standing height of the people.
        focal_px, gravity: honoured exactly where given; gravity (3,) points down, camera frame.
        center_px: principal point, the centre of the picture if not given.
        distortion: radial (k1, k2) of the lens, removed with the given or a typical focal length.
        max_planes: 1.
        min_people: fewer usable people raise NotEnoughPeople.

    Raises:
        BadInput: wrong shapes or values. NotEnoughPeople: too few upright people with feet.
    """
    if image_size is None or min(image_size) < 1:
        raise BadInput(f"image_size must be (width, height) in pixels, not {image_size}")
    if max_planes != 1:
        raise BadInput(f"max_planes must be 1, not {max_planes}")
    center = np.asarray(center_px or (image_size[0] / 2, image_size[1] / 2), dtype=np.float64)
    seen, n_people = _observe(keypoints, boxes_px, center, stature_m)
    if len(seen) < min_people:
        raise NotEnoughPeople(
            f"{len(seen)} of {n_people} people show shoulders and ankles, {min_people} are needed; "
            "give a picture with more people who stand"
        )
    if any(distortion):
        seen = _undistort(seen, distortion, focal_px or 0.9 * image_size[0])
    problem, start = _problem(seen, image_size[0], focal_px, gravity)
    starts = _starts(problem, start)
    theta, cost = _best_of(problem, starts)
    return _answer(problem, theta, cost, n_people, {
        "principal_point": "given" if center_px is not None else "assumed at the centre",
        "focal": "given" if focal_px is not None else "estimated",
        "gravity": "given" if gravity is not None else "estimated",
        "stature_m": stature_m,
        "starts": len(starts),
    })  # fmt: skip


def _observe(
    keypoints: npt.ArrayLike | None, boxes_px: npt.ArrayLike | None, center: FloatArray, stature_m: float
) -> tuple[Segments, int]:
    if (keypoints is None) == (boxes_px is None):
        raise BadInput("give either keypoints or boxes_px")
    if not 0.3 < stature_m < 3.0:
        raise BadInput(f"a mean stature of {stature_m} m is not that of people")
    if keypoints is not None:
        points = np.asarray(keypoints, dtype=np.float64)
        if points.ndim != 3 or points.shape[1:] != (17, 3):
            raise BadInput(f"keypoints must be (N, 17, 3), not {points.shape}")
        return from_keypoints(points, center, stature_m), len(points)
    boxes = np.asarray(boxes_px, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise BadInput(f"boxes_px must be (N, 4), not {boxes.shape}")
    return from_boxes(boxes, center, stature_m), len(boxes)


def _undistort(seen: Segments, distortion: tuple[float, float], focal_px: float) -> Segments:
    def straight(points: FloatArray) -> FloatArray:
        directions = rays(points, focal_px, (0.0, 0.0), distortion)
        return np.asarray(directions[:, :2] / directions[:, 2:] * focal_px)

    fields = {**seen.__dict__, "bottom": straight(seen.bottom), "top": straight(seen.top)}
    return Segments(**fields)


def _problem(
    seen: Segments, width: int, focal_px: float | None, gravity: npt.ArrayLike | None
) -> tuple[_Problem, FloatArray]:
    log_focal = np.log(0.5 * width / np.tan(_FOV_PRIOR_RAD / 2))
    start = np.array([log_focal, 0.0, 0.0, _LOG_HEIGHT_PRIOR])
    free = np.ones(4, dtype=bool)
    if focal_px is not None:
        if not (np.isfinite(focal_px) and focal_px > 0):
            raise BadInput(f"focal_px must be positive, not {focal_px}")
        start[0], free[0] = np.log(focal_px), False
    if gravity is not None:
        down = np.asarray(gravity, dtype=np.float64)
        size = np.linalg.norm(down)
        if down.shape != (3,) or not np.isfinite(size) or size == 0:
            raise BadInput(f"gravity must be a direction (3,), not {gravity}")
        start[1], start[2] = angles_of(-down / size)
        free[1:3] = False
    sd = np.array([_LOG_FOCAL_SD, np.inf, _ROLL_SD_RAD, _LOG_HEIGHT_SD])
    return _Problem(seen, start.copy(), sd, free), start


def _starts(problem: _Problem, start: FloatArray) -> FloatArray:
    """(S, 4): focal lengths crossed with verticals; the camera height is the people's median vote."""
    seen = problem.seen
    width_focal = np.exp(problem.prior_mean[0]) * 2 * np.tan(_FOV_PRIOR_RAD / 2)
    log_focals = np.log(0.5 * width_focal / np.tan(_FOV_STARTS_RAD / 2)) if problem.free[0] else start[:1]
    candidates = []
    for log_focal in log_focals:
        if problem.free[1]:
            angles = [(pitch, 0.0) for pitch in _PITCH_STARTS_RAD]
            if seen.has_direction:
                angles.append(_vertical(seen, np.exp(log_focal)))
        else:
            angles = [(start[1], start[2])]
        for pitch, roll in angles:
            log_height = _height_vote(seen, np.exp(log_focal), normal_of(pitch, roll))
            candidates.append([log_focal, pitch, roll, log_height])
    return np.array(candidates)


def _vertical(seen: Segments, focal: float) -> tuple[float, float]:
    """Pitch and roll from the vanishing point of all segments, by trimmed least squares.

    Each segment and the camera centre span a plane that holds the vertical: n . (bottom x top) = 0.
    """
    ones = np.ones((len(seen), 1))
    a = np.concatenate([seen.bottom / focal, ones], axis=1)
    b = np.concatenate([seen.top / focal, ones], axis=1)
    planes = np.cross(a, b)
    planes /= np.maximum(np.linalg.norm(planes, axis=1, keepdims=True), 1e-12)
    keep = np.ones(len(seen), dtype=bool)
    for _ in range(3):
        normal = np.linalg.svd(planes[keep])[2][2]
        deviation = np.abs(planes @ normal)
        keep = deviation <= np.quantile(deviation, 0.75) + 1e-12
    if normal @ (b - a).sum(axis=0) < 0:  # up is from the feet to the shoulders
        normal = -normal
    return angles_of(normal)


def _height_vote(seen: Segments, focal: float, normal: FloatArray) -> float:
    """Median over people of the log camera height at which they have mean stature."""
    ones = np.ones((len(seen), 1))
    a = np.concatenate([seen.bottom / focal, ones], axis=1)
    b = np.concatenate([seen.top / focal, ones], axis=1)
    # (a + tau n) x b = 0 in least squares: tau is the segment's length over the depth of its foot.
    across_a, across_n = np.cross(a, b), np.cross(np.broadcast_to(normal, b.shape), b)
    tau = -(across_a * across_n).sum(axis=1) / np.maximum((across_n**2).sum(axis=1), 1e-12)
    height = (seen.top_m - seen.bottom_m) * -(a @ normal) / np.where(np.abs(tau) > 1e-9, tau, np.nan)
    height = height[np.isfinite(height) & (height > 0)] + seen.bottom_m
    return float(np.log(np.clip(np.median(height), 0.3, 500.0))) if len(height) else _LOG_HEIGHT_PRIOR


def _cost(theta: FloatArray, problem: _Problem, scale: float) -> FloatArray:
    """(...,) Cauchy cost of the people plus the priors of free unknowns."""
    squares = (whitened_residuals(theta, problem.seen) ** 2).sum(axis=-1)
    people = (scale**2 * np.log1p(squares / scale**2)).sum(axis=-1)
    prior = ((theta - problem.prior_mean) / problem.prior_sd) ** 2
    return np.asarray(people + np.where(problem.free, prior, 0.0).sum(axis=-1))


def _best_of(problem: _Problem, starts: FloatArray) -> tuple[FloatArray, float]:
    """The refined solution of lowest cost among the most promising starts."""
    order = np.argsort(_cost(starts, problem, _CAUCHY_SCALES[0]), kind="stable")
    refined = []
    for i in order[:_REFINED_STARTS]:
        theta = starts[i]
        for scale in _CAUCHY_SCALES:
            theta = _refine(theta, problem, scale)
        refined.append(theta)
    costs = [float(_cost(theta, problem, _CAUCHY_SCALES[-1])) for theta in refined]
    best = int(np.argmin(costs))
    return refined[best], costs[best]


def _normal_equations(
    theta: FloatArray, problem: _Problem, scale: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gauss-Newton matrix and gradient over the free unknowns, and the robust weights (N,)."""
    free = np.flatnonzero(problem.free)
    steps = np.zeros((len(free), 4))
    steps[np.arange(len(free)), free] = _STEP
    probes = np.concatenate([theta[None], theta + steps, theta - steps])
    residual = whitened_residuals(probes, problem.seen)
    value, jacobian = residual[0], (residual[1 : len(free) + 1] - residual[len(free) + 1 :]) / (2 * _STEP)
    weight = 1.0 / (1.0 + (value**2).sum(axis=-1) / scale**2)
    matrix = np.einsum("n,pnk,qnk->pq", weight, jacobian, jacobian)
    gradient = np.einsum("n,pnk,nk->p", weight, jacobian, value)
    precision = 1.0 / problem.prior_sd[free] ** 2
    gradient += precision * (theta - problem.prior_mean)[free]
    return matrix + np.diag(precision), gradient, weight


def _refine(theta: FloatArray, problem: _Problem, scale: float) -> FloatArray:
    """Levenberg-Marquardt on the Cauchy cost; a step that raises it is never taken."""
    free = np.flatnonzero(problem.free)
    damping, cost = 1e-3, float(_cost(theta, problem, scale))
    for _ in range(_ITERATIONS):
        matrix, gradient, _ = _normal_equations(theta, problem, scale)
        damped = matrix + damping * np.diag(np.diag(matrix) + 1e-9)
        step = np.clip(-np.linalg.solve(damped, gradient), -0.5, 0.5)
        trial = theta.copy()
        trial[free] += step
        trial_cost = float(_cost(trial, problem, scale))
        if trial_cost < cost:
            done = cost - trial_cost < 1e-9 * max(cost, 1.0)
            theta, cost, damping = trial, trial_cost, max(damping * 0.3, 1e-9)
            if done:
                break
        else:
            damping *= 8.0
            if damping > 1e8:
                break
    return theta


def _answer(
    problem: _Problem, theta: FloatArray, cost: float, n_people: int, assumed: dict[str, Any]
) -> GroundCameraFit:
    free = np.flatnonzero(problem.free)
    matrix, _, weight = _normal_equations(theta, problem, _CAUCHY_SCALES[-1])
    squares = (whitened_residuals(theta, problem.seen) ** 2).sum(axis=-1)
    # People may be noisier than the model says; the covariance must not be smaller than they show.
    inflation = max(1.0, float((weight * squares).sum() / max(weight.sum() * (2 if problem.seen.has_direction else 1), 1e-9)))
    covariance = np.zeros((4, 4))
    covariance[np.ix_(free, free)] = np.linalg.inv(matrix) * inflation
    fits = squares < _INLIER_SIGMAS**2
    inlier = np.zeros(n_people, dtype=bool)
    inlier[problem.seen.person[fits]] = True
    reasons = ["shoulders or ankles not seen"] * n_people
    for person, fit in zip(problem.seen.person, fits, strict=True):
        reasons[person] = "" if fit else "size or posture does not fit the ground"
    normal = normal_of(theta[1], theta[2])
    focal, height = float(np.exp(theta[0])), float(np.exp(theta[3]))
    focal_sd = float(np.sqrt(covariance[0, 0]))
    report = {
        **assumed,
        "used": len(problem.seen),
        "inliers": int(fits.sum()),
        "left_out": {str(i): reason for i, reason in enumerate(reasons) if reason},
        "focal_determined": bool(focal_sd < _FOCAL_KNOWN_SD),
        "focal_interval_90_px": [focal * float(np.exp(s * _Z90 * focal_sd)) for s in (-1, 1)],
    }
    return GroundCameraFit(
        focal, normal, height, [(normal, height)], np.zeros(n_people, dtype=np.int64), inlier,
        covariance, cost, report,
    )  # fmt: skip
