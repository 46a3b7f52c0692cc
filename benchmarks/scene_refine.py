"""What scene refinement gains over placing each person alone, on generated crowds with known truth.

    OMP_NUM_THREADS=1 python benchmarks/scene_refine.py

Bodies are sticks with hips, knees and a spine that bend: standing, walking, seated and leaning people, and
children, on flat ground. The input is keypoints with the noise of a detector (some completely wrong), poses as
uncertain as those of a lift, and a camera: either with the errors of a fit, or found by `fit_ground_camera`
from these same keypoints. Errors are of foot points, in metres, median over people and then over scenes. A
picture does not show the mean stature of its crowd, so the scale is uncertain: errors "after one scale" are
those after one common scale. "bent": people who sit or lean. "in 50 %", "in 90 %": how often the truth lies in
the 50 % and 90 % ellipses of the covariance on the plane. "worse": share of scenes whose median error grew,
again after one common scale. "deepest": how far the worst pair of torsos overlaps. Times are processor time.

The second table is about the camera, with root mean squares over scenes. Does the refinement use all
information? If it does, the error of its estimate does not correlate with what it changed ("correlation" 0;
Hausman, Econometrica 1978). Even then, by chance, the estimate is further from the truth than the start in an
expected share of scenes ("luck explains"). See docs/refinement.md.
"""

from __future__ import annotations

import time
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from shared.results import Cell, Table, save_option, show
from shared.scene_crowds import KNOWN, STATURE_M, STREET, Crowd, foot_points

from optim.geometry import pitch_roll_from_normal, tangent_basis
from optim.refine.scene import RefinedScene
from optim.refine.separation import RADIUS_OF_STATURE, penetration_m

FloatArray = npt.NDArray[np.float64]
BENT = ("seated", "leaning")
UNKNOWNS = ("focal", "pitch", "roll", "height")
# Mahalanobis distances within which the two-dimensional normal distribution has 50 % and 90 % of its
# probability.
IN_50, IN_90 = np.sqrt(-2 * np.log([0.5, 0.1]))


def one_scale(places_m: FloatArray, truth_m: FloatArray) -> FloatArray:
    """Places times the one factor that brings them nearest to the truth (least squares)."""
    return np.asarray(places_m * float((places_m * truth_m).sum() / (places_m**2).sum()))


def distances(covariance_m2: FloatArray, error_m: FloatArray, normal: FloatArray) -> FloatArray:
    """(N,) Mahalanobis distances of errors within the plane."""
    axes = tangent_basis(normal)
    cov = axes @ covariance_m2 @ axes.T
    flat = error_m @ axes.T
    return np.asarray(np.sqrt(np.einsum("np,npq,nq->n", flat, np.linalg.inv(cov), flat)))


def deepest_m(torso_m: FloatArray, normal: FloatArray, stature_m: FloatArray) -> float:
    """Largest depth in metres by which two torsos overlap; 0 if none do."""
    axes = tangent_basis(normal)
    _, depth = penetration_m(torso_m @ axes.T, torso_m @ normal, RADIUS_OF_STATURE * stature_m)
    return float(depth.max(initial=0.0))


def distance_score(places_m: FloatArray, truth_m: FloatArray) -> float:
    """Mean over pairs of people of max(0, 1 - |d - d*| / d*): the PPDS of LargeCrowd's evaluation."""
    i, j = np.triu_indices(len(places_m), 1)
    found, true = (np.linalg.norm(p[i] - p[j], axis=1) for p in (places_m, truth_m))
    return float(np.maximum(0.0, 1 - np.abs(found - true) / true).mean())


def camera_errors(crowd: Crowd, fit: RefinedScene) -> dict[str, float]:
    """Errors of log focal, pitch, roll and log camera height, as fitted ("before") and as refined ("after")."""
    found = [
        crowd.camera[0] + fit.log_focal,
        *pitch_roll_from_normal(fit.normals[0]),
        np.log(fit.offsets_m[0]),
    ]
    errors = {"before": crowd.camera - crowd.theta, "after": np.array(found) - crowd.theta}
    return {
        f"{name}_{when}": float(value)
        for when, row in errors.items()
        for name, value in zip(UNKNOWNS, row, strict=True)
    }


def expected_worse(ratio: float) -> float:
    """How often an efficient estimate is further from the truth than a poorer one of the same quantity.

    Let a be the error of the efficient estimate and d the difference of both. They are independent, centred and
    normal, and the error of the poorer estimate is a + d. Its error is the smaller one if d and 2 a + d have
    opposite signs. Two normal numbers of correlation c have opposite signs with probability arccos(c) / pi.

    Args:
        ratio: standard deviation of the efficient estimate over that of the other, 0..1.
    """
    correlation = np.sqrt(1 - ratio**2) / np.sqrt(1 + 3 * ratio**2)
    return float(np.arccos(correlation) / np.pi)


def camera_table(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """For each unknown of the camera: root mean squares, correlation, and how often the error grew."""
    table = {}
    for name in UNKNOWNS:
        before, after = (np.array([r[f"{name}_{k}"] for r in runs]) for k in ("before", "after"))
        rms = [float(np.sqrt((e**2).mean())) for e in (before, after)]
        if rms[0] > 0 and len(runs) > 2:
            table[name] = {
                "before": rms[0],
                "after": rms[1],
                "correlation": float(np.corrcoef(after, before - after)[0, 1]),
                "worse": float((np.abs(after) > np.abs(before)).mean()),
                "expected_worse": expected_worse(min(rms[1] / rms[0], 1.0)),
            }
    return table


def measure(crowd: Crowd) -> dict[str, float]:
    """Refine one crowd: errors before and after, calibration, overlaps, processor seconds."""
    placed = crowd.placed_feet()
    before = np.linalg.norm(placed - crowd.foot_m, axis=1)
    start = time.process_time()
    fit = crowd.refine()
    seconds = time.process_time() - start
    foot = foot_points(fit.torso_m, fit.normals[0], fit.offsets_m[0])
    error = foot - crowd.foot_m
    after = np.linalg.norm(error, axis=1)
    bent = np.isin(crowd.kind, BENT)
    scaled = [
        np.linalg.norm(one_scale(feet, crowd.foot_m) - crowd.foot_m, axis=1)
        for feet in (placed, foot)
    ]
    k = distances(fit.position_cov_m2, error, fit.normals[0])
    return {
        "before": float(np.median(before)),
        "after": float(np.median(after)),
        "scaled_before": float(np.median(scaled[0])),
        "scaled_after": float(np.median(scaled[1])),
        "bent_scaled_before": float(np.median(scaled[0][bent])) if bent.any() else np.nan,
        "bent_scaled_after": float(np.median(scaled[1][bent])) if bent.any() else np.nan,
        "bent_before": float(np.median(before[bent])) if bent.any() else np.nan,
        "bent_after": float(np.median(after[bent])) if bent.any() else np.nan,
        "ppds_before": distance_score(placed, crowd.foot_m),
        "ppds_after": distance_score(foot, crowd.foot_m),
        "in_50": float((k < IN_50).mean()),
        "in_90": float((k < IN_90).mean()),
        "deepest_m": deepest_m(fit.torso_m, fit.normals[0], STATURE_M * fit.scale),
        "steps": float(sum(len(costs) - 1 for costs in fit.costs)),
        "seconds": seconds,
        **camera_errors(crowd, fit),
    }


SCENARIOS: dict[str, dict[str, Any]] = {
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
    "fitted camera": {"kinds": STREET, "camera_sd": None},
    "fitted camera, 1000": {
        "n": 1000,
        "kinds": STREET,
        "camera_sd": None,
        "spread_m": (60.0, 60.0),
    },
}


COLUMNS = {
    "scenes": "{}",
    "position error m": "{:.2f} -> {:.2f}",
    "after one scale": "{:.2f} -> {:.2f}",
    "bent": "{:.2f} -> {:.2f}",
    "bent, after one scale": "{:.2f} -> {:.2f}",
    "PPDS": "{:.3f} -> {:.3f}",
    "in 50 %": "{:.2f}",
    "in 90 %": "{:.2f}",
    "worse": "{:.0f} %",
    "deepest m": "{:.2f}",
    "s": "{:.1f}",
}
CAMERA_COLUMNS = {
    "scenes": "{}",
    "of the camera": "{}",
    "root mean square": "{:.4f} -> {:.4f}",
    "correlation": "{:.2f}",
    "worse": "{:.0f} %",
    "luck explains": "{:.0f} %",
}


def summary(runs: list[dict[str, float]]) -> dict[str, float]:
    """Medians over scenes, but means of shares, because the camera's error is drawn only once for a scene."""
    row = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
    for key in ("in_50", "in_90"):
        row[key] = float(np.mean([run[key] for run in runs]))
    row["deepest_m"] = max(run["deepest_m"] for run in runs)
    row["worse"] = float(np.mean([run["scaled_after"] > run["scaled_before"] for run in runs]))
    return row


def line(name: str, row: dict[str, float]) -> list[Cell]:
    """One row of the first table."""
    pairs = [
        [row[f"{key}before"], row[f"{key}after"]]
        for key in ("", "scaled_", "bent_", "bent_scaled_", "ppds_")
    ]
    shares = [row["in_50"], row["in_90"], 100 * row["worse"]]
    return [name, *pairs, *shares, row["deepest_m"], row["seconds"]]


def camera_lines(name: str, table: dict[str, dict[str, float]]) -> list[list[Cell]]:
    """Rows of the second table, from the result of `camera_table`."""
    return [
        [
            name,
            unknown,
            [row["before"], row["after"]],
            row["correlation"],
            100 * row["worse"],
            100 * row["expected_worse"],
        ]
        for unknown, row in table.items()
    ]


@click.command(help=__doc__)
@click.option("--seeds", default=40, show_default=True, help="Scenes of every kind.")
@click.option(
    "--scenes",
    multiple=True,
    type=click.Choice(list(SCENARIOS)),
    default=list(SCENARIOS),
    help="May be given several times.  [default: all]",
)
@save_option
def main(seeds: int, scenes: tuple[str, ...], save: bool) -> None:
    table = Table(COLUMNS, [], "errors before and after")
    camera = Table(CAMERA_COLUMNS, [], "errors of the camera, as fitted and as refined")
    for name in scenes:
        runs = [measure(Crowd(seed=seed, **SCENARIOS[name])) for seed in range(seeds)]
        table.rows.append(line(name, summary(runs)))
        camera.rows.extend(camera_lines(name, camera_table(runs)))
        click.echo(f"{name}: {seeds} scenes", err=True)
    show("scene_refine", [table, camera], save=save)


if __name__ == "__main__":
    main()
