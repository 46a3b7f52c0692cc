"""Where posed bodies stand: batched robust least squares for position on the ground and size.

Every body has three unknowns: its foot point on the plane under it (2) and the logarithm of its scale (1).
Bodies do not share unknowns, so that all normal equations are 3 x 3 and solved at once. The camera
enters through the rays of the seen keypoints only; no projection is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optim.anthropometry import STATURE_PRIOR_M
from optim.errors import BadInput
from optim.geometry import tangent_basis, unit
from optim.place.inputs import check_shapes, clean_rays, initial_torso, keypoint_noise, tangents
from optim.place.terms import Observations, normal_equations, placement_cost, placement_residuals
from optim.projection import FloatArray

BoolArray = npt.NDArray[np.bool_]

_ITERATIONS = 25
_STEP_LIMIT = 0.3  # of the distance, and of the logarithm of the scale, in one step
_CONVERGED = 1e-7
_CAMERA_STEP = 1e-5
_TINY = 1e-9


@dataclass(frozen=True)
class Placement:
    """One row a person.

    Attributes:
        torso_m: (N, 3) torso centre, camera frame.
        foot_m: (N, 3) point of the ground straight below it.
        scale: (N,) factor on the given body.
        log_scale_sd: (N,) standard deviation of its logarithm, the camera known exactly.
        position_cov_m2: (N, 3, 3) covariance of the foot point; for a camera known exactly it is
            singular along the plane's normal.
        own_cov_m2: (N, 3, 3) the part of it that is not everybody's: as if the camera were known exactly.
        residual_px: (N,) root mean square of the weighted keypoint residuals.
        is_placed: (N,) False where no place in front of the camera explains the picture.
    """

    torso_m: FloatArray
    foot_m: FloatArray
    scale: FloatArray
    log_scale_sd: FloatArray
    position_cov_m2: FloatArray
    own_cov_m2: FloatArray
    residual_px: FloatArray
    is_placed: BoolArray


def place_people(
    keypoints_m: FloatArray,
    torso_height_m: FloatArray,
    scores: FloatArray,
    rays: FloatArray,
    px_per_rad: FloatArray,
    normal: FloatArray,
    offset_m: npt.ArrayLike,
    *,
    stature_m: FloatArray,
    stature_prior_m: tuple[float, float] = STATURE_PRIOR_M,
    camera_covariance: FloatArray | None = None,
    up: FloatArray | None = None,
    height_by_number: FloatArray | None = None,
    height_variance_m2: FloatArray | None = None,
) -> Placement:
    """Stands every body on the plane so that its keypoints meet the rays they were seen along.

    Args:
        keypoints_m: (N, 17, 3) about the torso centre, turned into the camera frame.
        torso_height_m: (N,) of the torso centre above the body's lowest point, along `up`.
        scores: (N, 17) of the seen keypoints.
        rays: (N, 17, 3) unit directions of the seen keypoints.
        px_per_rad: (N,) picture pixels per radian at each person.
        normal: (3,) of the plane n.X + d = 0, or (N, 3) of that under each person; offset_m: d, or (N,).
        stature_m: (N,) standing height of the given bodies.
        stature_prior_m: mean and standard deviation of the population.
        camera_covariance: (4, 4) over log focal, pitch, roll and log offset of a perspective
            camera, as `fit_ground_camera` gives it; propagated into the positions. (4 + K, 4 + K) with the
            numbers of a surface, on which the ground's heights depend by `height_by_number` (N, K), metres.
        up: (3,) along which bodies stand; `normal`, which is one for all then, if not given.
        height_variance_m2: (N,) of the ground's height under each person, besides.

    Raises:
        BadInput: arrays whose shapes contradict each other.
    """
    n = len(scores)
    check_shapes(keypoints_m, torso_height_m, scores, rays, px_per_rad, stature_m)
    offset, normals = _planes(offset_m, normal, n)
    up = np.asarray(normal if up is None else up, dtype=np.float64)
    if up.shape != (3,):
        raise BadInput("where every person has a plane of their own, up must be given, (3,)")
    scores, rays = clean_rays(scores, rays)
    lifted = keypoints_m + (torso_height_m[:, None] * up)[:, None]
    scene = _Scene(rays, lifted, up, normals, offset)
    weights, sigma_rad = keypoint_noise(keypoints_m, scores, rays, px_per_rad)
    prior_mean = np.log(stature_prior_m[0] / np.asarray(stature_m, dtype=np.float64))
    scale_sd = stature_prior_m[1] / stature_prior_m[0]
    seen = scene.observations(weights, sigma_rad, prior_mean, scale_sd)
    start = np.zeros((len(weights), 3))
    torso = initial_torso(keypoints_m, weights, rays)
    start[:, :2] = (torso - scene.origin) @ scene.level_axes.T
    start[:, 2] = prior_mean
    solution = _solve(seen, start)

    residual, jacobian, depth = placement_residuals(seen, solution)
    foot = scene.feet_m(solution[:, :2])
    scale = np.exp(solution[:, 2])
    information, _ = normal_equations(seen, residual, jacobian, solution)
    information += 1e-12 * np.eye(3)
    on_plane = np.asarray(np.linalg.inv(information), dtype=np.float64)
    own = covariance = scene.axes.transpose(0, 2, 1) @ on_plane[:, :2, :2] @ scene.axes
    if camera_covariance is not None:
        by_shared = _foot_by_camera(scene, seen, solution, foot, on_plane)
        # A ground that is higher by dz is as near as one under a camera that is lower by dz.
        by_height = -by_shared[..., 3:] / scene.down[:, None, None]
        if height_by_number is not None:
            by_shared = np.concatenate([by_shared, by_height * height_by_number[:, None]], axis=2)
        covariance = own + by_shared @ np.asarray(camera_covariance) @ by_shared.transpose(0, 2, 1)
        if height_variance_m2 is not None:
            covariance = covariance + height_variance_m2[:, None, None] * (
                by_height @ by_height.transpose(0, 2, 1)
            )
    squares = (weights[..., None] * (residual * sigma_rad[..., None]) ** 2).sum(axis=(1, 2))
    total = weights.sum(axis=1)
    return Placement(
        torso_m=foot + (scale * torso_height_m)[:, None] * up,
        foot_m=foot,
        scale=scale,
        log_scale_sd=np.sqrt(on_plane[:, 2, 2]),
        position_cov_m2=covariance,
        own_cov_m2=own,
        residual_px=np.sqrt(squares / np.maximum(total, _TINY)) * px_per_rad,
        is_placed=np.all((depth > _TINY) | (weights == 0), axis=1) & (total > 0),
    )


def _planes(
    offset_m: npt.ArrayLike, normal: npt.ArrayLike, n: int
) -> tuple[FloatArray, FloatArray]:
    """(N,) heights of the camera above everybody's plane, and normals (N, 3)."""
    offset, normals = (np.asarray(a, dtype=np.float64) for a in (offset_m, normal))
    if offset.shape not in ((), (n,)):
        raise BadInput(f"offset_m must be a number or ({n},), not {offset.shape}")
    if normals.shape not in ((3,), (n, 3)):
        raise BadInput(f"normal must be (3,) or ({n}, 3), not {normals.shape}")
    if not np.all(np.isfinite(offset) & (offset != 0)):
        raise BadInput(f"no camera can be on the plane itself, as an offset of {offset_m!r} m says")
    return np.broadcast_to(offset, (n,)), np.broadcast_to(normals, (n, 3))


class _Scene:
    """Bodies above their planes, and the rays they were seen along.

    The unknowns of a place are horizontal; `axes` (N, 2, 3) are what a step in them is along the plane, and
    `down` (N,) how far straight below the camera the plane is.
    """

    def __init__(
        self,
        rays: FloatArray,
        body: FloatArray,
        up: FloatArray,
        normals: FloatArray,
        offset: FloatArray,
        level_axes: FloatArray | None = None,
    ) -> None:
        self.rays, self.body, self.up, self.normals, self.offset = rays, body, up, normals, offset
        self.level_axes = tangent_basis(up) if level_axes is None else level_axes
        across = normals @ up
        grades = -(normals @ self.level_axes.T) / across[:, None]
        self.down = offset / across
        self.axes = self.level_axes + grades[..., None] * up
        self.origin = -self.down[:, None] * up

    def feet_m(self, places: FloatArray) -> FloatArray:
        """(N, 3) points of the planes at places (N, 2)."""
        return np.asarray(self.origin + (places[:, None] @ self.axes)[:, 0])

    def observations(
        self, weights: FloatArray, sigma_rad: FloatArray, prior_mean: FloatArray, prior_sd: float
    ) -> Observations:
        frames = np.concatenate([tangents(self.rays), self.rays[..., None, :]], axis=-2)
        return Observations(
            origin=(frames @ self.origin[:, None, :, None])[..., 0],
            axes=frames @ self.axes.transpose(0, 2, 1)[:, None],
            body=(frames @ self.body[..., None])[..., 0],
            weights=weights,
            sigma_rad=sigma_rad,
            prior_mean=prior_mean,
            prior_sd=np.full(len(weights), prior_sd),
        )

    def moved(self, parameter: int, step: float) -> _Scene:
        """The scene of a slightly other camera.

        The bodies turn with the ground, because their pose was found relative to gravity.
        """
        rays, rotation, offset = self.rays, np.eye(3), self.offset
        if parameter == 0:
            rays = unit(self.rays * [np.exp(-step), np.exp(-step), 1.0])
        elif parameter in (1, 2):
            axis = self.level_axes[parameter - 1]
            if parameter == 2:
                axis = axis * np.hypot(self.up[0], self.up[1])  # of roll, cos(pitch)
            turn = np.cross(self.up, axis) * step
            x, y, z = turn
            rotation = np.eye(3) + np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        else:
            offset = offset * np.exp(step)
        return _Scene(
            rays,
            self.body @ rotation.T,
            unit(rotation @ self.up),
            unit(self.normals @ rotation.T),
            offset,
            self.level_axes @ rotation.T,
        )


def _solve(seen: Observations, start: FloatArray) -> FloatArray:
    """(N, 3) place on the plane and log scale; Levenberg-Marquardt, each with an own damping."""
    solution = start.copy()
    cost = placement_cost(seen, start)
    damping = np.full(len(start), 1e-3)
    active, rows = np.arange(len(start)), seen
    for _ in range(_ITERATIONS):
        if len(active) == 0:
            break
        here = solution[active]
        residual, jacobian, _ = placement_residuals(rows, here)
        hessian, gradient = normal_equations(rows, residual, jacobian, here)
        diagonal = np.einsum("npp->np", hessian)
        damped = hessian + (damping[active, None] * diagonal + _TINY)[:, None] * np.eye(3)
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        reach = np.maximum(np.linalg.norm(rows.origin[:, 0], axis=1), 1.0)
        reach = np.maximum(reach, np.linalg.norm(here[:, :2], axis=1))
        length = np.maximum(np.linalg.norm(step[:, :2], axis=1) / reach, np.abs(step[:, 2]))
        trial = here + step * np.minimum(1.0, _STEP_LIMIT / np.maximum(length, _TINY))[:, None]
        trial_cost = placement_cost(rows, trial)
        better = trial_cost < cost[active]
        solution[active[better]], cost[active[better]] = trial[better], trial_cost[better]
        damping[active] = np.clip(damping[active] * np.where(better, 0.1, 8.0), 1e-9, 1e9)
        moving = (length > _CONVERGED) & (damping[active] < 1e9)
        if not moving.all():
            active, rows = active[moving], rows.take(np.flatnonzero(moving))
    return solution


def _foot_by_camera(
    scene: _Scene, seen: Observations, solution: FloatArray, foot: FloatArray, on_plane: FloatArray
) -> FloatArray:
    """(N, 3, 4) derivative of the foot points by log focal, pitch, roll and log offset.

    By the implicit function theorem: the gradient at the solution stays zero while the camera
    moves.
    """
    if len(foot) == 0:
        return np.zeros((0, 3, 4))
    columns, prior_sd = [], float(seen.prior_sd[0])
    for parameter in range(4):
        ends = []
        for step in (_CAMERA_STEP, -_CAMERA_STEP):
            moved = scene.moved(parameter, step)
            other = moved.observations(seen.weights, seen.sigma_rad, seen.prior_mean, prior_sd)
            residual, jacobian, _ = placement_residuals(other, solution)
            _, gradient = normal_equations(other, residual, jacobian, solution)
            follow = solution[:, :2] - (on_plane @ gradient[..., None])[:, :2, 0]
            ends.append(moved.feet_m(follow))
        columns.append((ends[0] - ends[1]) / (2 * _CAMERA_STEP))
    return np.stack(columns, axis=-1)
