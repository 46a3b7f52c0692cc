"""How well camera and ground are found from people, compared with the optimum and with the released search.

    OMP_NUM_THREADS=1 python benchmarks/ground_camera.py

Generated crowds: sticks from mid-shoulder to mid-ankle with a lean of 3 degrees, 5 % of spread in stature and
1.5 % keypoint noise. Outliers lean by 20 degrees, sit, or are children. Errors are medians over scenes. In
brackets: the median error over that of an efficient estimator (Cramer-Rao bound) if everybody were an upright
adult; chance alone changes such a ratio by 1.17 / sqrt(scenes), 9 % for 160. "height": error of the camera's
height above the ground; if there is a step, of the worst level. "right level": share of people on the correct
level. "distances off by": mean relative error of the distances between people. "in 90 %": how often the true
focal length lies in the 90 % interval. The released search is that of Crowd3D (CVPR 2023), written anew and
vectorised from its published description. It is given the true length from ankles to shoulders (its own
constant is 11 % too long). Its errors are comparable, its time is a lower limit. Times are processor time.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from shared.ground_crowds import SCENARIOS, STATURE_M, Crowd, Scenario, bound, crowd
from shared.released_search import released_search
from shared.results import Cell, Table, save_option, show
from shared.score import apart_deg

from optim import fit_ground_camera
from optim.anthropometry import ANKLE_FRACTION, SHOULDER_FRACTION

FloatArray = npt.NDArray[np.float64]
MEDIAN_OF_NORMAL = 0.6745
ANKLE_M = ANKLE_FRACTION * STATURE_M
LENGTH_M = (SHOULDER_FRACTION - ANKLE_FRACTION) * STATURE_M
MOST_PEOPLE_IN_PAIRS = 300


@dataclass(frozen=True)
class Found:
    """An estimate of camera and ground; `offset_m` (N,) is that of the ground below every person."""

    focal_px: float
    normal: FloatArray
    offset_m: FloatArray
    seconds: float


@dataclass(frozen=True)
class Errors:
    """Errors of one scene; `focal` is of the logarithm, `right_level` and `ppds_loss` are in per cent."""

    focal: float
    normal_deg: float
    height_m: float
    right_level: float
    ppds_loss: float
    position_m: float
    seconds: float


def ours(scenario: Scenario, people: Crowd) -> tuple[Found, bool]:
    """Our fit, and whether its 90 % interval contains the true focal length."""
    planes = 2 if scenario.step_m else 1
    size = (scenario.width, scenario.height)
    start = time.process_time()
    fit = fit_ground_camera(people.keypoints, size, mean_stature_sd_m=0.0, max_planes=planes)
    seconds = time.process_time() - start
    offsets = np.array([offset for _, offset in fit.planes])[np.maximum(fit.plane_index, 0)]
    low, high = fit.report["focal_interval_90_px"]
    found = Found(fit.focal_px, fit.normal, offsets, seconds)
    return found, low <= scenario.focal_px <= high


def theirs(scenario: Scenario, people: Crowd) -> Found:
    """The released search."""
    start = time.process_time()
    focal, normal, height = released_search(people.keypoints, scenario, LENGTH_M, ANKLE_M)
    seconds = time.process_time() - start
    return Found(focal, normal, np.full(len(people.level), height), seconds)


def places(scenario: Scenario, people: Crowd, found: Found) -> FloatArray:
    """(N, 3) places of the ankles in metres; NaN for rays that miss the ground."""
    ankle = people.keypoints[:, 15, :2] - scenario.center_px
    ray = np.c_[ankle / found.focal_px, np.ones(len(ankle))]
    fall = -(ray @ found.normal)
    depth = (found.offset_m - ANKLE_M) / np.where(fall > 1e-9, fall, np.nan)
    return np.asarray(ray * depth[:, None])


def errors(scenario: Scenario, people: Crowd, found: Found) -> Errors:
    """Errors of one scene; a person whose ray misses the ground counts as infinitely far off."""
    heights = scenario.heights_m
    truth = Found(scenario.focal_px, scenario.normal, heights[people.level], 0.0)
    of_level = [np.median(found.offset_m[people.level == k]) for k in range(len(heights))]
    nearest = np.argmin(np.abs(found.offset_m[:, None] - heights), axis=1)
    p, q = places(scenario, people, found), places(scenario, people, truth)
    apart = np.linalg.norm(p - q, axis=1)
    known = np.isfinite(q[:, 0])
    p, q = p[known][:MOST_PEOPLE_IN_PAIRS], q[known][:MOST_PEOPLE_IN_PAIRS]
    i, j = np.triu_indices(len(q), 1)
    between, true_between = (np.linalg.norm(x[i] - x[j], axis=1) for x in (p, q))
    loss = np.minimum(1.0, np.abs(between - true_between) / true_between)
    return Errors(
        abs(math.log(found.focal_px / scenario.focal_px)),
        apart_deg(found.normal, scenario.normal),
        float(np.abs(of_level - heights).max()),
        100 * float((nearest == people.level).mean()),
        100 * float(np.nan_to_num(loss, nan=1.0).mean()),
        float(np.median(np.nan_to_num(apart[known], nan=np.inf))),
        found.seconds,
    )


def bound_medians(scenario: Scenario, people: Crowd, seed: int) -> tuple[float, float, float]:
    """Median errors in focal length, normal (degrees) and height (m) of an efficient estimator."""
    covariance = bound(scenario, people)
    draws = np.random.default_rng(seed).multivariate_normal(
        np.zeros(len(covariance)), covariance, 4000
    )
    turn = np.hypot(draws[:, 1], draws[:, 2] * math.cos(math.radians(scenario.pitch_deg)))
    height = np.abs(draws[:, 3:] * scenario.heights_m).max(axis=1)
    focal = MEDIAN_OF_NORMAL * math.sqrt(covariance[0, 0])
    return focal, math.degrees(float(np.median(turn))), float(np.median(height))


def measure(scenario: Scenario, scenes: int, baseline_scenes: int, seed: int) -> dict[str, Any]:
    """Run all scenes of a scenario; medians over the scenes, as plain values."""
    mine, released, bounds, inside = [], [], [], []
    for k in range(seed, seed + scenes):
        people = crowd(scenario, k)
        found, is_inside = ours(scenario, people)
        mine.append(errors(scenario, people, found))
        inside.append(is_inside)
        bounds.append(bound_medians(scenario, people, k))
        if k < seed + baseline_scenes:
            released.append(errors(scenario, people, theirs(scenario, people)))
    return {
        "scenario": asdict(scenario),
        "scenes": scenes,
        "ours": medians(mine),
        "bound": np.median(bounds, axis=0).tolist(),
        "in_90": float(np.mean(inside)),
        "released": medians(released) if released else None,
    }


def medians(rows: list[Errors]) -> dict[str, float]:
    """The median of every error over the scenes."""
    return {
        name: float(np.median([getattr(r, name) for r in rows]))
        for name in Errors.__dataclass_fields__
    }


COLUMNS = {
    "scenes": "{}",
    "focal length (x bound)": "{:.1f} % ({:.2f})",
    "normal, degrees (x bound)": "{:.2f} ({:.2f})",
    "height m": "{:.2f}",
    "height x bound": "{:.2f}",
    "right level": "{:.1f} %",
    "distances off by": "{:.1f} %",
    "position m": "{:.2f}",
    "in 90 %": "{:.2f}",
    "ms": "{:.0f}",
    "search: focal length": "{:.1f} %",
    "search: normal, degrees": "{:.2f}",
    "search: distances off by": "{:.1f} %",
    "search: position m": "{:.2f}",
    "search: ms": "{:.0f}",
}


def line(row: dict[str, Any]) -> list[Cell]:
    """One row of the table, from the result of `measure`."""
    own, best, search = row["ours"], row["bound"], row["released"]
    over = [own[name] / value for name, value in zip(list(own)[:3], best, strict=True)]
    cells: list[Cell] = [
        row["scenario"]["name"],
        [100 * own["focal"], over[0]],
        [own["normal_deg"], over[1]],
        own["height_m"],
        over[2],
        own["right_level"],
        own["ppds_loss"],
        own["position_m"],
        row["in_90"],
        1e3 * own["seconds"],
    ]
    if search is None:
        return [*cells, None, None, None, None, None]
    return [
        *cells,
        100 * search["focal"],
        search["normal_deg"],
        search["ppds_loss"],
        search["position_m"],
        1e3 * search["seconds"],
    ]


@click.command(help=__doc__)
@click.option("--scenes", default=160, show_default=True, help="Of every scenario.")
@click.option(
    "--baseline-scenes", default=40, show_default=True, help="The released search is slow."
)
@click.option("--seed", default=0, show_default=True, help="Of the first scene.")
@click.option("--only", default="", help="Scenarios whose name contains this.")
@save_option
def main(scenes: int, baseline_scenes: int, seed: int, only: str, save: bool) -> None:
    table = Table(COLUMNS, [])
    for scenario in (s for s in SCENARIOS if only in s.name):
        row = measure(scenario, scenes, min(baseline_scenes, scenes), seed)
        table.rows.append(line(row))
        click.echo(f"{scenario.name}: {scenes} scenes", err=True)
    show("ground_camera", [table], save=save)


if __name__ == "__main__":
    main()
