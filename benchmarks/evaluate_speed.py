"""How long scoring takes: python benchmarks/evaluate_speed.py

Crowds stand on a plane and are seen by a camera like that of a LargeCrowd picture. Predictions are the truth
with noise; some people are missing and some are invented. Timed are the scores alone (both flavours, and with
intervals), posing the bodies' keypoints, and everything that `crowd3d evaluate` computes. The scores themselves
are printed to show that the crowds are not trivial.
"""

from __future__ import annotations

from collections.abc import Callable

import click
import numpy as np
import torch
from shared.machine import timed
from shared.results import Table, save_option, show

from crowd3d import evaluate
from crowd3d.data.truth import FrameTruth
from crowd3d.evaluate.metrics.scene import Flavour
from crowd3d.evaluate.predictions import PredictedFrame, of_parameters
from crowd3d.export.predict_json import Predicted

K = np.array([[14000.0, 0, 9600], [0, 14000.0, 3240], [0, 0, 1]])
CAMERA_M, PITCH_RAD = 12.0, 0.17
MISSED, INVENTED = 0.1, 0.1


def parameters(people: int, seed: int) -> Predicted:
    """Parameters of people who stand on a plane, 40 to 160 m away."""
    rng = np.random.default_rng(seed)
    far, side = rng.uniform(40, 160, people), rng.uniform(-0.6, 0.6, people)
    c, s = np.cos(PITCH_RAD), np.sin(PITCH_RAD)
    world = np.stack([side * far, np.full(people, CAMERA_M - 0.9), far], axis=1)
    place = world @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T
    pose = 0.1 * rng.normal(size=(people, 24, 3))
    pose[:, 0, 0] = np.pi  # the body's y is up, the camera's down
    nowhere = np.full((people, 3), np.nan)
    return Predicted(
        K, pose, np.zeros((people, 10)), place, np.ones(people), nowhere[:, :2], nowhere,
        ["open"] * people,
    )  # fmt: skip


def pair(people: int, seed: int) -> tuple[Predicted, PredictedFrame, FrameTruth]:
    """For one picture: the prediction as parameters, the prediction as posed bodies, and the truth."""
    rng = np.random.default_rng([seed, 1])
    everyone = parameters(people, seed)
    seen = of_parameters(everyone)
    truth = FrameTruth.unknown(f"{seed:04d}.jpg", "made-up", people)
    truth.keypoints_px = np.concatenate([seen.keypoints_px, np.full((people, 17, 1), 2.0)], axis=2)
    truth.boxes_px = np.concatenate(
        [seen.keypoints_px.min(1) - 10, seen.keypoints_px.max(1) + 10], axis=1
    )
    truth.torso_m, truth.hvip_m = seen.torso_m, seen.torso_m + np.array([0, 1, 0])
    kept = np.sort(rng.permutation(people)[: round(people * (1 - MISSED))])
    invented = parameters(round(people * INVENTED), seed + 10_000)
    both = {
        name: np.concatenate([getattr(everyone, name)[kept], getattr(invented, name)])
        for name in ("pose", "betas", "transl_m", "scale", "hvip_px", "hvip_m")
    }
    both["transl_m"] = both["transl_m"] * rng.normal(1, 0.02, (len(both["pose"]), 1))
    found = Predicted(K=K, body=["open"] * len(both["pose"]), **both)
    return found, of_parameters(found), truth


def jobs(frames: int, people: int) -> tuple[dict[str, Callable[[], object]], Callable[[], Table]]:
    """The functions to time, by name, and a function that gives the scores of the same crowds."""
    raw, posed, truth = {}, {}, {}
    for i in range(frames):
        found, seen, true = pair(people, i)
        raw[true.image_name], posed[true.image_name], truth[true.image_name] = found, seen, true

    def arrays(flavour: Flavour, seed: int | None = None) -> None:
        for name, true in truth.items():
            evaluate.scene_metrics(
                posed[name].keypoints_px,
                posed[name].torso_m,
                true.keypoints_px[..., :2],
                np.prod(true.boxes_px[:, 2:] - true.boxes_px[:, :2], axis=1),
                true.torso_m,
                true.hvip_m,
                flavour,
                seed=seed,
            )

    def scores() -> Table:
        found = evaluate.largecrowd(posed, truth)
        return Table(
            dict.fromkeys(found, "{:.3f}"), [list(found.values())], "scores of these crowds"
        )

    return {
        "scene_metrics, largecrowd": lambda: arrays("largecrowd"),
        "scene_metrics, scene": lambda: arrays("scene"),
        "scene_metrics, scene, with intervals": lambda: arrays("scene", 0),
        "bodies to keypoints": lambda: [of_parameters(found) for found in raw.values()],
        "evaluate, everything, scene": lambda: evaluate.evaluate(posed, truth, "scene"),
    }, scores


@click.command(help=__doc__)
@click.option("--frames", default=100, show_default=True)
@click.option("--people", default=500, show_default=True)
@click.option("--threads", default=2, show_default=True)
@save_option
def main(frames: int, people: int, threads: int, save: bool) -> None:
    torch.set_num_threads(threads)
    work, scores = jobs(frames, people)
    columns = {"what": "{}", "pictures": "{}", "people in each": "{}"}
    table = Table(columns | {"s": "{:.2f}", "processor s": "{:.2f}"}, [])
    for name, job in work.items():
        times = timed(job)
        table.rows.append([name, frames, people, times.best_s, times.median_processor_s])
    show("evaluate_speed", [table, scores()], save=save)


if __name__ == "__main__":
    main()
