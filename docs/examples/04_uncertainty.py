"""How sure is it? Error ellipses on the ground, and poses drawn from everybody's posterior.

    python docs/examples/04_uncertainty.py [PICTURE]

Shows: `position_cov_m2`, the columns of people.csv, and `sample_people` for error bars of whatever you compute
from poses; here of how far apart both hands are.
"""

import sys
from pathlib import Path

import numpy as np
import torch

import crowd3d
from crowd3d import body
from crowd3d.export.floorplan import floor_plan
from crowd3d.scene.samples import sample_people

DEMO = Path(__file__).parents[1] / "demo" / "plaza.jpg"
LEFT_HAND, RIGHT_HAND = 22, 23  # of SMPL's joints
DRAWS = 40


def hand_gap_m(pose: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(N,) distance between both hands of posed bodies."""
    joints = body.load("open", "crowd")(torch.tensor(pose).float(), torch.tensor(betas).float())
    hands = joints.joints[:, [LEFT_HAND, RIGHT_HAND]]
    return (hands[:, 0] - hands[:, 1]).norm(dim=1).numpy()


def main(picture: Path) -> None:
    """Places and poses with their error bars."""
    scene = crowd3d.reconstruct(picture, config="fast")
    scene.people = scene.people.filter(scene.people.placed)  # not those on a poster or in a mirror
    people = scene.people
    if not len(people):
        print("nobody was found")
        return
    plan = floor_plan(scene)  # what people.csv is made of: x right, y forward, metres
    distance_m = np.linalg.norm(plan.position_m, axis=1)
    for i in np.argsort(distance_m)[[0, -1]]:
        print(
            f"person {people.id[i]} is {distance_m[i]:.1f} m away: one standard deviation is "
            f"{plan.sigma_major_m[i]:.2f} m along, {plan.sigma_minor_m[i]:.2f} m across"
        )

    drawn = sample_people(people, DRAWS, seed=0)  # (DRAWS, N, 24, 3)
    gaps = np.stack([hand_gap_m(pose, people.betas) for pose in drawn])
    best = hand_gap_m(people.pose, people.betas)
    low, high = np.percentile(gaps, [5, 95], axis=0)
    print(f"hands are {best[0]:.2f} m apart, with 90 % between {low[0]:.2f} and {high[0]:.2f} m")
    print(f"the mean width of that interval is {np.mean(high - low):.2f} m")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO)
