"""Detector and lift on real photographs with measured 3D joints: python benchmarks/lift_real.py SAMPLES

The folder has `h36m/` and `mpi_inf_3dhp/` of mmpose's tests/data. Keypoints are found by the default network in
the scout tiles. Intrinsics and gravity are those of the data sets' calibration. The orientation of the test
cameras of MPI-INF-3DHP is not published; they are assumed to be level. PA-MPJPE is over the 14 joints that both
data sets have. "refined": after limbs were fitted to the keypoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import torch
from shared import stages
from shared.results import Cell, Table, save_option, show

import tiling
from crowd3d import body, lift
from crowd3d.body.convert import read_pickled_arrays
from crowd3d.body.tree import H36M_14
from crowd3d.maths.upright import to_camera, to_upright
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.training.lift.metrics import procrustes

Array = npt.NDArray[np.float64]

# Indices of MPI-INF-3DHP's 17 joints in the order of H36M_14; hips, knees and ankles begin at the right in
# both.
_3DHP_14 = (8, 9, 10, 11, 12, 13, 1, 0, 5, 6, 7, 2, 3, 4)
_3DHP_PELVIS = 14
_UPRIGHT_COS = 0.7  # least cosine of the angle between the trunk and up, for an upright person
_ON_FEET_M = 0.5  # least height of the hips above the lower ankle, for an upright person


@dataclass(frozen=True)
class Sample:
    """One person in one photograph, in the camera frame.

    Attributes:
        up: (3,) upward direction; up_is_known: whether it is known, not assumed.
        center_px: (2,) middle of the person; joints_m: (14, 3) in the order of H36M_14.
        trunk: (3,) from the pelvis to the neck.
    """

    name: str
    image: Path
    camera: Camera
    up: Array
    up_is_known: bool
    center_px: Array
    joints_m: Array
    trunk: Array

    @property
    def is_upright(self) -> bool:
        """Whether the trunk is about vertical, and the hips are well above the feet."""
        heights = self.joints_m @ self.up
        legs = heights[[0, 3]].mean() - heights[[2, 5]].min()
        leans = self.trunk @ self.up / np.linalg.norm(self.trunk)
        return bool(leans > _UPRIGHT_COS and legs > _ON_FEET_M)


def camera_of(values: dict[str, Array], size: tuple[int, int]) -> Camera:
    """A camera with one focal length and the principal point; the distortion of the lens is left out."""
    focal, center = np.ravel(values["f"]), np.ravel(values["c"])
    return Camera(*size, float(focal.mean()), (float(center[0]), float(center[1])))


def h36m(folder: Path) -> Iterator[Sample]:
    """Samples of Human3.6M; R turns camera vectors into the world frame, whose z points up."""
    cameras = read_pickled_arrays(folder / "cameras.pkl")
    data = np.load(folder / "test_h36m_body3d.npz")
    for name, center, joints in zip(data["imgname"], data["center"], data["S"], strict=True):
        subject, _, file = str(name).split("/")
        camera = cameras[subject, file.split(".")[1].split("_")[0]]
        size = picture_size(folder / str(name))
        up = np.asarray(camera["R"]).T @ [0.0, 0.0, 1.0]
        joints = joints[:, :3]
        trunk = joints[8] - joints[0]
        yield Sample(
            file, folder / str(name), camera_of(camera, size), up, True, center,
            joints[list(H36M_14)], trunk,
        )  # fmt: skip


def mpi_inf_3dhp(folder: Path) -> Iterator[Sample]:
    """Samples of MPI-INF-3DHP; R turns world vectors (y up) into the camera frame. Test cameras have no R."""
    for part in ("train", "test"):
        cameras = read_pickled_arrays(folder / f"cameras_{part}.pkl")
        data = np.load(folder / f"test_3dhp_{part}.npz")
        for name, center, joints in zip(data["imgname"], data["center"], data["S"], strict=True):
            camera = cameras[str(name).rpartition("_")[0]]
            size = picture_size(folder / str(name))
            known = "R" in camera
            up = np.asarray(camera["R"]) @ [0.0, 1.0, 0.0] if known else np.array([0.0, -1, 0])
            joints = joints[:, :3]
            trunk = joints[1] - joints[_3DHP_PELVIS]
            yield Sample(
                str(name), folder / str(name), camera_of(camera, size), up, known, center,
                joints[list(_3DHP_14)], trunk,
            )  # fmt: skip


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels."""
    with tiling.open_image(path, max_pixels=10**8) as source:
        return source.width, source.height


def detect(sample: Sample) -> Detections:
    """The best detection whose box contains the sample's centre: one row, or none."""
    people = stages.scout(sample.image)
    low, high = people.box_px[:, :2], people.box_px[:, 2:]
    inside = ((low < sample.center_px) & (sample.center_px < high)).all(axis=1)
    return people.filter(np.flatnonzero(inside)[np.argsort(-people.quality[inside])[:1]])


def judge(
    sample: Sample, seen: Detections, lifter: lift.Lift, model: body.BodyModel
) -> dict[str, float]:
    """PA-MPJPE and root-aligned MPJPE in millimetres, for the lift and for its refinement."""
    rays = sample.camera.rays(seen.keypoints_px[..., :2])
    keypoints, elevation, R_upright_cam = to_upright(rays, seen.keypoints_px[..., 2], sample.up)
    lifted = lifter(keypoints, elevation)
    truth = torch.from_numpy(sample.joints_m)[None]
    row = {"elevation_deg": float(torch.rad2deg(elevation)[0])}
    for name, result in (
        ("", lifted),
        ("refined_", lifter.refine_pose(lifted, keypoints, elevation)),
    ):
        rotations, _ = to_camera(result.rotations, result.fisher, R_upright_cam)
        joints = model.h36m(model(rotations, result.betas).vertices)[:, list(H36M_14)].double()
        row[f"{name}pa_mpjpe_mm"] = _mm(procrustes(joints, truth), truth)
        hips = [joints[:, [0, 3]].mean(1, keepdim=True), truth[:, [0, 3]].mean(1, keepdim=True)]
        row[f"{name}mpjpe_mm"] = _mm(joints - hips[0], truth - hips[1])
    return row


def _mm(a: torch.Tensor, b: torch.Tensor) -> float:
    return 1000 * float((a - b).norm(dim=-1).mean())


COLUMNS = {  # name of a number -> heading and template
    "gravity_is_known": ("gravity is known", "{}"),
    "mean_keypoint_score": ("mean keypoint score", "{:.2f}"),
    "elevation_deg": ("elevation, degrees", "{:.1f}"),
    "pa_mpjpe_mm": ("PA-MPJPE mm", "{:.1f}"),
    "mpjpe_mm": ("MPJPE mm", "{:.1f}"),
    "refined_pa_mpjpe_mm": ("refined: PA-MPJPE mm", "{:.1f}"),
    "refined_mpjpe_mm": ("refined: MPJPE mm", "{:.1f}"),
}
ERRORS = ("pa_mpjpe_mm", "mpjpe_mm", "refined_pa_mpjpe_mm", "refined_mpjpe_mm")


def tables(samples: dict[str, dict[str, Cell]], upright: list[str]) -> list[Table]:
    """Two tables: means over the upright samples that were found, and a line for each sample."""
    judged = [samples[name] for name in upright if "pa_mpjpe_mm" in samples[name]]
    means: list[Cell] = [float(np.mean([row[key] for row in judged])) for key in ERRORS]
    columns = {"upright samples": "{}"} | dict(COLUMNS[key] for key in ERRORS)
    return [
        Table(columns, [[len(judged), *means]], "means"),
        Table(
            {"sample": "{}", "upright": "{}"} | dict(COLUMNS.values()),
            [
                [name, "yes" if name in upright else "no", *(row.get(key) for key in COLUMNS)]
                for name, row in samples.items()
            ],
            "each sample",
        ),
    ]


@click.command(help=__doc__)
@click.argument(
    "folder", metavar="SAMPLES", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--weights", default=None, type=click.Path(exists=True, path_type=Path))
@save_option
def main(folder: Path, weights: Path | None, save: bool) -> None:
    lifter, model = lift.load(weights), body.load("open", "full")
    rows: dict[str, dict[str, Cell]] = {}
    upright = []
    for sample in [*h36m(folder / "h36m"), *mpi_inf_3dhp(folder / "mpi_inf_3dhp")]:
        row: dict[str, Cell] = {"gravity_is_known": "yes" if sample.up_is_known else "no"}
        seen = detect(sample)
        if len(seen):
            row["mean_keypoint_score"] = float(seen.keypoints_px[..., 2].mean())
            row |= judge(sample, seen, lifter, model)
        rows[sample.name] = row
        upright += [sample.name] if sample.is_upright else []
    show("lift_real", tables(rows, upright), save=save)


if __name__ == "__main__":
    main()
