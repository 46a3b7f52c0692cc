"""A second look at everybody: sharper keypoints, left and right corrected, and the heading.

A network for one person, pose-s, looks at a window around each of them. It knows the keypoints of somebody who
overlaps nobody better than the default network, and those of somebody who was found by a box alone.

The default network sometimes exchanges left and right of people seen from behind. Rarely this happens in all
looks at a person, more often in some of them; then the mean of the looks collapses to a line. Two sources of
evidence decide. The first is the looks themselves: the order of shoulders and hips in the picture. The second
is `crowd3d.detect.facing`, which reads another network in a window around the person. If both together are
clear, left and right are exchanged in the looks that contradict them, and the looks are joined again. The
second source also gives the heading, which is used by the lift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from crowd3d.body.tree import COCO_MIRROR
from crowd3d.config import Config
from crowd3d.detect import facing
from crowd3d.files.weights import tensors_hash
from crowd3d.maths.box import meeting
from crowd3d.models.engine import Arrays, Engine, Runner
from crowd3d.models.pose_s import PoseMaps
from crowd3d.models.pose_s_decode import decode
from crowd3d.picture.reading import Pass, Reading
from crowd3d.picture.windows import Pixels, Windows, windows
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import PeopleSeen
from crowd3d.scene.fitted import FEW_PEOPLE, Fitted
from crowd3d.scene.ground import Ground
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.sizes import size_evidence
from tiling import Tile, containment

FloatArray = npt.NDArray[np.float64]

_ANKLES = slice(15, 17)
_BATCH = 8  # windows per pass, each straight and flipped
_MIN_HEIGHT_PX = 40.0  # the readout was trained on no smaller people
_WHOLE = (0.7, 1.3)  # seen over expected height of people seen from head to foot
_FEET_SEEN = 0.3  # feet count as seen if the worse of both ankles has a higher score
# Mean distance of shoulders and of hips of a person seen from the front, in box heights.
_OPEN = 0.12
_CLOSED = 0.03  # below, the person is seen from the side, and the order says nothing
_WIDE = 0.6  # width over height of a box, from which somebody does not stand
_SHARED = 0.4  # of a box, from which it overlaps somebody else's
_CLOSER = 5.0  # trust in a closer look of full scores, against that in all others together
_CLEAR = 0.1  # smallest absolute log-odds that count as clear


def exchanged(keypoints: FloatArray) -> FloatArray:
    """(..., 17, 3) keypoints with left and right exchanged; doing it twice gives the same keypoints again."""
    return keypoints[..., list(COCO_MIRROR), :]


def openness(keypoints: FloatArray, height_px: FloatArray) -> FloatArray:
    """(...) how far the left shoulder and hip are to the right of the right ones in the picture, in heights.

    Positive if the person faces the camera, negative if seen from behind, about zero if seen from the side.

    Args:
        keypoints: (..., 17, 3) pixels and score; height_px: (...) height of the person.
    """
    u = keypoints[..., 0]
    across = (u[..., 5] - u[..., 6] + u[..., 11] - u[..., 12]) / 2
    return np.asarray(across / np.maximum(height_px, 1.0))


def vote(opened: FloatArray, trust: FloatArray) -> FloatArray:
    """(N,) in -1..1, from the openness (N, L) of looks and their trust; 1 if all looks see the front."""
    ballots = np.clip(opened / _OPEN, -1.0, 1.0)
    return np.asarray((trust * ballots).sum(axis=1) / np.maximum(trust.sum(axis=1), 1e-12))


def log_odds_front(opened: FloatArray, trust: FloatArray, heading: FloatArray) -> FloatArray:
    """(N,) log-odds that a person faces the camera: above 0 for the front, below 0 for the back.

    The sum of two terms. The looks vote by the order of shoulders and hips; if all agree, the vote is 1 or -1.
    The readout gives a von Mises density of the heading a with natural parameters h. Exchanging left and right
    turns a into pi - a. The density's log-odds between the two are 2 h_towards |cos a|, where |cos a| is how
    frontal the person looks.

    Args:
        opened, trust: (N, L) openness and trust of the looks.
        heading: (N, 2), see `crowd3d.models.facing_readout`; zeros for people whose heading was not read.
    """
    frontal = vote(np.abs(opened), trust)
    return np.asarray(vote(opened, trust) + 2 * heading[:, 1] * frontal)


def settled(people: PeopleSeen, odds: FloatArray) -> PeopleSeen:
    """Exchange left and right in the looks that contradict clear log-odds (N,) of facing the camera.

    The keypoints of the people concerned are joined again. All other people stay bitwise the same.
    """
    height = people.box_px[:, 3] - people.box_px[:, 1]
    opened = openness(people.looks_px, height[:, None])
    against = opened * np.sign(odds)[:, None] < -_CLOSED
    against &= (people.look_trust > 0) & (np.abs(odds) >= _CLEAR)[:, None]
    rows = np.flatnonzero(against.any(axis=1))
    looks = np.where(against[..., None, None], exchanged(people.looks_px), people.looks_px)
    # A look from the side, with small openness, says little about left and right if there are other looks.
    trust = people.look_trust * np.where(np.abs(opened) >= _CLOSED, 1.0, 0.1)
    keypoints = people.keypoints_px.copy()
    keypoints[rows] = fused(looks[rows], trust[rows])
    return replace(people, keypoints_px=keypoints, looks_px=looks)


def fused(looks: FloatArray, trust: FloatArray) -> FloatArray:
    """(N, 17, 3) means of looks (N, L, 17, 3), weighted by trust (N, L) and each keypoint's score."""
    share = trust / np.maximum(trust.sum(axis=1, keepdims=True), 1e-12)
    weight = share[..., None] * np.maximum(looks[..., 2], 1e-12)
    total = np.maximum(weight.sum(axis=1), 1e-300)
    place = (weight[..., None] * looks[..., :2]).sum(axis=1) / total[..., None]
    score = (share[..., None] * looks[..., 2]).sum(axis=1)
    return np.concatenate([place, score[..., None]], axis=-1)


def settle_sides(
    people: PeopleSeen,
    reading: Reading,
    known: KnownCamera,
    fitted: Fitted | None,
    config: Config,
    engine: Engine,
) -> PeopleSeen:
    """The second look: everybody with left and right corrected, and with the heading that was read.

    Args:
        known: what was known about the camera before the fit.
        fitted: camera and ground, or None if people did not determine them.
        engine: runs the network that reads headings.

    Raises:
        tiling.ImageError, tiling.JournalError.
    """
    height = people.box_px[:, 3] - people.box_px[:, 1]
    is_read = height >= _MIN_HEIGHT_PX
    if fitted is None or len(people) < FEW_PEOPLE:
        is_read &= shows_feet(people)
    else:
        is_read &= is_whole(people, fitted.camera, fitted.ground, config.stature_m)
    is_sharper = ~people.by_head & (people.by_box | ~overlaps_somebody(people.box_px))
    view = windows(known.camera) if fitted is None else windows(fitted.camera, fitted.normal)
    headings = np.zeros((len(people), 2))
    is_wide = people.box_px[:, 2] - people.box_px[:, 0] > _WIDE * height
    for rows, window in (
        (np.flatnonzero(is_read | (is_sharper & ~is_wide)), facing.person_window),
        (np.flatnonzero(~is_read & is_sharper & is_wide), facing.square_window),
    ):
        tiles = [window(people.box_px[row], i) for i, row in enumerate(rows)]
        heading, keypoints = look_closer(reading, tiles, view, engine)
        people = sharpened(people, rows[is_sharper[rows]], keypoints[is_sharper[rows]])
        headings[rows] = np.where(is_read[rows, None], heading, 0.0)
    opened = openness(people.looks_px, height[:, None])
    people = settled(people, log_odds_front(opened, people.look_trust, headings))
    return replace(people, heading=headings)


def overlaps_somebody(box_px: FloatArray) -> npt.NDArray[np.bool_]:
    """(N,) whether a part of a box (N, 4) is in that of somebody else."""
    one, other = meeting(box_px, box_px)
    one, other = one[one != other], other[one != other]
    shared = np.zeros(len(box_px), bool)
    shared[one[containment(box_px[one], box_px[other]) > _SHARED]] = True
    return shared


def sharpened(people: PeopleSeen, rows: npt.NDArray[np.int64], keypoints: FloatArray) -> PeopleSeen:
    """People with the limbs of a closer look (M, 17, 3) at some of them, which is trusted most.

    Guessed keypoints, of people who were found by a box, are forgotten.
    """
    looks, trust = people.looks_px.copy(), people.look_trust.copy()
    guessed = people.by_box[rows]
    total = trust[rows].sum(axis=1)
    looks[rows, 1:], trust[rows, 1:] = looks[rows, :-1], trust[rows, :-1]
    looks[rows, 0], trust[rows, 0] = keypoints, _CLOSER * keypoints[..., 2].mean(axis=1) * total
    looks[rows[guessed], 1:], trust[rows[guessed], 1:] = 0.0, 0.0
    joined = people.keypoints_px.copy()
    joined[rows] = fused(looks[rows], trust[rows])
    # Heads were found by a network of their own, which sees those better that others hide.
    known = rows[~guessed]
    joined[known, :5] = people.keypoints_px[known, :5]
    return replace(people, keypoints_px=joined, looks_px=looks, look_trust=trust)


def is_whole(
    people: PeopleSeen, camera: Camera, ground: Ground, stature_m: float
) -> npt.NDArray[np.bool_]:
    """(N,) whether a person stands and is seen from head to foot: about as tall as the ground predicts."""
    ratio = size_evidence(people, camera, ground, stature_m).whole
    return np.asarray((ratio > _WHOLE[0]) & (ratio < _WHOLE[1]))


def shows_feet(people: PeopleSeen) -> npt.NDArray[np.bool_]:
    """(N,) whether both ankles of a person are clearly seen."""
    return np.asarray(people.keypoints_px[:, _ANKLES, 2].min(axis=1) > _FEET_SEEN)


def look_closer(
    reading: Reading, tiles: Sequence[Tile], view: Windows, engine: Engine
) -> tuple[FloatArray, FloatArray]:
    """Headings (N, 2) and keypoints (N, 17, 3), in the picture, of the people in the middle of the windows.

    Args:
        tiles: N windows of one size, see `facing.person_window` and `square_window`.
        view: how they are cut out of the picture.
        reading, engine: as for `settle_sides`.

    Returns:
        Headings as of `crowd3d.models.facing_readout`.
    """
    network = engine.load("pose-s")
    settings = {"readout": tensors_hash(facing.load())}
    work = Pass.through(engine, network, "sides", _BATCH, settings, _looked_closer)
    found = list(reading.each(work, tiles, view))
    heading = np.concatenate([np.zeros((0, 2)), *(part["heading"] for part in found)])
    keypoints = np.concatenate([np.zeros((0, 17, 3)), *(part["keypoints"] for part in found)])
    for points, tile in zip(keypoints, tiles, strict=True):
        points[:, :2] = view.to_picture(tile, points[:, :2])
    return heading, keypoints


@torch.inference_mode()
def _looked_closer(network: Runner, pixels: Pixels, batch: Sequence[Tile]) -> Arrays:
    """From a batch of windows to the headings and keypoints of their people, from both ways to see them."""
    del batch
    mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
    straight, flipped = (PoseMaps(*network.run(view)) for view in (pixels, mirrored))
    features = torch.stack([facing.body_features(m.features) for m in (straight, flipped)], dim=1)
    heading = facing.load()(features.cpu())
    one, other = (decode(m).double().cpu().numpy() for m in (straight, flipped))
    other = exchanged(other)
    other[..., 0] = pixels.shape[2] - other[..., 0]
    keypoints = np.where(one[..., 2:] >= other[..., 2:], one, other)
    return {"heading": heading.double().numpy(), "keypoints": keypoints}
