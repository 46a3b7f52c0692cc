"""Generated crowds of simple jointed bodies, with their truth and with the input that a pipeline would have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from optim import fit_ground_camera, place_people
from optim.anthropometry import COCO_SIGMA
from optim.geometry import normal_from_pitch_roll, tangent_basis
from optim.projection import project, rays
from optim.refine.scene import RefinedScene, RefineNoise, refine_scene
from optim.rotation import left_jacobian, rotation_matrix, skew

FloatArray = npt.NDArray[np.float64]
SIZE_PX, FOCAL_PX = (4000, 2500), 3000.0
CENTER_PX = np.array(SIZE_PX) / 2
STATURE_M = 1.70
KNOWN = (0.0, 0.0, 0.0, 0.0)
KINDS = ("standing", "walking", "seated", "leaning", "child")
STREET = ("standing", "walking") * 3 + ("seated", "leaning", "child")

# A body of 1.70 m at rest: left +x, up +y, forward +z, pelvis at the origin, soles at -0.93; keypoints at the
# heights of `optim.anthropometry`.
PARENTS = (-1, 0, 0, 0, 2, 3)  # pelvis, spine, left and right hip, left and right knee
JOINTS_M = np.array(
    [[0, 0, 0], [0, 0.1, 0], [0.09, -0.05, 0], [-0.09, -0.05, 0], [0.1, -0.46, 0], [-0.1, -0.46, 0]]
)
POINTS_M = np.array(
    [[0, 0.60, 0.1], [0.03, 0.64, 0.08], [-0.03, 0.64, 0.08], [0.07, 0.64, 0], [-0.07, 0.64, 0],
     [0.18, 0.46, 0], [-0.18, 0.46, 0], [0.24, 0.18, 0], [-0.24, 0.18, 0], [0.26, -0.06, 0.05],
     [-0.26, -0.06, 0.05], [0.1, -0.05, 0], [-0.1, -0.05, 0], [0.1, -0.42, 0.02],
     [-0.1, -0.42, 0.02], [0.1, -0.79, 0], [-0.1, -0.79, 0], [0.1, -0.93, -0.05],
     [-0.1, -0.93, -0.05], [0.1, -0.93, 0.15], [-0.1, -0.93, 0.15]]
)  # fmt: skip
HANGS_ON = np.array([1] * 11 + [0, 0, 2, 3, 4, 5, 4, 5, 4, 5])
# Standard deviations in degrees of lifted rotations of root, spine, hips and knees, for good and poor lifts.
POSE_SD_DEG = {"good": (4.0, 4.0, 6.0, 8.0), "poor": (8.0, 8.0, 22.0, 25.0)}


@dataclass(frozen=True)
class Sticks:
    """Jointed bodies of 1.70 m that can be used as `optim.refine.terms.Bodies`.

    Attributes:
        local: (N, 6, 3, 3) local rotations.
    """

    local: FloatArray

    def __call__(self, pose: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = len(pose)
        turns = pose.reshape(n, 6, 3)
        local = rotation_matrix(turns) @ self.local
        world, joints = [local[:, 0]], [np.zeros((n, 3))]
        for j in range(1, 6):
            parent_index = PARENTS[j]
            joints.append(
                joints[parent_index] + world[parent_index] @ (JOINTS_M[j] - JOINTS_M[parent_index])
            )
            world.append(world[parent_index] @ local[:, j])
        arms = POINTS_M - JOINTS_M[HANGS_ON]
        points = np.stack(
            [joints[j] + world[j] @ a for j, a in zip(HANGS_ON, arms, strict=True)], axis=1
        )
        spin = left_jacobian(turns)
        jacobian = np.zeros((n, len(POINTS_M), 3, 6, 3))
        for k, joint in enumerate(HANGS_ON):
            while joint >= 0:
                parent = world[PARENTS[joint]] if joint else np.eye(3)
                jacobian[:, k, :, joint] = -skew(points[:, k] - joints[joint]) @ (
                    parent @ spin[:, joint]
                )
                joint = PARENTS[joint]
        flat = jacobian.reshape(n, len(POINTS_M), 3, 18)
        torso = [5, 6, 11, 12]
        return (
            points - points[:, torso].mean(axis=1, keepdims=True),
            flat - flat[:, torso].mean(axis=1, keepdims=True),
        )


@dataclass
class Crowd:
    """A generated scene: the truth, and the input that a pipeline would have.

    Attributes:
        n: number of people; seed: of the random numbers; kinds: their `KINDS`, in equal parts.
        lift: key of POSE_SD_DEG for people who sit or lean; all others are lifted well.
        camera_sd: errors of a fitted camera, as standard deviations of log focal, pitch, roll (radians) and log
            offset; None for a camera that is fitted to the keypoints themselves.
        outliers: share of keypoints that are completely wrong.
        spread_m: size of the rectangle in which people stand (across, along).
        height_m, pitch_rad: of the true camera.
        noise: factor on the keypoint noise; 1 for a good detector.
        least_apart_m: smallest distance between two people.
    """

    n: int = 200
    seed: int = 0
    kinds: tuple[str, ...] = KINDS
    lift: str = "good"
    camera_sd: tuple[float, float, float, float] | None = (0.02, 0.005, 0.004, 0.02)
    outliers: float = 0.03
    spread_m: tuple[float, float] = (30.0, 40.0)
    height_m: float = 8.0
    pitch_rad: float = 0.25
    noise: float = 1.0
    least_apart_m: float = 0.5
    kind: npt.NDArray[np.str_] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.theta = np.array([np.log(FOCAL_PX), self.pitch_rad, 0.03, np.log(self.height_m)])
        self.normal = normal_from_pitch_roll(self.theta[1], self.theta[2])
        self.kind = np.resize(np.array(self.kinds), self.n)
        self.stature_m = np.where(
            self.kind == "child", rng.uniform(1.1, 1.4, self.n), rng.normal(1.7, 0.09, self.n)
        )
        self.mean_stature_sd = 0.024 if self.camera_sd != KNOWN else 0.0
        self.log_mean_stature = rng.normal() * self.mean_stature_sd
        self.stature_m *= np.exp(self.log_mean_stature)
        self._pose_people(rng)
        self._stand(rng)
        self._see(rng)
        self.camera, self.camera_covariance = self._fitted(rng)
        self._lift(rng)

    def _pose_people(self, rng: np.random.Generator) -> None:
        """Draw local rotations; the root is in the true camera frame."""
        n, kind = self.n, self.kind
        turns = rng.normal(0, np.radians(3), (n, 6, 3))
        stride = np.where(kind == "walking", rng.uniform(-0.5, 0.5, n), 0.0)
        sit = kind == "seated"
        turns[:, 2, 0] -= stride + sit * rng.normal(1.45, 0.1, n)
        turns[:, 3, 0] += stride - sit * rng.normal(1.45, 0.1, n)
        turns[:, 4, 0] += np.maximum(-stride, 0) + sit * rng.normal(1.4, 0.15, n)
        turns[:, 5, 0] += np.maximum(stride, 0) + sit * rng.normal(1.4, 0.15, n)
        way = rng.uniform(0, 2 * np.pi, n)
        lean = np.where(kind == "leaning", rng.uniform(0.25, 0.45, n), rng.normal(0, 0.03, n))
        turns[:, 0, 0], turns[:, 0, 2] = lean * np.cos(way), lean * np.sin(way)
        turns[:, 0, 1] = 0.0
        local = rotation_matrix(turns)
        heading = np.zeros((n, 3))
        heading[:, 1] = rng.uniform(-np.pi, np.pi, n)
        axes = tangent_basis(self.normal)
        upright = np.stack([axes[1], self.normal, np.cross(axes[1], self.normal)], axis=1)
        local[:, 0] = upright @ rotation_matrix(heading) @ local[:, 0]
        self.local = local

    def _stand(self, rng: np.random.Generator) -> None:
        """Draw true foot points, torsos and body points, so that nobody stands inside another person."""
        ahead = np.array([0, 0, 1.0]) - self.normal[2] * self.normal
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, self.normal)
        near = 1.1 * self.height_m / np.tan(self.pitch_rad + 0.35)
        places: list[FloatArray] = []
        while len(places) < self.n:
            spot = rng.uniform([-0.5, 0.0], [0.5, 1.0]) * self.spread_m + [0, near]
            if all(np.hypot(*(spot - p)) > self.least_apart_m for p in places):
                places.append(spot)
        place = np.array(places).reshape(-1, 2)
        points, _ = Sticks(self.local)(np.zeros((self.n, 18)))
        points *= (self.stature_m / STATURE_M)[:, None, None]
        rise = -(points @ self.normal).min(axis=1)
        self.foot_m = place[:, :1] * right + place[:, 1:] * ahead - self.height_m * self.normal
        self.torso_m = self.foot_m + rise[:, None] * self.normal
        self.points_m = self.torso_m[:, None] + points

    def _see(self, rng: np.random.Generator) -> None:
        """Make noisy keypoints (N, 17, 2) in pixels, and their scores."""
        pixels = project(self.points_m[:, :17], FOCAL_PX, CENTER_PX)
        size_px = FOCAL_PX * self.stature_m / np.linalg.norm(self.torso_m, axis=1)
        sigma = np.maximum(2 * COCO_SIGMA * 0.25 * size_px[:, None], 0.5) * self.noise
        pixels = pixels + rng.normal(size=pixels.shape) * sigma[..., None]
        wrong = rng.random(pixels.shape[:2]) < self.outliers
        away = rng.normal(0, 0.25, pixels.shape) * size_px[:, None, None]
        self.pixels = pixels + wrong[..., None] * away
        self.scores = np.ones(pixels.shape[:2])

    def _fitted(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Estimated log focal, pitch, roll, log offset, with errors, and their covariance (4, 4)."""
        if self.camera_sd is None:
            keypoints = np.concatenate([self.pixels, 0.9 * self.scores[..., None]], axis=2)
            fit = fit_ground_camera(keypoints, SIZE_PX)
            return fit.unknowns, fit.covariance
        root = np.diag(self.camera_sd)
        root[1, 0] = -0.5 * self.camera_sd[1]  # focal length and pitch go together
        camera = self.theta + root @ rng.normal(size=4)
        # A fit assumes the mean stature of all people. The mean of this crowd differs, so the offset is wrong.
        camera[3] -= self.log_mean_stature
        root[3, 3] = np.hypot(root[3, 3], self.mean_stature_sd)
        return camera, root @ root.T

    def _lift(self, rng: np.random.Generator) -> None:
        """Make lifted poses with errors, in the fitted camera's frame, and their information (N, 18, 18)."""
        poor = np.isin(self.kind, ("seated", "leaning"))
        sd = np.where(poor[:, None], POSE_SD_DEG[self.lift], POSE_SD_DEG["good"])
        sd = np.radians(sd[:, [0, 1, 2, 2, 3, 3]]).repeat(3, axis=1)
        error = rotation_matrix(rng.normal(size=(self.n, 6, 3)) * sd.reshape(-1, 6, 3))
        self.lifted = error @ self.local
        fitted = normal_from_pitch_roll(self.camera[1], self.camera[2])
        axis = np.cross(self.normal, fitted)
        self.lifted[:, 0] = rotation_matrix(axis) @ self.lifted[:, 0]
        self.pose_information = np.einsum("nq,qr->nqr", sd**-2.0, np.eye(18))

    def known(self) -> dict[str, Any]:
        """Arguments that are the same for both ways of placing people."""
        focal = float(np.exp(self.camera[0]))
        return {
            "scores": self.scores,
            "rays": rays(self.pixels, focal, CENTER_PX),
            "px_per_rad": np.full(self.n, focal),
        }

    def place(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Place each alone: torsos (N, 3), scales (N,), foot covariances (N, 3, 3), torso heights (N,)."""
        normal = normal_from_pitch_roll(self.camera[1], self.camera[2])
        points, _ = Sticks(self.lifted)(np.zeros((self.n, 18)))
        height = -(points @ normal).min(axis=1)
        placed = place_people(
            points[:, :17], height, **self.known(), normal=normal,
            offset_m=float(np.exp(self.camera[3])), stature_m=np.full(self.n, STATURE_M),
            camera_covariance=self.camera_covariance,
        )  # fmt: skip
        return placed.torso_m, placed.scale, placed.position_cov_m2, height

    def refine(self, noise: RefineNoise | None = None) -> RefinedScene:
        """Refine everybody together, starting from `place`."""
        torso, scale, _, height = self.place()
        return refine_scene(
            Sticks(self.lifted), torso, scale, height, **self.known(),
            normals=normal_from_pitch_roll(self.camera[1], self.camera[2])[None],
            offsets_m=np.exp(self.camera[3:]), stature_m=np.full(self.n, STATURE_M),
            pose_information=self.pose_information, camera_covariance=self.camera_covariance,
            noise=noise or RefineNoise(camera_counts=2.0 if self.camera_sd is None else 1.0),
        )  # fmt: skip

    def placed_feet(self) -> FloatArray:
        """(N, 3) foot points of people who were placed alone."""
        normal = normal_from_pitch_roll(self.camera[1], self.camera[2])
        return foot_points(self.place()[0], normal, float(np.exp(self.camera[3])))


def foot_points(torso_m: FloatArray, normal: FloatArray, offset_m: float) -> FloatArray:
    """(N, 3) torso centres projected onto the plane."""
    return np.asarray(torso_m - (torso_m @ normal + offset_m)[:, None] * normal)
