"""Rendered people who overlap, with wrong 2D poses and the lift's answer to them: what crowdnet-s learns from.

One shard a picture, made from its own seed, so that a run that was stopped goes on with the missing ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import roma
import torch
from scipy.spatial.transform import Rotation

from crowd3d import body as bodies
from crowd3d import crop_inputs, lift
from crowd3d.config import Config
from crowd3d.detections import Detections
from crowd3d.errors import DataError
from crowd3d.fitting import Fitted
from crowd3d.lifting import lift_people
from crowd3d.synth.motion import stands, without_heading
from crowd3d.synth.presets import Preset
from crowd3d.synth.render import Renderer, Setting, sample_setting
from crowd3d.synth.truth import Truth, truth_of
from crowd3d.training.everyday import everyday_poses
from crowd3d.training.pose_errors import disturb

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_JPEG_QUALITY = 92


@dataclass(frozen=True)
class SceneRecipe:
    """What is rendered and who of it is used."""

    width: int = 1280
    height: int = 960
    people: int = 45
    fov_deg: tuple[float, float] = (35.0, 75.0)
    height_m: tuple[float, float] = (1.5, 9.0)
    pitch_deg: tuple[float, float] = (0.0, 26.0)
    person_px: float = 85.0  # least height at the far end of a picture 1000 px high
    children: float = 0.12
    poses: int = 20_000  # made by rule, in place of the generator's own for most people
    min_visible: float = 0.2
    min_inside: float = 0.9
    min_overlap: float = 0.3  # of a person's box that another's covers
    isolated: float = 0.3  # share that is kept of those who overlap less
    draws: int = 2  # wrong 2D poses of each person
    dropout: float = 0.05
    hidden_dropped: float = 0.3  # of joints behind others
    score_gain: tuple[float, float] = (0.4, 1.05)  # of a person


class PictureArray:
    """A picture in memory that is read like a file."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def read(
        self, x: float, y: float, w: float, h: float, out_size: tuple[int, int] | None = None
    ) -> Pixels:
        """A region at a size; its border goes on outside the picture."""
        out_w, out_h = out_size or (max(1, round(w)), max(1, round(h)))
        warp = np.array([[out_w / w, 0, -x * out_w / w], [0, out_h / h, -y * out_h / h]])
        warp[:, 2] += 0.5 * warp[:, :2].sum(axis=1) - 0.5  # from pixel corners to cv2's centres
        shrinks = cv2.INTER_AREA if out_w < w else cv2.INTER_LINEAR
        left, top = int(np.floor(x)), int(np.floor(y))
        whole = (0 <= left, 0 <= top, x + w <= self.width, y + h <= self.height)
        if shrinks == cv2.INTER_AREA and all(whole):
            part = self.pixels[top : int(np.ceil(y + h)), left : int(np.ceil(x + w))]
            return np.asarray(cv2.resize(part, (out_w, out_h), interpolation=cv2.INTER_AREA))
        return np.asarray(
            cv2.warpAffine(self.pixels, warp, (out_w, out_h), borderMode=cv2.BORDER_REPLICATE)
        )


def rule_poses(count: int, seed: int) -> FloatArray:
    """Standing everyday poses (M, 24, 3) for the cast."""
    model = bodies.load("open", "crowd")
    rest = model.joints_only(torch.zeros(1, 24, 3), torch.zeros(1, 10))[0].double().numpy()
    made = everyday_poses(np.random.default_rng([seed, 11]), count, rest)
    flat = Rotation.from_matrix(made.reshape(-1, 3, 3)).as_rotvec().reshape(-1, 24, 3)
    poses = without_heading(flat)
    return np.asarray(poses[stands(poses)])


def sample_scene(recipe: SceneRecipe, seed: int, poses: FloatArray | None) -> Setting:
    """People close together before a camera near the ground."""
    preset = Preset(
        fov_deg=recipe.fov_deg,
        height_m=recipe.height_m,
        pitch_deg=recipe.pitch_deg,
        activities=(0.2, 0.35, 0.35, 0.05, 0.05),
        grounds=("paving", "slabs", "asphalt", "grass"),
        walking=0.5,
        children=recipe.children,
        person_px=recipe.person_px,
        depth_power=0.0,
        min_elevation_deg=12.0,
        sunny=0.5,
    )
    return sample_setting(seed, (recipe.width, recipe.height), recipe.people, preset, motion=poses)


def paint(setting: Setting) -> Pixels:
    """(h, w, 3) the whole picture."""
    width, height = setting.size
    picture = np.zeros((height, width, 3), np.uint8)
    for (x, y, w, h), pixels, _ in Renderer(setting).tiles():
        picture[y : y + h, x : x + w] = pixels
    return picture


def covered(boxes_px: FloatArray) -> FloatArray:
    """(N, N) share of box i that box j covers; zero on the diagonal. Boxes (N, 4) xyxy."""
    low = np.maximum(boxes_px[:, None, :2], boxes_px[None, :, :2])
    high = np.minimum(boxes_px[:, None, 2:], boxes_px[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=-1)
    own = np.clip(boxes_px[:, 2:] - boxes_px[:, :2], 1e-9, None).prod(axis=1)
    share = both / own[:, None]
    np.fill_diagonal(share, 0.0)
    return np.asarray(share)


def chosen(truth: Truth, recipe: SceneRecipe, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Who of a picture is used."""
    seen = (truth.visibility >= recipe.min_visible) & (truth.inside >= recipe.min_inside)
    overlaps = covered(truth.boxes_px).max(axis=1, initial=0.0) >= recipe.min_overlap
    return np.flatnonzero(seen & (overlaps | (rng.random(len(truth)) < recipe.isolated)))


def wrong_poses(
    truth: Truth, who: npt.NDArray[np.int64], recipe: SceneRecipe, rng: np.random.Generator
) -> FloatArray:
    """(len(who), 17, 3) 2D poses as a detector in a crowd might give them."""
    known, share = truth.keypoints_px[..., 2] > 0, covered(truth.boxes_px)
    out = np.zeros((len(who), 17, 3))
    for row, i in enumerate(who):
        others = np.flatnonzero(share[i] > 0.1)
        low, high = truth.boxes_px[i].reshape(2, 2)
        places, _ = disturb(
            truth.keypoints_px[i, :, :2],
            known[i],
            float((high - low).prod()),
            truth.keypoints_px[others, :, :2],
            known[others],
            rng,
            recipe.dropout,
        )
        hidden = truth.keypoints_px[i, :, 2] == 1
        score = places[:, 2] * rng.uniform(*recipe.score_gain)
        score = np.where(hidden, score * rng.uniform(0.3, 0.9, 17), score)
        score[hidden & (rng.random(17) < recipe.hidden_dropped)] = 0.0
        places[:, 2] = score
        out[row] = places
    return out


def as_detections(keypoints_px: FloatArray, boxes_px: FloatArray) -> Detections:
    """Given 2D poses as if they had been detected."""
    score = np.full(len(boxes_px), 0.5)
    cut = np.zeros(len(boxes_px), bool)
    one_tile = np.zeros(len(boxes_px), np.int64)
    return Detections(score, score, boxes_px, keypoints_px, cut, one_tile)


def true_fit(setting: Setting) -> Fitted:
    """Camera and ground as they are."""
    view = setting.world.view
    planes = [view.plane(level) for level in setting.world.levels_m]
    return Fitted(view.camera, planes, np.zeros((4, 4)), {})


def examples(
    setting: Setting, recipe: SceneRecipe, lifter: lift.Lift, seed: int
) -> dict[str, npt.NDArray[Any]]:
    """One shard: crops and numbers of everybody used, `draws` rows a person."""
    truth, rng = truth_of(setting), np.random.default_rng([seed, 12])
    who = chosen(truth, recipe, rng)
    picture = paint(setting) if len(who) else np.zeros((8, 8, 3), np.uint8)
    parts = []
    for _ in range(recipe.draws):
        keypoints = wrong_poses(truth, who, recipe, rng)
        enough = (keypoints[..., 2] > crop_inputs.MIN_SCORE).sum(axis=1) >= 4
        rows = who[enough]
        if len(rows):
            parts.append(_rows(setting, truth, rows, keypoints[enough], picture, lifter))
    if not parts:
        return {}
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _rows(
    setting: Setting,
    truth: Truth,
    who: npt.NDArray[np.int64],
    keypoints: FloatArray,
    picture: Pixels,
    lifter: lift.Lift,
) -> dict[str, npt.NDArray[Any]]:
    """One row a person, as `crop_refiner` will see them."""
    body, fitted = bodies.load("open", "crowd"), true_fit(setting)
    found = as_detections(keypoints, truth.boxes_px[who])
    people = lift_people(found, fitted, body, lifter, Config())
    who = who[people.id]
    people = replace(people, plane=truth.plane[who])
    source: Any = PictureArray(picture)
    pixels, tiles = crop_inputs.read_crops(source, people, fitted)
    inputs = crop_inputs.crop_inputs(people, tiles, fitted, body)
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(truth.pose[who]))
    rotations[:, 0] = inputs.R_upright_cam.to(rotations) @ rotations[:, 0]
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    coded = [cv2.imencode(".jpg", crop[..., ::-1], quality)[1] for crop in pixels]
    overlap = covered(truth.boxes_px).max(axis=1, initial=0.0)
    return {
        "jpeg": np.concatenate(coded),
        "jpeg_bytes": np.array([len(c) for c in coded]),
        "keypoints": inputs.keypoints.numpy(),
        "joints": inputs.joints.numpy(),
        "fisher": inputs.fisher.numpy(),
        "elevation": inputs.elevation.numpy(),
        "rotations": rotations.float().numpy(),
        "betas": truth.betas[who].astype(np.float32),
        "overlap": overlap[who].astype(np.float32),
        "visibility": truth.visibility[who].astype(np.float32),
    }


def write_shard(folder: Path, recipe: SceneRecipe, seed: int, poses: FloatArray) -> int:
    """Make the shard of a seed unless it is there; number of its rows."""
    path = folder / f"{seed:08d}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return len(stored["elevation"]) if "elevation" in stored.files else 0
    rows = examples(sample_scene(recipe, seed, poses), recipe, lift.load(), seed)
    partial = path.with_suffix(".part")
    with open(partial, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **rows)
    os.replace(partial, path)
    return len(rows.get("elevation", ()))


def read_shards(folder: Path, seeds: range) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The shards of some seeds that hold anybody, with `pixels` (N, H, W, 3) decoded."""
    for seed in seeds:
        path = folder / f"{seed:08d}.npz"
        if not path.exists():
            continue
        with np.load(path, allow_pickle=False) as stored:
            rows = {name: stored[name] for name in stored.files}
        if not rows:
            continue
        ends = np.cumsum(rows["jpeg_bytes"])[:-1]
        coded = np.split(rows.pop("jpeg"), ends)
        del rows["jpeg_bytes"]
        rows["pixels"] = np.stack([_decoded(c, path) for c in coded])
        yield rows


def _decoded(coded: Pixels, path: Path) -> Pixels:
    pixels = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if pixels is None:
        raise DataError(f"{path} holds a crop that is damaged; delete it, and it is made again")
    return np.asarray(pixels[..., ::-1], np.uint8)
