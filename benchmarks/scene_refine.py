"""What scene refinement gains over placing everybody alone, on generated crowds with their truth.

    OMP_NUM_THREADS=1 python benchmarks/scene_refine.py --seeds 20 --json scene_refine.json

Bodies of sticks with hips, knees and a spine that bend; standing, walking, seated, leaning people and
children on flat ground. Given are keypoints with the noise of a detector (and some that are plainly
wrong), poses as uncertain as a lift's, and a camera with the errors of a fit. Errors are of foot points,
in metres, median over people. "within k" is how often the truth lies within k standard deviations of the
covariance on the plane (39 % and 86 % would be exact for k = 1, 2). Times are processor time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from optim import place_people
from optim.anthropometry import COCO_SIGMA
from optim.geometry import normal_from_pitch_roll, tangent_basis
from optim.projection import project, rays
from optim.scene import RefinedScene, RefineNoise, refine_scene
from optim.scene_rotation import left_jacobian, rotation_matrix, skew
from optim.scene_separation import RADIUS_OF_STATURE, penetration_m

FloatArray = npt.NDArray[np.float64]
SIZE_PX, FOCAL_PX = (4000, 2500), 3000.0
CENTER_PX = np.array(SIZE_PX) / 2
STATURE_M = 1.70
KNOWN = (0.0, 0.0, 0.0, 0.0)
KINDS = ("standing", "walking", "seated", "leaning", "child")

# A body of 1.70 m at rest: left +x, up +y, ahead +z, pelvis at the origin.
PARENTS = (-1, 0, 0, 0, 2, 3)  # pelvis, spine, left and right hip, left and right knee
JOINTS_M = np.array(
    [[0, 0, 0], [0, 0.1, 0], [0.09, -0.05, 0], [-0.09, -0.05, 0], [0.1, -0.46, 0], [-0.1, -0.46, 0]]
)
POINTS_M = np.array(
    [[0, 0.63, 0.1], [0.03, 0.66, 0.08], [-0.03, 0.66, 0.08], [0.07, 0.64, 0], [-0.07, 0.64, 0],
     [0.18, 0.45, 0], [-0.18, 0.45, 0], [0.24, 0.18, 0], [-0.24, 0.18, 0], [0.26, -0.06, 0.05],
     [-0.26, -0.06, 0.05], [0.1, -0.02, 0], [-0.1, -0.02, 0], [0.1, -0.46, 0.02],
     [-0.1, -0.46, 0.02], [0.1, -0.85, 0], [-0.1, -0.85, 0], [0.1, -0.93, -0.05],
     [-0.1, -0.93, -0.05], [0.1, -0.93, 0.15], [-0.1, -0.93, 0.15]]
)  # fmt: skip
HANGS_ON = np.array([1] * 11 + [0, 0, 2, 3, 4, 5, 4, 5, 4, 5])
# Standard deviations in degrees of root, spine, hips and knees as lifted, for good and poor lifts.
POSE_SD_DEG = {"good": (4.0, 4.0, 6.0, 8.0), "poor": (8.0, 8.0, 22.0, 25.0)}


@dataclass(frozen=True)
class Sticks:
    """Jointed bodies of 1.70 m as `optim.scene.Bodies`; local rotations (N, 6, 3, 3)."""

    local: FloatArray

    def __call__(self, pose: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = len(pose)
        turns = pose.reshape(n, 6, 3)
        local = rotation_matrix(turns) @ self.local
        world, joints = [local[:, 0]], [np.zeros((n, 3))]
        for j in range(1, 6):
            up = PARENTS[j]
            joints.append(joints[up] + world[up] @ (JOINTS_M[j] - JOINTS_M[up]))
            world.append(world[up] @ local[:, j])
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
        jacobian = jacobian.reshape(n, len(POINTS_M), 3, 18)
        torso = [5, 6, 11, 12]
        return (
            points - points[:, torso].mean(axis=1, keepdims=True),
            jacobian - jacobian[:, torso].mean(axis=1, keepdims=True),
        )


@dataclass
class Crowd:
    """A generated scene: the truth, and what a pipeline would know of it.

    Attributes:
        n, seed, kinds: how many people, of which `KINDS` in equal parts.
        lift: a row of POSE_SD_DEG, for those who sit or lean; others are always lifted well.
        camera_sd: of log focal, pitch, roll (radians), log offset as fitted.
        outliers: share of keypoints that are plainly wrong.
        spread_m: people stand in a rectangle of that size (across, along).
        noise: 1 for a good detector's keypoints.
    """

    n: int = 200
    seed: int = 0
    kinds: tuple[str, ...] = KINDS
    lift: str = "good"
    camera_sd: tuple[float, float, float, float] = (0.02, 0.005, 0.004, 0.02)
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
        self.mean_stature_sd = 0.024 if self.camera_sd[3] > 0 else 0.0
        self.log_mean_stature = rng.normal() * self.mean_stature_sd
        self.stature_m *= np.exp(self.log_mean_stature)
        self._pose_people(rng)
        self._stand(rng)
        self._see(rng)
        root = np.diag(self.camera_sd)
        root[1, 0] = -0.5 * self.camera_sd[1]  # focal length and pitch go together
        self.camera = self.theta + root @ rng.normal(size=4)
        # A fit believes in the mean stature of all mankind; this crowd's own makes the offset wrong.
        self.camera[3] -= self.log_mean_stature
        root[3, 3] = np.hypot(root[3, 3], self.mean_stature_sd)
        self.camera_covariance = root @ root.T
        self._lift(rng)

    def _pose_people(self, rng: np.random.Generator) -> None:
        """Local rotations in the true camera frame."""
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
        """True foot points, torsos and points, nobody within another."""
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
        """Keypoints (N, 17, 2) in pixels with noise, and their scores."""
        pixels = project(self.points_m[:, :17], FOCAL_PX, CENTER_PX)
        size_px = FOCAL_PX * self.stature_m / np.linalg.norm(self.torso_m, axis=1)
        sigma = np.maximum(2 * COCO_SIGMA * 0.25 * size_px[:, None], 0.5) * self.noise
        pixels = pixels + rng.normal(size=pixels.shape) * sigma[..., None]
        wrong = rng.random(pixels.shape[:2]) < self.outliers
        away = rng.normal(0, 0.25, pixels.shape) * size_px[:, None, None]
        self.pixels = pixels + wrong[..., None] * away
        self.scores = np.ones(pixels.shape[:2])

    def _lift(self, rng: np.random.Generator) -> None:
        """Poses as lifted in the fitted camera's upright frame, and their information (N, 18, 18)."""
        poor = np.isin(self.kind, ("seated", "leaning"))
        sd = np.where(poor[:, None], POSE_SD_DEG[self.lift], POSE_SD_DEG["good"])
        sd = np.radians(sd[:, [0, 1, 2, 2, 3, 3]]).repeat(3, axis=1)
        error = rotation_matrix(rng.normal(size=(self.n, 6, 3)) * sd.reshape(-1, 6, 3))
        self.lifted = error @ self.local
        fitted = normal_from_pitch_roll(self.camera[1], self.camera[2])
        axis = np.cross(self.normal, fitted)
        self.lifted[:, 0] = rotation_matrix(axis) @ self.lifted[:, 0]
        self.pose_information = np.einsum("nq,qr->nqr", sd**-2.0, np.eye(18))

    def known(self) -> dict[str, FloatArray]:
        """What both ways of placing people are given alike."""
        focal = float(np.exp(self.camera[0]))
        return {
            "scores": self.scores,
            "rays": rays(self.pixels, focal, CENTER_PX),
            "px_per_rad": np.full(self.n, focal),
        }

    def place(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Torsos (N, 3), scales (N,), foot covariances (N, 3, 3), torso heights (N,): placed alone."""
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
        """Everybody together."""
        torso, scale, _, height = self.place()
        return refine_scene(
            Sticks(self.lifted), torso, scale, height, **self.known(),
            normals=normal_from_pitch_roll(self.camera[1], self.camera[2])[None],
            offsets_m=np.exp(self.camera[3:]), stature_m=np.full(self.n, STATURE_M),
            pose_information=self.pose_information, camera_covariance=self.camera_covariance,
            noise=noise or RefineNoise(camera_counts=1.0),
        )  # fmt: skip

    def placed_feet(self) -> FloatArray:
        """(N, 3) foot points where everybody was placed alone."""
        normal = normal_from_pitch_roll(self.camera[1], self.camera[2])
        return foot_points(self.place()[0], normal, float(np.exp(self.camera[3])))


def foot_points(torso_m: FloatArray, normal: FloatArray, offset_m: float) -> FloatArray:
    """(N, 3) torso centres dropped onto the plane."""
    return np.asarray(torso_m - (torso_m @ normal + offset_m)[:, None] * normal)


def distances(covariance_m2: FloatArray, error_m: FloatArray, normal: FloatArray) -> FloatArray:
    """(N,) Mahalanobis distances of errors within the plane."""
    axes = tangent_basis(normal)
    cov = axes @ covariance_m2 @ axes.T
    flat = error_m @ axes.T
    return np.sqrt(np.einsum("np,npq,nq->n", flat, np.linalg.inv(cov), flat))


def deepest_m(torso_m: FloatArray, normal: FloatArray, stature_m: FloatArray) -> float:
    """How far the worst pair of torsos is within one another."""
    axes = tangent_basis(normal)
    _, depth = penetration_m(torso_m @ axes.T, torso_m @ normal, RADIUS_OF_STATURE * stature_m)
    return float(depth.max(initial=0.0))


def distance_score(places_m: FloatArray, truth_m: FloatArray) -> float:
    """Mean over pairs of 1 - |d - d*| / d*, not below 0: the PPDS of LargeCrowd's evaluation."""
    i, j = np.triu_indices(len(places_m), 1)
    found, true = (np.linalg.norm(p[i] - p[j], axis=1) for p in (places_m, truth_m))
    return float(np.maximum(0.0, 1 - np.abs(found - true) / true).mean())


def measure(crowd: Crowd) -> dict[str, float]:
    """Errors before and after, calibration, overlaps, processor seconds."""
    placed = crowd.placed_feet()
    before = np.linalg.norm(placed - crowd.foot_m, axis=1)
    start = time.process_time()
    fit = crowd.refine()
    seconds = time.process_time() - start
    foot = foot_points(fit.torso_m, fit.normals[0], fit.offsets_m[0])
    error = foot - crowd.foot_m
    after = np.linalg.norm(error, axis=1)
    bent = np.isin(crowd.kind, ("seated", "leaning"))
    k = distances(fit.position_cov_m2, error, fit.normals[0])
    return {
        "before": float(np.median(before)),
        "after": float(np.median(after)),
        "bent_before": float(np.median(before[bent])) if bent.any() else np.nan,
        "bent_after": float(np.median(after[bent])) if bent.any() else np.nan,
        "ppds_before": distance_score(placed, crowd.foot_m),
        "ppds_after": distance_score(foot, crowd.foot_m),
        "within_1": float((k < 1).mean()),
        "within_2": float((k < 2).mean()),
        "deepest_m": deepest_m(fit.torso_m, fit.normals[0], STATURE_M * fit.scale),
        "steps": float(len(fit.costs) - 1),
        "seconds": seconds,
    }


SCENARIOS = {
    "good lift, known camera": {"camera_sd": KNOWN},
    "poor lift, known camera": {"lift": "poor", "camera_sd": KNOWN},
    "poor, known, near": {"lift": "poor", "camera_sd": KNOWN, "spread_m": (14.0, 14.0)},
    "good lift": {},
    "good lift, good camera": {"camera_sd": (0.002, 0.0005, 0.0005, 0.003)},
    "poor lift": {"lift": "poor"},
    "poor lift, good camera": {"lift": "poor", "camera_sd": (0.002, 0.0005, 0.0005, 0.003)},
    "low phone": {"lift": "poor", "height_m": 1.8, "pitch_rad": 0.05, "spread_m": (12.0, 25.0)},
    "dense": {"n": 300, "spread_m": (14.0, 14.0)},
    "30 people": {"n": 30},
    "1000 people": {"n": 1000, "spread_m": (60.0, 60.0)},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--scenes", nargs="*", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table: dict[str, dict[str, float]] = {}
    for name in options.scenes:
        runs = [measure(Crowd(seed=seed, **SCENARIOS[name])) for seed in range(options.seeds)]
        row = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
        for key in ("within_1", "within_2"):  # scenes are one draw of the camera each
            row[key] = float(np.mean([run[key] for run in runs]))
        row["worse"] = float(np.mean([run["after"] > run["before"] for run in runs]))
        row["ppds_worse"] = float(np.mean([r["ppds_after"] < r["ppds_before"] for r in runs]))
        table[name] = row
        if len(table) == 1:
            print("scene".ljust(24) + " ".join(key.rjust(11) for key in row))
        print(name.ljust(24) + " ".join(f"{value:11.3f}" for value in row.values()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
