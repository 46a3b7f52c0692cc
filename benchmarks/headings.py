"""How well headings are found, with and without the second look: python benchmarks/headings.py --cache DIR

Nothing was trained or tuned on these crowds. Each is read in two qualities: as rendered, and as a poor camera
would have taken it (people 70 px tall, dim, a coarse JPEG). The true camera and ground are given. Scored are
standing people who are over 60 px tall and at least half visible.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import numpy.typing as npt
from shared.rendered import Crowd, rendered
from shared.results import Table, save_option, show
from shared.score import intervals_hold
from shared.stages import DEFAULT
from shared.ways import answer_of, on_true_ground

from crowd3d import Scene, evaluate
from crowd3d.body.tree import COCO_MIRROR, TORSO_KEYPOINTS
from crowd3d.detect import sides
from crowd3d.evaluate.metrics import matching
from crowd3d.export.floorplan import body_facing
from crowd3d.synth import Truth
from crowd3d.training.facing.data import poorly_coded

FloatArray = npt.NDArray[np.float64]

CROWDS = (
    Crowd("street7101", "street", (4000, 2250), 70, 7101),
    Crowd("street7102", "street", (4000, 2250), 70, 7102),
    Crowd("tele7111", "telephoto", (4000, 2667), 120, 7111),
    Crowd("plaza7121", "plaza", (4000, 2000), 110, 7121),
)
WAYS: dict[str, dict[str, Any]] = {
    "keypoints alone": {"second_look": False},
    "with the second look": {"second_look": True},
}
QUALITIES = ("sharp", "poor")
MIN_HEIGHT_PX, MIN_VISIBLE, _MIN_OKS = 60.0, 0.5, 0.3
_FRONTAL = 0.04  # least true openness of people whose left and right can be mixed up
_POOR_PX = 70.0  # median height of the people in a poor picture


def poor_picture(image: Path, truth: Truth, seed: int) -> Path:
    """The picture as from a poor camera, scaled back to the same size, in a file beside the picture."""
    poor = image.with_name("small.jpg")
    if not poor.exists():
        rng, pixels = np.random.default_rng(seed), cv2.imread(str(image))
        assert pixels is not None
        height = np.median(truth.boxes_px[:, 3] - truth.boxes_px[:, 1])
        scale = min(_POOR_PX / float(height), 1.0)
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        gain, offset = rng.uniform(0.5, 0.9), rng.uniform(0, 40)
        coded = poorly_coded(np.asarray(small, np.uint8), gain, offset, int(rng.uniform(30, 70)))
        size = (pixels.shape[1], pixels.shape[0])
        whole = cv2.resize(coded, size, interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(poor), whole, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return poor


def whom(scene: Scene, truth: Truth) -> npt.NDArray[np.int64]:
    """(K, 2) rows of truth and scene that belong to the same person, even if left and right are mixed up.

    Only people whom the scene gives a place.
    """
    box = truth.boxes_px
    height, width = box[:, 3] - box[:, 1], box[:, 2] - box[:, 0]
    found, true = scene.people.keypoints_px[..., :2], truth.keypoints_px[..., :2]
    either = [
        evaluate.oks_matrix(k, true, width * height) for k in (found, found[:, list(COCO_MIRROR)])
    ]
    pairs = matching.hungarian(np.maximum(*either), _MIN_OKS)
    judged = (height > MIN_HEIGHT_PX) & (truth.visibility >= MIN_VISIBLE) & ~truth.seated
    return pairs[judged[pairs[:, 0]] & scene.people.placed[pairs[:, 1]]]


def judge(scene: Scene, truth: Truth) -> FloatArray:
    """Score each matched person.

    Returns:
        (K, 4) left and right mixed up (0 or 1), error of the heading in degrees, whether the 90 % angle of the
        root contains the truth (0 or 1), MPJPE in mm.
    """
    true, found = whom(scene, truth).T
    box = truth.boxes_px[true]
    height = box[:, 3] - box[:, 1]
    opened = [
        sides.openness(k, height)
        for k in (truth.keypoints_px[true], scene.people.keypoints_px[found])
    ]
    mixed_up = (opened[0] * opened[1] < 0) & (np.abs(opened[0]) > _FRONTAL)
    poses = (truth.pose[true], scene.people.pose[found])
    ways = [_level(body_facing(pose[:, 0]), truth.normals[0]) for pose in poses]
    heading = np.degrees(np.arccos((ways[0] * ways[1]).sum(axis=1).clip(-1, 1)))
    holds = intervals_hold(scene, truth, true, found)[:, 0]  # of the root
    joints = answer_of(scene).keypoints_m
    assert joints is not None
    errors_mm = evaluate.mpjpe_mm(joints[found], truth.keypoints_m[true], TORSO_KEYPOINTS)
    return np.stack([mixed_up, heading, holds, errors_mm], axis=1)


def _level(ways: FloatArray, up: FloatArray) -> FloatArray:
    """(N, 3) directions projected onto the ground, of unit length."""
    level = ways - (ways @ up)[:, None] * up
    return np.asarray(level / np.linalg.norm(level, axis=1, keepdims=True))


COLUMNS = {
    "": "{}",
    "people": "{}",
    "left and right mixed up": "{}",
    "heading off by, degrees: median": "{:.1f}",
    "mean": "{:.1f}",
    "9 of 10 under": "{:.0f}",
    "over 45 degrees": "{}",
    "90 % angle of the root holds": "{:.1f} %",
    "MPJPE mm": "{:.1f}",
}


def table(judged: dict[str, FloatArray]) -> Table:
    """A line for each picture quality and way, from the rows that `judge` gives for its people."""
    result = Table(COLUMNS, [])
    for name, rows in judged.items():
        mixed_up, heading, holds, errors_mm = rows.T
        result.rows.append(
            [
                name,
                len(rows),
                int(mixed_up.sum()),
                float(np.median(heading)),
                float(heading.mean()),
                float(np.quantile(heading, 0.9)),
                int((heading > 45).sum()),
                float(100 * holds.mean()),
                float(np.nanmean(errors_mm)),
            ]
        )
    return result


@click.command(help=__doc__)
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path("headings"), show_default=True
)
@save_option
def main(cache: Path, save: bool) -> None:
    parts: dict[str, list[FloatArray]] = {f"{q}, {way}": [] for q in QUALITIES for way in WAYS}
    for crowd in CROWDS:
        image, truth = rendered(crowd, cache)
        for quality in QUALITIES:
            picture = image if quality == "sharp" else poor_picture(image, truth, crowd.seed)
            for way, settings in WAYS.items():
                config = DEFAULT.replace(**settings)
                rows = judge(on_true_ground(picture, truth, config), truth)
                parts[f"{quality}, {way}"].append(rows)
                click.echo(f"{crowd.name}, {quality}, {way}: {len(rows)} people", err=True)
    judged = {name: np.concatenate(rows) for name, rows in parts.items()}
    show("headings", [table(judged)], save=save)


if __name__ == "__main__":
    main()
