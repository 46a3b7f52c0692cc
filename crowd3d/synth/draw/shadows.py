"""What keeps light from a point: people and boxes before the sun's disc, people near by before the sky."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.synth import noise
from crowd3d.synth.draw.stage import Area, Stage, TileMesh
from crowd3d.synth.place.light import Light

FloatArray = npt.NDArray[np.float32]

_SUN_RADIUS = 0.006  # of its disc, radians; a little more than true, as haze makes it
_SUN_RAYS = 10  # two everywhere, the others in penumbras
_SUN_REACH_M = 200.0
# Spheres that darken the ground below a person: SMPL joint and radius in metres.
_FEET, _TRUNK = (
    ((10, 0.085), (11, 0.085), (7, 0.085), (8, 0.085)),
    ((0, 0.21), (6, 0.21), (9, 0.21)),
)
_OCCLUDERS = (*_FEET, (4, 0.11), (5, 0.11), *_TRUNK)
_REACH_M = 0.8  # of a person's contact shadow


def sun(
    mesh: TileMesh,
    light: Light,
    points: FloatArray,
    normal: FloatArray,
    places: npt.NDArray[np.float64],
) -> FloatArray:
    """Irradiance (N, 3) by the sun, with the penumbra of its disc; `places` (N, 2) fix the rays."""
    facing = np.clip(normal @ light.to_sun.astype(np.float32), 0, 1)
    lit = np.flatnonzero(facing > 0)
    pick = (places[lit] * 8).astype(np.int64).T
    share = _sun_share(mesh, light, points[lit], pick, range(2))
    # Opposite points of the disc disagree only in a penumbra: look closer there.
    soft = np.flatnonzero((share > 0) & (share < 1))
    if len(soft):
        rest = range(2, _SUN_RAYS)
        share[soft] = _sun_share(mesh, light, points[lit[soft]], pick[:, soft], rest)
    facing[lit] *= share
    return np.asarray(facing[:, None] * light.sun, np.float32)


def _sun_share(
    mesh: TileMesh, light: Light, points: FloatArray, pick: npt.NDArray[np.int64], rays: range
) -> FloatArray:
    """(N,) share of some rays to the sun's disc that are free; `pick` (2, N) turns the disc."""
    to_sun = light.to_sun
    across = np.cross(to_sun, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    other = np.cross(to_sun, across)
    turn = 2 * np.pi * noise.hashed(pick[0], pick[1], 5)
    free = np.zeros(len(points), np.float32)
    for k in rays:
        angle = turn + k * np.pi + 0.7 * (k // 2)
        share = math.sqrt((k // 2 + 0.5) / (_SUN_RAYS / 2)) if len(rays) > 2 else 0.7
        off = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * other
        free += ~mesh.caster.occluded(points, to_sun + _SUN_RADIUS * share * off, _SUN_REACH_M)
    return np.asarray(free / len(rays), dtype=np.float32)


def contact(stage: Stage, area: Area, people: npt.NDArray[np.int64]) -> FloatArray:
    """(2, h, w) share of the sky that the ground, and a raised level, see past the people who stand there."""
    _, _, w, h = area
    openness = np.ones((2, h, w), np.float32)
    for i in people:
        _darken(openness[int(stage.raised[i])], stage, area, i)
    return openness


def _darken(openness: FloatArray, stage: Stage, area: Area, i: int) -> None:
    """Multiplies what one person leaves of the sky into the map of an area."""
    x, y, w, h = area
    view, joints, level = stage.world.view, stage.bodies.joints_m[i], stage.floors[i]
    feet = joints[[0, 7, 8]].mean(axis=0)
    ring = np.array([[dx, 0, dz] for dx in (-_REACH_M, _REACH_M) for dz in (-_REACH_M, _REACH_M)])
    ring = ring + feet * [1, 0, 1]
    ring[:, 1] = level.height_m(ring[:, 0], ring[:, 2])
    corners = view.project(ring)
    if not np.isfinite(corners).all():
        return
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - [x, y], 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) - [x, y], [w, h])
    if (high <= low).any():
        return
    step = max(1, int((high - low).max()) // 96)
    u, v = (np.arange(low[k], high[k] + step, step) + 0.5 for k in (0, 1))
    grid = np.stack(np.broadcast_arrays(u[None] + x, v[:, None] + y), axis=-1)
    rays = view.rays(grid)
    falling = np.maximum(-(rays @ level.normal), 1e-4)
    away = float(level.normal @ view.eye_m + level.offset_m)
    ground = rays * (away / falling)[..., None] + view.eye_m
    coarse = _sky_share(ground, joints)
    size = (len(u) * step, len(v) * step)
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    rows, columns = high[1] - low[1], high[0] - low[0]
    openness[low[1] : high[1], low[0] : high[0]] *= fine[:rows, :columns]


def _sky_share(ground_m: npt.NDArray[np.float64], joints_m: npt.NDArray[np.float64]) -> FloatArray:
    """Sky that points of the ground see past spheres at the joints: 1 - cos(theta) (r / d)^2 each."""
    share = np.ones(ground_m.shape[:2], np.float32)
    for joint, radius in _OCCLUDERS:
        gap = joints_m[joint] - ground_m
        distance2 = np.sum(gap**2, axis=-1)
        lift = np.maximum(gap[..., 1], 0.02)
        share *= 1 - np.minimum(0.85, lift * radius**2 / np.maximum(distance2, radius**2) ** 1.5)
    return share
