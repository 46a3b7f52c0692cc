"""The fit of one static camera compared with its calibration: python benchmarks/pets.py PETS

The data is PETS 2009 view 1 (`vtest.avi`, `view1_frames_0_399.json` with camera, boxes and feet in metres).
People are found in every frame separately, which shows how many are found. Then all people are used in one fit,
with and without the edges of the median picture, and with and without the known focal length.

Feet are compared after one common scale, in two ways. The z axis of a camera frame goes through its principal
point. The calibrated principal point is 60 px beside the centre, which cannot be seen in the picture
(docs/principal_point.md). That alone turns one camera frame against the other by 3 degrees, 1.3 m at 26 m. So
the frames are also aligned by the rays of a grid of pixels, which both cameras know ("same rays"); people and
ground are not used for this.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation
from shared import stages
from shared.photographs import PETS_EVERY, PETS_FIRST, owners, pets_annotations, pets_frames
from shared.results import Cell, Table, save_option, show

from crowd3d.ground.edges import Structure
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.plane import Plane
from tiling import open_image

FloatArray = npt.NDArray[np.float64]
_ANKLES = [15, 16]
# Of an adult of 1.70 m with shoes; Drillis & Contini 1966: 0.039, plus the sole.
_ANKLE_HEIGHT_M = 0.14
_GRID = (24, 18)  # columns and rows of pixels whose rays align the frames


@dataclass(frozen=True)
class Truth:
    """The calibration: K (3, 3), the ground in its camera frame, and the size of the picture."""

    K: FloatArray
    normal: FloatArray
    offset_m: float
    size: tuple[int, int]

    @property
    def focal_px(self) -> float:
        """Mean of both axes."""
        return float(self.K[0, 0] + self.K[1, 1]) / 2

    def rays(self, pixels: FloatArray) -> FloatArray:
        """(N, 2) pixels -> (N, 3) rays of unit length."""
        homogeneous = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
        rays = homogeneous @ np.linalg.inv(self.K).T
        return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def read_truth(values: dict[str, Any]) -> Truth:
    """The calibration from the values of the annotation file."""
    camera = values["camera"]
    return Truth(
        np.array(camera["K"]),
        np.array(camera["ground_normal_cam"]),
        float(camera["ground_offset_m"]),
        (int(camera["width"]), int(camera["height"])),
    )


def to_truth(camera: Camera, truth: Truth) -> FloatArray:
    """(3, 3) rotation from our camera frame to the calibration's that best aligns the rays of a pixel grid."""
    axes = [(np.arange(n) + 0.5) * side / n for n, side in zip(_GRID, truth.size, strict=True)]
    pixels = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    ours = camera.rays(pixels)
    ours = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    turn, _ = Rotation.align_vectors(truth.rays(pixels), ours)
    return np.asarray(turn.as_matrix())


def compared(
    fitted: Fitted, keypoints_px: FloatArray, feet_m: FloatArray, truth: Truth
) -> dict[str, float]:
    """Errors of a fit.

    Args:
        keypoints_px: (N, 17, 3).
        feet_m: (N, 3) true feet in the calibration's frame, NaN for people who are not annotated.
    """
    camera, plane = fitted.camera, fitted.planes[0]
    ankles = keypoints_px[:, _ANKLES, :2].mean(axis=1)
    at_ankles = Plane(plane.normal, plane.offset_m - _ANKLE_HEIGHT_M)
    ours = at_ankles.intersect_m(camera.rays(ankles)) - _ANKLE_HEIGHT_M * plane.normal
    known = np.isfinite(feet_m[:, 0]) & np.isfinite(ours[:, 0])
    turn = to_truth(camera, truth)
    errors = {}
    for name, moved in (("as it is", np.eye(3)), ("same rays", turn)):
        a, b = ours[known] @ moved.T, feet_m[known]
        scale = (a * b).sum() / (a * a).sum()
        cosine = np.clip((moved @ plane.normal) @ truth.normal, -1, 1)
        errors[f"normal_deg, {name}"] = float(np.degrees(np.arccos(cosine)))
        errors[f"feet_m, {name}"] = float(np.median(np.linalg.norm(scale * a - b, axis=1)))
    return {
        "focal": camera.focal_px / truth.focal_px - 1,
        "height": plane.offset_m / truth.offset_m - 1,
        "center_px": camera.center_px[0] - truth.size[0] / 2,
        **errors,
    }


def solve(
    people: Detections, structure: Structure | None, truth: Truth, focal_px: float | None
) -> Fitted:
    """Fit camera and ground to all people together, with a free principal point.

    Raises:
        click.ClickException: these people do not determine a camera.
    """
    width, height = truth.size
    centered = Camera(width, height, focal_px or truth.focal_px, (width / 2, height / 2))
    given = centered if focal_px is not None else None
    whole = people.filter(people.found_whole)  # as in a run: heads and boxes say less about sizes
    fitted = stages.fit(whole, truth.size, camera=given, structure=structure)
    if fitted is None:
        raise click.ClickException("these people do not determine a camera")
    return fitted


@dataclass(frozen=True)
class Pool:
    """People of all frames.

    Attributes:
        people: N people found; feet_m: (N, 3) their true feet, NaN for people who are not annotated.
        annotated: number of annotated people.
        others: for each frame, number of people found who are not annotated.
        edges: straight edges of the median picture.
    """

    people: Detections
    feet_m: FloatArray
    annotated: int
    others: list[int]
    edges: Structure | None


def pooled(folder: Path, first: int, every: int) -> Pool:
    """Find the people in every `every`-th frame, and the edges of the median picture."""
    frames = pets_annotations(folder)["frames"]
    people, feet, others, pictures, annotated = [], [], [], [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for index, frame in pets_frames(folder, Path(scratch), every, first):
            with open_image(frame.path) as source:
                seen = stages.find(source).as_found
            owner = owners(seen, frame.boxes_px)
            foot = np.array([p["foot_cam_m"] for p in frames[str(index)]]).reshape(-1, 3)
            feet.append(np.where(owner[:, None] >= 0, foot[owner], np.nan))
            others.append(int((owner < 0).sum()))
            annotated += len(foot)
            people.append(seen)
            pictures.append(cv2.imread(str(frame.path)))
        median = np.median(np.asarray(pictures), axis=0).astype(np.uint8)
        cv2.imwrite(f"{scratch}/median.png", median)
        with open_image(f"{scratch}/median.png") as source:
            edges = stages.edges(source)
    return Pool(Detections.cat(people), np.concatenate(feet), annotated, others, edges)


def count_table(pool: Pool) -> Table:
    """A table of how many people are found."""
    found = int(np.isfinite(pool.feet_m[:, 0]).sum())
    columns = {"frames": "{}", "annotated people": "{}", "found": "{} ({:.1f} %)"}
    columns |= {"others found": "{}", "others in one frame at most": "{}"}
    share = 100 * found / max(pool.annotated, 1)
    cells: list[Cell] = [len(pool.others), pool.annotated, [found, share]]
    return Table(columns, [[*cells, sum(pool.others), max(pool.others)]], "people found")


COLUMNS = {
    "from": "{}",
    "focal length": "{:+.1f} %",
    "camera height": "{:+.1f} %",
    "principal point px": "{:+.0f}",
    "normal, degrees": "{:.1f}",
    "feet m": "{:.2f}",
    "own frame: normal, degrees": "{:.1f}",
    "own frame: feet m": "{:.2f}",
}


def camera_table(pool: Pool, truth: Truth) -> Table:
    """A table of the camera's errors, with and without edges, with and without the focal length given."""
    table = Table(COLUMNS, [], "camera and ground of all frames together")
    for name, structure in (("people", None), ("people and edges", pool.edges)):
        for kind, focal_px in (("focal length given", truth.focal_px), ("nothing given", None)):
            fitted = solve(pool.people, structure, truth, focal_px)
            e = compared(fitted, pool.people.keypoints_px, pool.feet_m, truth)
            cells = [100 * e["focal"], 100 * e["height"], e["center_px"]]
            for way in ("same rays", "as it is"):
                cells += [e[f"normal_deg, {way}"], e[f"feet_m, {way}"]]
            table.rows.append([f"{name}, {kind}", *cells])
    return table


@click.command(help=__doc__)
@click.argument("folder", metavar="PETS", type=click.Path(exists=True, path_type=Path))
@click.option("--first", default=PETS_FIRST, show_default=True, help="First frame.")
@click.option("--every", default=PETS_EVERY, show_default=True, help="Frames between two.")
@save_option
def main(folder: Path, first: int, every: int, save: bool) -> None:
    truth = read_truth(pets_annotations(folder))
    pool = pooled(folder, first, every)
    show("pets", [count_table(pool), camera_table(pool, truth)], save=save)


if __name__ == "__main__":
    main()
