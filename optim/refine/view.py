"""The unknowns that everybody in a scene shares: camera, planes, and errors common to all bodies.

The shared unknowns `theta` (T,) are changes from the camera and the planes of the start, in this order:

    0      logarithm of the focal length
    1, 2   principal point, in focal lengths
    3, 4   the normals' moves along `tangent_basis` of the first plane (pitch; roll times cos pitch)
    5...   logarithm of each plane's offset
    then   a tilt of all bodies against gravity (2, radians, about the same two axes) and the logarithm
           of the population's stature: errors that one lift and one crowd make everywhere alike.

Rays belong to the camera of the start. A perspective camera that has changed sees what the start's camera
would see after a linear map of the points, so that nothing here needs to know a projection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from optim.geometry import pitch_roll_from_normal, tangent_basis
from optim.projection import FloatArray
from optim.rotation import left_jacobian, rotation_matrix

FOCAL, SHIFT, TURN, PLANES = 0, slice(1, 3), slice(3, 5), 5
_OTHER_PLANE_SD = 0.05  # of the offset of a further plane, given the first one's
_KNOWN_VARIANCE = 1e-9  # what is surer counts as exact
_MEAN_LOG_STATURE_SD = 0.024  # a crowd's mean: 0.04 m, see anthropometry.MEAN_STATURE_SD_M


@dataclass(frozen=True)
class Shared:
    """The planes of the start and what was known of `theta`.

    Attributes:
        normals, offsets_m: (K, 3) and (K,), K >= 1.
        turn_axes: (2, 3) rotation vectors that move the first normal along its two tangents.
        information: (T, T) prior of the free unknowns, zero elsewhere.
        free: (F,) which unknowns are not fixed.
    """

    normals: FloatArray
    offsets_m: FloatArray
    turn_axes: FloatArray
    information: FloatArray
    free: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        return len(self.information)

    @property
    def tilt(self) -> slice:
        """Where the bodies' common tilt is in `theta`; the mean stature follows it, at -1."""
        return slice(self.size - 3, self.size - 1)

    def held(self) -> Shared:
        """The same, of which nothing is free."""
        return replace(self, free=self.free[:0])

    def with_camera_held(self) -> Shared:
        """The same, of which only the bodies' common errors are free."""
        return replace(self, free=self.free[self.free >= self.tilt.start])


def shared_unknowns(
    normals: FloatArray,
    offsets_m: FloatArray,
    covariance: FloatArray,
    center_sd: float,
    tilt_sd_rad: float,
) -> Shared:
    """The border of a scene from what a fit of camera and ground knew.

    Args:
        normals, offsets_m: (K, 3), (K,) planes n.X + d = 0.
        covariance: (4, 4) over log focal, pitch, roll and log offset; rows of zeros stay fixed.
        center_sd: of the principal point in focal lengths; 0 keeps it.
        tilt_sd_rad: of the bodies' common tilt; 0 for none.
    """
    axes = tangent_basis(normals[0])
    pitch, _ = pitch_roll_from_normal(normals[0])
    change = np.diag([1.0, 1.0, np.cos(pitch), 1.0])
    view = change @ covariance @ change
    planes, size = len(offsets_m), PLANES + len(offsets_m) + 3
    spread = np.zeros((size, 4))
    spread[[FOCAL, 3, 4], [0, 1, 2]] = 1.0
    spread[PLANES : PLANES + planes, 3] = 1.0
    prior = spread @ view @ spread.T
    if prior[PLANES, PLANES] > 0:
        others = np.arange(PLANES + 1, PLANES + planes)
        prior[others, others] += _OTHER_PLANE_SD**2
    at = np.array([1, 2, size - 3, size - 2])
    prior[at, at] = np.array([center_sd, center_sd, tilt_sd_rad, tilt_sd_rad]) ** 2
    # A fit takes the population's mean for granted: the offset it finds is wrong by what that is wrong.
    # If the offset is known, a mean that differs cannot be told from keypoints that sit a little high.
    offset_alone = (
        1 / _information(prior)[PLANES, PLANES] if prior[PLANES, PLANES] > _KNOWN_VARIANCE else 0.0
    )
    stature = min(_MEAN_LOG_STATURE_SD**2, 0.9 * offset_alone)
    prior[-1, -1] = stature
    prior[-1, PLANES:-3] = prior[PLANES:-3, -1] = stature
    free = np.flatnonzero(np.diag(prior) > _KNOWN_VARIANCE)
    information = _information(prior)
    return Shared(normals, offsets_m, np.cross(normals[0], axes), information, free)


def _information(covariance: FloatArray) -> FloatArray:
    """Inverse over the unknowns that vary; zero elsewhere."""
    free = np.flatnonzero(np.diag(covariance) > _KNOWN_VARIANCE)
    at = np.ix_(free, free)
    # Focal length and pitch may be all but dependent.
    ridge = 1e-9 * np.diag(np.diag(covariance)[free])
    information = np.zeros_like(covariance)
    information[at] = np.linalg.inv(covariance[at] + ridge)
    return information


def lens(theta: FloatArray) -> FloatArray:
    """(3, 3) map of points in the turned camera frame that stands for another focal length and centre."""
    return np.array([[np.exp(theta[0]), 0, theta[1]], [0, np.exp(theta[0]), theta[2]], [0, 0, 1.0]])


def turn(shared: Shared, theta: FloatArray) -> FloatArray:
    """(3, 3) rotation of everything, camera excepted."""
    return rotation_matrix(theta[TURN] @ shared.turn_axes)


def plane_offsets(shared: Shared, theta: FloatArray) -> FloatArray:
    """(K,) metres."""
    planes = len(shared.offsets_m)
    return np.asarray(shared.offsets_m * np.exp(theta[PLANES : PLANES + planes]))


def turn_derivative(shared: Shared, theta: FloatArray, points: FloatArray) -> FloatArray:
    """(..., 3, 2) change of turned points (..., 3) by the two unknowns of the turn."""
    spin = shared.turn_axes @ left_jacobian(theta[TURN] @ shared.turn_axes).T
    return np.stack([np.cross(axis, points) for axis in spin], axis=-1)


def point_derivative(
    shared: Shared, theta: FloatArray, turned: FloatArray, plane: npt.NDArray[np.int64]
) -> FloatArray:
    """Change of points, as the camera of the start sees them, by `theta`.

    Args:
        turned: (N, J, 3) points after `turn`, before `lens`.
        plane: (N,) index of each person's plane.

    Returns:
        (N, J, 3, T).
    """
    out = np.zeros((*turned.shape, shared.size))
    focal = np.exp(theta[FOCAL])
    out[..., 0, FOCAL], out[..., 1, FOCAL] = focal * turned[..., 0], focal * turned[..., 1]
    out[..., 0, 1] = out[..., 1, 2] = turned[..., 2]
    by_lens = lens(theta)
    out[..., TURN] = by_lens @ turn_derivative(shared, theta, turned)
    sink = (
        -(plane_offsets(shared, theta)[:, None] * shared.normals)
        @ (by_lens @ turn(shared, theta)).T
    )
    for k, down in enumerate(sink):
        out[plane == k, ..., PLANES + k] = down
    return out
