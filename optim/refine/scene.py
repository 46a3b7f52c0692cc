"""Scene refinement: camera, planes and everybody in one robust sparse least-squares problem.

`place_people` gives the start: each person alone, with the fitted camera and the lifted pose. Here all of it
may move a little where the evidence asks for it: for each person the place, the torso's height above the
ground, the lean, the bend of hips and knees; and for everybody together the camera and the planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from optim.anthropometry import STATURE_PRIOR_M
from optim.errors import BadInput
from optim.geometry import pitch_roll_from_normal, tangent_basis
from optim.place.inputs import check_shapes, clean_rays, keypoint_noise, tangents
from optim.projection import FloatArray
from optim.refine.solver import Factor, factorise, minimise
from optim.refine.terms import (
    HEIGHT,
    N_KEYPOINTS,
    PLACE,
    POSE,
    SCALE,
    Bodies,
    Problem,
    State,
    normal_equations,
    soft_minimum,
    state_at,
    torso_centres,
)
from optim.refine.view import (
    FOCAL,
    PLANES,
    SHIFT,
    TURN,
    plane_offsets,
    shared_unknowns,
    turn,
    turn_derivative,
)

__all__ = ["Bodies", "RefineNoise", "RefinedScene", "refine_scene"]

_TINY = 1e-15


@dataclass(frozen=True)
class RefineNoise:
    """How far things may be from what they are taken for; standard deviations.

    Attributes:
        contact_m: of a sole above the plane.
        grade: of the ground's height over the distance.
        tilt_rad: of a lean that all lifted bodies have in common.
        center: of the principal point in focal lengths; 0 for one that is known.
        camera_counts: how often the camera's prior counts what the keypoints say: 2 where it was
            fitted to the same keypoints, 1 where it was found otherwise. Equal parts of two estimates
            whose correlation is not known (covariance intersection, Julier & Uhlmann 1997) have twice
            the variance, but for what comes with the population's mean stature, which neither knows.
    """

    contact_m: float = 0.02
    grade: float = 0.0
    tilt_rad: float = 0.03
    center: float = 0.0
    camera_counts: float = 2.0


@dataclass(frozen=True)
class RefinedScene:
    """Camera and planes, and one row a person; camera frame of the refined camera.

    Attributes:
        log_focal: change of the logarithm of the focal length.
        center_shift: (2,) of the principal point, in focal lengths before.
        normals, offsets_m: (K, 3), (K,).
        camera_covariance: (4, 4) over log focal, pitch, roll and log offset of the first plane.
        turn: (3, 3) rotation of the planes and of all bodies in the camera frame.
        torso_m: (N, 3).
        scale: (N,) factor on the given bodies.
        pose: (N, Q) change of pose, before `turn`.
        position_cov_m2: (N, 3, 3) of the foot point, the camera's part included.
        costs: of every search, the total before every step taken, and at the end; never rising in one.
    """

    log_focal: float
    center_shift: FloatArray
    normals: FloatArray
    offsets_m: FloatArray
    camera_covariance: FloatArray
    turn: FloatArray
    torso_m: FloatArray
    scale: FloatArray
    pose: FloatArray
    position_cov_m2: FloatArray
    costs: Sequence[Sequence[float]]


def refine_scene(
    bodies: Bodies,
    torso_m: FloatArray,
    scale: FloatArray,
    torso_height_m: FloatArray,
    scores: FloatArray,
    rays: FloatArray,
    px_per_rad: FloatArray,
    normals: FloatArray,
    offsets_m: FloatArray,
    *,
    stature_m: FloatArray,
    pose_information: FloatArray,
    camera_covariance: FloatArray,
    plane: npt.NDArray[np.int64] | None = None,
    stature_prior_m: tuple[float, float] = STATURE_PRIOR_M,
    noise: RefineNoise | None = None,
    move_camera: bool = True,
    rise: tuple[FloatArray, FloatArray] | None = None,
) -> RefinedScene:
    """The most probable scene near a start, and how sure it is.

    Args:
        bodies: see `Bodies`; at scale 1.
        torso_m, scale: (N, 3), (N,) from `place_people`.
        torso_height_m: (N,) of the torso centre above the given body's lowest point at scale 1.
        scores, rays, px_per_rad: as for `place_people`.
        normals, offsets_m: (K, 3), (K,) planes, normals up.
        stature_m: (N,) of the given bodies.
        pose_information: (N, Q, Q) inverse covariance of pose parameters.
        camera_covariance: (4, 4) over log focal, pitch, roll and log offset; zeros keep a value.
        plane: (N,) index of everybody's plane; the first by default.
        stature_prior_m: mean and standard deviation of the population.
        rise: (N,) metres and (N, 2) grades of the ground over everybody's plane, straight below the camera and
            along `tangent_basis` of the plane's normal; none if not given.
        move_camera: False keeps camera and planes, but not their uncertainty, out of it.

    Raises:
        BadInput: arrays whose shapes contradict each other.
    """
    noise = noise or RefineNoise()
    n = len(scores)
    plane = np.zeros(n, dtype=np.int64) if plane is None else np.asarray(plane, dtype=np.int64)
    normals = np.asarray(normals, dtype=np.float64).reshape(-1, 3)
    offsets_m = np.asarray(offsets_m, dtype=np.float64).reshape(-1)
    _check(torso_m, scale, pose_information, normals, offsets_m, plane, n)
    points, _ = bodies(np.zeros(pose_information.shape[:2]))
    keypoints_m = points[:, :N_KEYPOINTS]
    check_shapes(keypoints_m, torso_height_m, scores, rays, px_per_rad, stature_m)
    scores, rays = clean_rays(scores, rays)
    weights, sigma_rad = keypoint_noise(keypoints_m, scores, rays, px_per_rad)
    lowest, _ = soft_minimum(np.einsum("nkc,nc->nk", points[:, N_KEYPOINTS:], normals[plane]))
    basis = np.array([tangent_basis(normal) for normal in normals])
    problem = Problem(
        bodies=bodies,
        shared=shared_unknowns(
            normals, offsets_m, np.asarray(camera_covariance), noise.center, noise.tilt_rad
        ),
        frames=np.concatenate([tangents(rays), rays[..., None, :]], axis=-2),
        weights=weights,
        sigma_rad=sigma_rad,
        plane=plane,
        normals=normals[plane],
        axes=basis[plane],
        axes_of_first=basis[0],
        ground_m=lowest + torso_height_m,
        rise_m=np.zeros(n) if rise is None else rise[0],
        grade=np.zeros((n, 2)) if rise is None else rise[1],
        contact_sd_m=np.hypot(noise.contact_m, noise.grade * np.linalg.norm(torso_m, axis=1)),
        stature_m=np.asarray(stature_m, dtype=np.float64),
        log_scale_mean=np.log(stature_prior_m[0] / np.asarray(stature_m, dtype=np.float64)),
        log_scale_sd=stature_prior_m[1] / stature_prior_m[0],
        pose_information=pose_information,
    )
    state, costs = _search(problem, _start(problem, torso_m, scale, offsets_m), move_camera)
    return _result(problem, state, costs, noise.camera_counts)


def _search(problem: Problem, start: State, move_camera: bool) -> tuple[State, list[list[float]]]:
    """The scene of least cost near the start, by searches that each begin where the last one ended.

    First the people alone, so that unbent bodies do not hold the camera back; then people, camera and planes
    together. Last, people who overlap move apart, with camera and planes held: an overlap tells nothing about
    them.
    """
    mingled = replace(problem, separate=False)
    searches = [replace(mingled, shared=problem.shared.with_camera_held())]
    if move_camera:
        searches.append(mingled)
    searches.append(replace(problem, shared=problem.shared.held()))
    state, costs = start, []
    for search in searches:
        solution = minimise(search, state)
        state = solution.state
        costs.append(solution.costs)
    return state, costs


def _check(
    torso_m: FloatArray,
    scale: FloatArray,
    pose_information: FloatArray,
    normals: FloatArray,
    offsets_m: FloatArray,
    plane: npt.NDArray[np.int64],
    n: int,
) -> None:
    q = pose_information.shape[-1]
    wanted = {
        "torso_m": (torso_m, (n, 3)),
        "scale": (scale, (n,)),
        "pose_information": (pose_information, (n, q, q)),
        "plane": (plane, (n,)),
        "offsets_m": (offsets_m, (len(normals),)),
    }
    for name, (array, shape) in wanted.items():
        if np.shape(array) != shape:
            raise BadInput(f"{name} must be {shape} for {n} people, not {np.shape(array)}")
    if q < 3:
        raise BadInput("pose needs at least the three parameters of the body's turn")
    if len(normals) == 0 or plane.min(initial=0) < 0 or plane.max(initial=0) >= len(normals):
        raise BadInput(f"people stand on plane {plane.max(initial=0)} of {len(normals)}")
    if not (np.isfinite(offsets_m) & (offsets_m != 0)).all():
        raise BadInput(f"no camera can be on a plane itself, as offsets of {offsets_m} m say")
    if not (np.isfinite(torso_m).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise BadInput("people without a place cannot be refined; leave them out")


def _start(
    problem: Problem, torso_m: FloatArray, scale: FloatArray, offsets_m: FloatArray
) -> State:
    people = np.zeros((len(torso_m), POSE + problem.pose_information.shape[1]))
    people[:, PLACE] = (problem.axes @ torso_m[..., None])[..., 0]
    people[:, HEIGHT] = (torso_m * problem.normals).sum(axis=1) + offsets_m[problem.plane]
    people[:, SCALE] = np.log(scale)
    return state_at(problem, np.zeros(problem.shared.size), people)


def _result(
    problem: Problem, state: State, costs: Sequence[Sequence[float]], camera_counts: float
) -> RefinedScene:
    observed = replace(problem, separate=False)
    factor = factorise(observed, normal_equations(observed, state), np.zeros(len(state.people)))
    view = np.zeros((problem.shared.size,) * 2)
    free = problem.shared.free
    view[np.ix_(free, free)] = np.linalg.inv(factor.schur)
    view = _counted(view, camera_counts)
    by_camera = np.array([FOCAL, TURN.start, TURN.start + 1, PLANES])
    rotation = turn(problem.shared, state.theta)
    pitch, _ = pitch_roll_from_normal(rotation @ problem.shared.normals[0])
    change = np.diag([1.0, 1.0, 1.0 / max(np.cos(pitch), 1e-3), 1.0])
    return RefinedScene(
        log_focal=float(state.theta[FOCAL]),
        center_shift=state.theta[SHIFT],
        normals=problem.shared.normals @ rotation.T,
        offsets_m=plane_offsets(problem.shared, state.theta),
        camera_covariance=change @ view[np.ix_(by_camera, by_camera)] @ change,
        turn=rotation,
        torso_m=torso_centres(problem, state) @ rotation.T,
        scale=np.exp(state.people[:, SCALE]),
        pose=state.people[:, POSE:],
        position_cov_m2=_position_covariance(problem, state, factor, view, rotation),
        costs=costs,
    )


def _counted(view: FloatArray, counts: float) -> FloatArray:
    """A covariance (T, T) of what is shared, for a prior that counts the keypoints so many times.

    What comes with the population's mean stature, the last unknown, is not counted: no keypoint tells it.
    """
    by_stature = np.outer(view[-1], view[-1]) / max(view[-1, -1], _TINY)
    return np.asarray(counts * (view - by_stature) + by_stature)


def _position_covariance(
    problem: Problem, state: State, factor: Factor, view: FloatArray, rotation: FloatArray
) -> FloatArray:
    """(N, 3, 3) of foot points: what is a person's own, and what comes with everything shared."""
    turned = problem.axes @ rotation.T  # (N, 2, 3)
    offset = plane_offsets(problem.shared, state.theta)[problem.plane]
    sink = -offset[:, None] * (problem.normals @ rotation.T)
    foot = (state.people[:, None, PLACE] @ turned)[:, 0] + sink
    across = turned.transpose(0, 2, 1)
    by_view = across @ factor.follow[:, PLACE]
    by_view[..., TURN] += turn_derivative(problem.shared, state.theta, foot)
    by_view[np.arange(len(foot)), :, PLANES + problem.plane] += sink
    own = across @ factor.place_covariance @ turned
    return np.asarray(own + by_view @ view @ by_view.transpose(0, 2, 1))
