"""Draws and paints the pictures for crops: people close together, seen from near the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch

from crowd3d import body as bodies
from crowd3d.data.cmu import Clip
from crowd3d.errors import ConfigError
from crowd3d.scene.fitted import Fitted
from crowd3d.synth.cast.motion import standing_poses
from crowd3d.synth.draw.render import Renderer, Setting, sample_setting
from crowd3d.synth.place.preset import Preset
from crowd3d.training.poses.everyday import everyday_poses

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SceneRecipe:
    """What is rendered, who of it is used, and which 2D poses are told of them."""

    width: int = 1280
    height: int = 960
    people: int = 45
    fov_deg: tuple[float, float] = (35.0, 75.0)
    height_m: tuple[float, float] = (1.5, 9.0)
    pitch_deg: tuple[float, float] = (0.0, 26.0)
    person_px: float = 85.0  # least height at the far end of a picture 1000 px high
    children: float = 0.12
    # Solo, pair, group, queue, seated.
    activities: tuple[float, ...] = (0.2, 0.35, 0.35, 0.05, 0.05)
    poses: int = 20_000  # made by rule, for most people who stand
    recorded: float = 0.0  # share of the standing poses that are from motion capture instead
    min_visible: float = 0.2
    min_inside: float = 0.9
    min_overlap: float = 0.3  # of a person's box that another's covers
    isolated: float = 0.3  # share that is kept of those who overlap less
    wrong: int = 2  # 2D poses of each person with the errors of estimators in crowds,
    detected: int = 0  # with those of the embedded detector,
    right: int = 0  # and without any
    shift: float = 0.0  # of the window against the 2D pose, at most, in windows
    zoom: tuple[float, float] = (1.0, 1.0)  # of the window's size
    dropout: float = 0.05
    hidden_dropped: float = 0.3  # of joints behind others
    score_gain: tuple[float, float] = (0.4, 1.05)  # of a person


class PictureArray:
    """A picture in memory that is read like a `tiling.ImageSource`."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]

    def read(
        self, x: float, y: float, w: float, h: float, out_size: tuple[int, int] | None = None
    ) -> Pixels:
        """A region at a size; outside the picture, its border is repeated."""
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


def cast_poses(recipe: SceneRecipe, seed: int, recorded: FloatArray | None = None) -> FloatArray:
    """Standing poses (M, 24, 3) for the cast: made by rule, and a share drawn from recorded ones (K, 24, 3).

    Raises:
        ConfigError: the recipe asks for recorded poses, and there are none.
    """
    made = rule_poses(recipe.poses, seed)
    if not recipe.recorded:
        return made
    if recorded is None or not len(recorded):
        raise ConfigError("the recipe asks for recorded poses: give the folders of motion capture")
    count = round(len(made) * recipe.recorded / max(1 - recipe.recorded, 1e-9))
    rng = np.random.default_rng([seed, 14])
    return np.concatenate([made, recorded[rng.integers(len(recorded), size=count)]])


def recorded_poses(clips: Sequence[Clip], step: int = 3) -> FloatArray:
    """Poses (K, 24, 3) of every `step`-th frame of motions, if somebody stands there; turned to face +z."""
    return standing_poses(np.concatenate([clip.rotations[::step] for clip in clips]))


def rule_poses(count: int, seed: int) -> FloatArray:
    """Everyday poses made by rule, those that stand (M, 24, 3)."""
    model = bodies.load("open", "crowd")
    rest = model.joints_only(torch.zeros(1, 24, 3), torch.zeros(1, 10))[0].double().numpy()
    return standing_poses(everyday_poses(np.random.default_rng([seed, 11]), count, rest))


def sample_scene(recipe: SceneRecipe, seed: int, poses: FloatArray | None) -> Setting:
    """The scene of a seed: people, camera, light.

    Args:
        poses: (M, 24, 3) for people who stand; None for those of the generator.
    """
    preset = Preset(
        fov_deg=recipe.fov_deg,
        height_m=recipe.height_m,
        pitch_deg=recipe.pitch_deg,
        activities=cast(Any, recipe.activities),
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
    """(H, W, 3) the whole picture, RGB."""
    width, height = setting.size
    picture = np.zeros((height, width, 3), np.uint8)
    for (x, y, w, h), pixels, _ in Renderer(setting).tiles():
        picture[y : y + h, x : x + w] = pixels
    return picture


def true_fit(setting: Setting) -> Fitted:
    """The true camera and ground, as if they had been fitted without an error."""
    view = setting.world.view
    planes = [view.plane(level) for level in setting.world.levels_m]
    return Fitted(view.camera, planes, np.zeros((4, 4)), {})
