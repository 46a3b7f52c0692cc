"""Do trained 3D heads help? On photographs with measured joints, on renders, and on motion they never saw.

    crowd3d train heads_cpu -o DIR
    python benchmarks/heads.py DIR/heads.safetensors --photographs mmpose_samples --motion DEEPMIMIC --render R

Photographs are those of `lift_real.py`. A render (may be given often) is a folder of `crowd3d synth`, read with
default settings; judged are people over 60 px of whom 30 % are seen. Motion is a folder of DeepMimic clips, as
keypoints with a detector's errors and without appearance: heads that help leave it alone. Every row is judged
with and without the lift's pose refinement.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import click
import lift_real
import numpy as np
import numpy.typing as npt
import torch
from syncrowd_score import MIN_HEIGHT_PX, MIN_VISIBLE, matched
from torch import Tensor

import tiling
from crowd3d import api, body, lift, lifting, models
from crowd3d.body.tree import H36M_14
from crowd3d.config import Config
from crowd3d.detections import Detections
from crowd3d.detector import Detector
from crowd3d.fitting import Fitted
from crowd3d.lift_rig import Rig, rig_of
from crowd3d.models import heads
from crowd3d.models.crowd3ds import Crowd3dS
from crowd3d.synth import Truth
from crowd3d.training import lift_data, mocap
from crowd3d.training.deepmimic import load_deepmimic
from crowd3d.training.keypoint_noise import NoiseRecipe
from crowd3d.training.lift_metrics import JOINTS_14, joints_of, procrustes
from tiling import ImageSource, Tile

WINDOW_PX, PERSON_PX = 256, 130.0  # what the trunk is shown of each person
Rows = dict[str, lift.LiftResult]
Table = dict[str, dict[str, float]]


def person_window(box_px: npt.NDArray[np.float64]) -> Tile:
    """The square about a box (4,) in which its height is `PERSON_PX`."""
    height = max(float(box_px[3] - box_px[1]), 1.0)
    side = WINDOW_PX * height / PERSON_PX
    u, v = float(box_px[0] + box_px[2]) / 2, float(box_px[1] + box_px[3]) / 2
    return Tile(
        u - side / 2, v - side / 2, side, side, WINDOW_PX, WINDOW_PX, 0, 0, (height, height)
    )


@torch.inference_mode()
def appearances(
    people: Detections, source: ImageSource, trunk: Crowd3dS, net: heads.HeadNet
) -> Tensor:
    """(N, A) what the trunk sees of everybody at their keypoints, in a perspective picture."""
    found = [torch.zeros(0, net.appearance)]
    for box, keypoints in zip(people.box_px, people.keypoints_px, strict=True):
        tile = person_window(box)
        pixels = source.read(tile.x, tile.y, tile.side_w, tile.side_h, (WINDOW_PX, WINDOW_PX))
        rgb = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float()
        points = np.concatenate([(box[None, :2] + box[None, 2:]) / 2, keypoints[:, :2]])
        at = torch.from_numpy(tile.to_tile(points)[None]).float()
        samples = heads.sample_levels(trunk.with_pyramid(rgb)[1], torch.zeros(1).long(), at)
        found.append(net.encode(samples))
    return torch.cat(found)


@torch.inference_mode()
def rows_of(
    lifter: lift.Lift,
    net: heads.HeadNet,
    keypoints: Tensor,
    elevation_rad: Tensor,
    appearance: Tensor,
) -> Rows:
    """The lift's answer and the heads', both also refined."""
    seen = heads.hypotheses(lifter, keypoints, elevation_rad)
    rows = {"lift": seen.lifted, "with heads": net.correct(seen, appearance).lifted}
    return rows | {
        f"{name}, refined": lifter.refine_pose(row, keypoints, elevation_rad)
        for name, row in rows.items()
    }


def compared(guess: Tensor, truth: Tensor, roots: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """PA-MPJPE and root-aligned MPJPE in millimetres, (N,) each, of joints (N, 14, 3) in metres."""
    aligned = procrustes(guess, truth)
    moved = guess - roots[0] - (truth - roots[1])
    return {
        "pa_mpjpe_mm": 1000 * (aligned - truth).norm(dim=-1).mean(1),
        "mpjpe_mm": 1000 * moved.norm(dim=-1).mean(1),
    }


def photographs(folder: Path, lifter: lift.Lift, net: heads.HeadNet, trunk: Crowd3dS) -> Table:
    """People on their feet in mmpose's samples."""
    config, model = Config(), body.load("open", "full")
    detector = Detector(models.build(), "cpu", config.batch_size, config.min_center_score)
    found: dict[str, list[dict[str, Tensor]]] = {}
    samples = [
        *lift_real.h36m(folder / "h36m"),
        *lift_real.mpi_inf_3dhp(folder / "mpi_inf_3dhp"),
    ]
    for sample in samples:
        people = lift_real.detect(sample, detector, config)
        if not (len(people) and sample.is_upright):
            continue
        rays = sample.camera.rays(people.keypoints_px[..., :2])
        scores = people.keypoints_px[..., 2]
        keypoints, elevation, R_upright_cam = lift.to_upright(rays, scores, sample.up)
        with tiling.open_image(sample.image, max_pixels=10**8) as source:
            appearance = appearances(people, source, trunk, net)
        truth = torch.from_numpy(sample.joints_m)[None]
        for name, row in rows_of(lifter, net, keypoints, elevation, appearance).items():
            rotations, _ = lift.to_camera(row.rotations, row.fisher, R_upright_cam)
            vertices = model(rotations, row.betas).vertices
            joints = model.h36m(vertices)[:, list(H36M_14)].double()
            hips = [j[:, [0, 3]].mean(1, keepdim=True) for j in (joints, truth)]
            found.setdefault(name, []).append(compared(joints, truth, (hips[0], hips[1])))
    return _means(found)


def reconstructed(image: Path) -> tuple[Detections, Fitted]:
    """The people of a run by default settings, and its camera, just before they are lifted."""
    with mock.patch.object(lifting, "lift_poses", wraps=lifting.lift_poses) as call:
        api.reconstruct(image)
    people, fitted = call.call_args.args[:2]
    return people, fitted


def renders(
    folders: tuple[Path, ...],
    lifter: lift.Lift,
    net: heads.HeadNet,
    trunk: Crowd3dS,
    rig: Rig,
) -> Table:
    """People in renders, in the camera that the run found."""
    found: dict[str, list[dict[str, Tensor]]] = {}
    for folder in folders:
        people, fitted = reconstructed(folder / "image.jpg")
        truth = Truth.load(folder / "truth.npz")
        who, seen = matched(people.keypoints_px, truth).T
        tall = np.ptp(truth.boxes_px[who][:, 1::2], axis=1) > MIN_HEIGHT_PX
        chosen = tall & (truth.visibility[who] > MIN_VISIBLE)
        who, people = who[chosen], people.filter(seen[chosen])
        rays = fitted.camera.rays(people.keypoints_px[..., :2])
        scores, up = people.keypoints_px[..., 2], fitted.planes[0].normal
        keypoints, elevation, R_upright_cam = lift.to_upright(rays, scores, up)
        with tiling.open_image(folder / "image.jpg", max_pixels=10**9) as source:
            appearance = appearances(people, source, trunk, net)
        joints = torch.from_numpy(truth.joints_m[who])
        wanted = joints[:, list(JOINTS_14)] - joints[:, :1]
        still = (torch.zeros(()), torch.zeros(()))  # both have the pelvis at the origin
        for name, row in rows_of(lifter, net, keypoints, elevation, appearance).items():
            rotations, _ = lift.to_camera(row.rotations, row.fisher, R_upright_cam)
            guess = joints_of(rig, rotations, row.betas)[:, list(JOINTS_14)].double()
            found.setdefault(name, []).append(compared(guess, wanted, still))
    return _means(found)


def motion(
    folder: Path, lifter: lift.Lift, net: heads.HeadNet, rig: Rig, people: int = 2000
) -> Table:
    """DeepMimic's clips, which no head is trained on."""
    clips = load_deepmimic(folder, mocap.body_directions(rig.joints[0].double().numpy()))
    poses = lift_data.PoseRecipe(everyday=0, weights={"deepmimic": 1.0}, mix=0, swap_arms=0)
    bank, generator = lift_data.build_bank(clips, poses, rig, 3), torch.Generator().manual_seed(9)
    drawn = lift_data.draw_poses(bank, poses, people, generator)
    betas = lift_data.draw_betas(lift_data.PopulationRecipe(), people, generator, drawn.device)
    batch = lift_data.photograph(
        rig, drawn, betas, lift_data.CameraRecipe(), NoiseRecipe(), generator
    )
    wanted = joints_of(rig, batch.rotations, batch.betas)[:, list(JOINTS_14)]
    nothing = torch.zeros(people, net.appearance)
    still = (torch.zeros(()), torch.zeros(()))
    found = {}
    for name, row in rows_of(lifter, net, batch.keypoints, batch.elevation, nothing).items():
        guess = joints_of(rig, row.rotations, row.betas)[:, list(JOINTS_14)]
        found[name] = [compared(guess, wanted, still)]
    return _means(found)


def _means(found: dict[str, list[dict[str, Tensor]]]) -> Table:
    """Over all people of each row."""
    table: Table = {}
    for name, parts in found.items():
        joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        table[name] = {"people": len(next(iter(joined.values())))}
        table[name] |= {key: round(float(v.mean()), 1) for key, v in joined.items()}
    return table


def lines(tables: dict[str, Table]) -> Iterator[str]:
    """The tables as text."""
    for title, table in tables.items():
        for name, row in table.items():
            numbers = "  ".join(f"{key} {value}" for key, value in row.items())
            yield f"{title:12} {name:20} {numbers}"


@click.command()
@click.argument("weights", type=click.Path(exists=True, path_type=Path))
@click.option("--photographs", "real", type=click.Path(exists=True, path_type=Path))
@click.option("--render", "folders", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--motion", "clips", type=click.Path(exists=True, path_type=Path))
@click.option("--out", default="heads.json", type=click.Path(path_type=Path))
def main(
    weights: Path, real: Path | None, folders: tuple[Path, ...], clips: Path | None, out: Path
) -> None:
    """Judge a file of heads."""
    lifter, net, trunk = lift.load(), heads.load(weights), models.build()
    rig = rig_of(body.load("open", "crowd"))
    assert isinstance(trunk, Crowd3dS)
    tables: dict[str, Table] = {}
    if real is not None:
        tables["photographs"] = photographs(real, lifter, net, trunk)
    if folders:
        tables["renders"] = renders(folders, lifter, net, trunk, rig)
    if clips is not None:
        tables["motion"] = motion(clips, lifter, net, rig)
    for line in lines(tables):
        click.echo(line)
    out.write_text(json.dumps(tables, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
