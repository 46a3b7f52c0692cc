"""Makes and reads shards: crops of rendered people, a 2D pose of each, the lift's answer to it, and the truth.

A shard is the .npz file of one picture, made from the picture's own seed, and not made again if it is there.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import roma
import torch

from crowd3d import body as bodies
from crowd3d import lift
from crowd3d.config import Config
from crowd3d.errors import DataError
from crowd3d.files.arrays import load_arrays
from crowd3d.files.atomic import write_bytes
from crowd3d.lift.box_depth import k_m
from crowd3d.lift.people import lift_people
from crowd3d.maths.box import Box
from crowd3d.picture import person_windows
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People
from crowd3d.synth.draw.render import Setting
from crowd3d.synth.truth import Truth, truth_of
from crowd3d.training.crops.prompts import covered, detected_poses, moved, right_poses, wrong_poses
from crowd3d.training.crops.scene import PictureArray, SceneRecipe, paint, sample_scene, true_fit
from tiling import Tile

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_JPEG_QUALITY = 92
_WHOLE = 0.95  # of a box inside the picture: less is somebody whom the border cuts


def chosen(truth: Truth, recipe: SceneRecipe, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows of the people of a picture that are used: visible enough, and overlapping or drawn by lot."""
    seen = (truth.visibility >= recipe.min_visible) & (truth.inside >= recipe.min_inside)
    overlaps = covered(truth.boxes_px).max(axis=1, initial=0.0) >= recipe.min_overlap
    return np.flatnonzero(seen & (overlaps | (rng.random(len(truth)) < recipe.isolated)))


def as_detections(keypoints_px: FloatArray, boxes_px: FloatArray) -> Detections:
    """Given 2D poses as if they had been detected."""
    score = np.full(len(boxes_px), 0.5)
    cut = np.zeros(len(boxes_px), bool)
    one_tile = np.zeros(len(boxes_px), np.int64)
    return Detections(score, score, boxes_px, keypoints_px, cut, one_tile)


def examples(
    setting: Setting, recipe: SceneRecipe, lifter: lift.Lift, seed: int
) -> dict[str, npt.NDArray[Any]]:
    """One shard: everybody used has a row for each 2D pose told of them; empty if nobody is."""
    truth, rng = truth_of(setting), np.random.default_rng([seed, 12])
    who = chosen(truth, recipe, rng)
    picture = paint(setting) if len(who) else np.zeros((8, 8, 3), np.uint8)
    parts = []
    window_rng = np.random.default_rng([seed, 13])
    kinds = [wrong_poses] * recipe.wrong + [detected_poses] * recipe.detected
    for told in kinds + [right_poses] * recipe.right:
        keypoints = told(truth, who, recipe, rng)
        enough = person_windows.shows_enough(keypoints)
        rows = who[enough]
        if len(rows):
            tiles = [person_windows.tile_of_pose(points) for points in keypoints[enough]]
            tiles = [moved(tile, recipe, window_rng) for tile in tiles]
            made = rows_of(setting, truth, rows, keypoints[enough], tiles, picture, lifter)
            right = np.full(len(made["who"]), told is right_poses)
            parts.append(made | {"right": right})
    if not parts:
        return {}
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def rows_of(
    setting: Setting,
    truth: Truth,
    who: npt.NDArray[np.int64],
    keypoints: FloatArray,
    tiles: Sequence[Tile],
    picture: Pixels,
    lifter: lift.Lift,
) -> dict[str, npt.NDArray[Any]]:
    """One row a person, as `refine.crops` will see them; people who find no place on the ground are left out.

    Args:
        who: (N,) rows of `truth`.
        keypoints: (N, 17, 3) the 2D poses told of them; tiles: N windows about them.
    """
    body, fitted = bodies.load("open", "crowd"), true_fit(setting)
    found = as_detections(keypoints, truth.boxes_px[who])
    people = lift_people(found, fitted, body, lifter, Config())
    who, tiles = who[people.id], [tiles[i] for i in people.id]
    people = replace(people, plane=truth.plane[who])
    pixels = person_windows.read_windows(
        cast(Any, PictureArray(picture)), people.plane, tiles, fitted
    )
    inputs = person_windows.crop_inputs(people, tiles, fitted, body)
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
        "window_m": windows_m(truth.torso_m[who], tiles, people, fitted).astype(np.float32),
        "gamma": gammas(truth, who).astype(np.float32),
        "unusual": truth.seated[who] | truth.child[who] | (truth.inside[who] < _WHOLE),
        "who": who,
    }


def windows_m(
    torso_m: FloatArray, tiles: Sequence[Tile], people: People, fitted: Fitted
) -> FloatArray:
    """(N,) height of each window in metres, at the distance of its person."""
    views = [person_windows.window_of(fitted, plane) for plane in people.plane]
    return np.array(
        [v.height_m(tile, at) for v, tile, at in zip(views, tiles, torso_m, strict=True)]
    )


def gammas(truth: Truth, who: npt.NDArray[np.int64]) -> FloatArray:
    """(N,) true depth over `k_m` of the true box, which the picture's border may cut."""
    size = (int(truth.image_size[0]), int(truth.image_size[1]))
    boxes = Box(truth.boxes_px[who], "xyxy", extended=False).extend(size)
    return np.asarray(truth.torso_m[who, 2] / k_m(boxes, float(truth.focal_px)))


def write_shard(folder: Path, recipe: SceneRecipe, seed: int, poses: FloatArray) -> int:
    """Make the shard of a seed unless it is there; number of its rows. Raises OutputError."""
    path = folder / f"{seed:08d}.npz"
    if path.exists():
        return len(load_arrays(path, names={"elevation"}).get("elevation", ()))
    rows = examples(sample_scene(recipe, seed, poses), recipe, lift.load(), seed)
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **rows)
    write_bytes(path, content.getvalue())
    return len(rows.get("elevation", ()))


def read_shards(folder: Path, seeds: range) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """The shards of those seeds that have one with anybody in it."""
    for seed in seeds:
        path = folder / f"{seed:08d}.npz"
        rows = read_shard(path) if path.exists() else {}
        if rows:
            yield rows


def read_shard(path: Path) -> dict[str, npt.NDArray[Any]]:
    """One shard, with `pixels` (N, H, W, 3) decoded; empty if it holds nobody.

    Raises:
        DataError: a crop is damaged.
    """
    rows = load_arrays(path)
    if rows:
        try:
            rows["pixels"] = crops_of(rows)
        except DataError as error:
            raise DataError(f"{path}: {error}; delete the file, and it is made again") from None
        del rows["jpeg"], rows["jpeg_bytes"]
    return rows


def crops_of(rows: dict[str, npt.NDArray[Any]]) -> Pixels:
    """The crops (N, H, W, 3) RGB of a shard's rows.

    Raises:
        DataError: one is damaged.
    """
    return np.stack([_decoded(c) for c in coded_crops(rows)])


def coded_crops(rows: dict[str, npt.NDArray[Any]]) -> list[Pixels]:
    """The JPEG bytes of each crop of a shard's rows."""
    return np.split(rows["jpeg"], np.cumsum(rows["jpeg_bytes"])[:-1])


def _decoded(coded: Pixels) -> Pixels:
    pixels = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if pixels is None:
        raise DataError("a crop is damaged")
    return np.asarray(pixels[..., ::-1], np.uint8)
