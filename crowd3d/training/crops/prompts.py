"""2D poses to tell a crop network: true ones, with our detector's errors, or with an estimator's in crowds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from crowd3d.synth.truth import Truth
from crowd3d.training.common.keypoint_noise import Clean, NoiseRecipe, spoil
from crowd3d.training.common.pose_errors import disturb
from crowd3d.training.crops.scene import SceneRecipe
from tiling import Tile

FloatArray = npt.NDArray[np.float64]

# Bodies hide nothing at random here: the pictures show who is hidden.
_SEEN_NOISE = NoiseRecipe(covered_legs=0, covered_side=0, cut=0, covered_block=0, neighbour=0.6)


def covered(boxes_px: FloatArray) -> FloatArray:
    """(N, N) share of box i that box j covers; zero on the diagonal. Boxes (N, 4) xyxy."""
    low = np.maximum(boxes_px[:, None, :2], boxes_px[None, :, :2])
    high = np.minimum(boxes_px[:, None, 2:], boxes_px[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=-1)
    own = np.clip(boxes_px[:, 2:] - boxes_px[:, :2], 1e-9, None).prod(axis=1)
    share = both / own[:, None]
    np.fill_diagonal(share, 0.0)
    return np.asarray(share)


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
        places[:, 2] *= rng.uniform(*recipe.score_gain)
        out[row] = places
        out[row, :, 2] = _of_hidden(places[:, 2], truth.keypoints_px[i, :, 2] == 1, recipe, rng)
    return out


def _of_hidden(
    score: FloatArray, hidden: npt.NDArray[np.bool_], recipe: SceneRecipe, rng: np.random.Generator
) -> FloatArray:
    """Scores (..., 17), lower for joints that others hide, and 0 for some of them."""
    score = np.where(hidden, score * rng.uniform(0.3, 0.9, score.shape), score)
    score[hidden & (rng.random(score.shape) < recipe.hidden_dropped)] = 0.0
    return score


def detected_poses(
    truth: Truth, who: npt.NDArray[np.int64], recipe: SceneRecipe, rng: np.random.Generator
) -> FloatArray:
    """(len(who), 17, 3) 2D poses with the errors of the embedded detector."""
    true = truth.keypoints_px[who]
    height = truth.stature_m[who] * float(truth.focal_px) / truth.torso_m[who, 2]
    clean = Clean(
        torch.from_numpy(true[..., :2].copy()),
        torch.from_numpy(height),
        torch.zeros(true.shape[:2], dtype=torch.bool),
    )
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    out = spoil(clean, _SEEN_NOISE, generator).numpy()
    score = _of_hidden(out[..., 2], true[..., 2] == 1, recipe, rng)
    out[..., 2] = np.where(true[..., 2] > 0, score, 0.0)
    out[out[..., 2] == 0] = 0
    return out


def right_poses(
    truth: Truth, who: npt.NDArray[np.int64], recipe: SceneRecipe, rng: np.random.Generator
) -> FloatArray:
    """(len(who), 17, 3) true 2D poses with a detector's scores."""
    keypoints = truth.keypoints_px[who].copy()
    score = (keypoints[..., 2] > 0) * rng.uniform(0.75, 0.95, keypoints.shape[:2])
    score *= rng.uniform(*recipe.score_gain, (len(who), 1))
    keypoints[..., 2] = _of_hidden(score, keypoints[..., 2] == 1, recipe, rng)
    keypoints[keypoints[..., 2] == 0] = 0
    return keypoints


def moved(tile: Tile, recipe: SceneRecipe, rng: np.random.Generator) -> Tile:
    """A window that does not lie quite about the 2D pose."""
    zoom = np.exp(rng.uniform(*np.log(recipe.zoom)))
    shift = rng.uniform(-recipe.shift, recipe.shift, 2) * (tile.side_w, tile.side_h)
    w, h = zoom * tile.side_w, zoom * tile.side_h
    left, top = tile.x + shift[0] + (tile.side_w - w) / 2, tile.y + shift[1] + (tile.side_h - h) / 2
    return Tile(left, top, w, h, tile.out_w, tile.out_h, 0, 0, (h, h))
