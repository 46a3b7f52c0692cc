"""The rendered scenes that glance-s learns from: pictures at several sizes, and everybody in them cut out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.progress import Reporter
from crowd3d.synth import Truth
from crowd3d.training.common.renders import Render, halvings, load_renders
from crowd3d.training.facing.recipe import Scenes

FloatArray = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_LEVELS = 4  # of the pyramid: the picture and three halvings
_CUT_OUT_PX = 96  # height at which cut-outs are kept: more than is ever pasted
_CUT_OUT_VISIBLE = 0.75
_CUT_OUT_INSIDE = 0.95
_CUT_OUT_LEAST_PX = 24


class Scene(NamedTuple):
    """A picture and who is in it.

    Attributes:
        levels: the picture (H, W, 3) RGB, and its halvings.
        boxes_px: (N, 4) of people, xyxy in the picture; visibility: (N,).
        cut_outs: RGBA of those who are seen whole, from head to foot.
    """

    levels: list[Pixels]
    boxes_px: FloatArray
    visibility: FloatArray
    cut_outs: list[Pixels]


def load_scenes(group: Mapping[str, Scenes], renders: Path, progress: Reporter) -> list[Scene]:
    """Every scene of a group; arguments and errors as of `load_renders`."""
    return [_scene(render) for render in load_renders(group, renders, progress)]


def _scene(render: Render) -> Scene:
    picture, who, truth = render
    cut_outs = _cut_outs(picture, who, truth)
    return Scene(halvings(picture, _LEVELS), truth.boxes_px, truth.visibility, cut_outs)


def _cut_outs(picture: Pixels, who: npt.NDArray[np.uint16], truth: Truth) -> list[Pixels]:
    """RGBA of everybody who is seen whole, at most `_CUT_OUT_PX` high."""
    height = truth.boxes_px[:, 3] - truth.boxes_px[:, 1]
    whole = (truth.visibility > _CUT_OUT_VISIBLE) & (truth.inside > _CUT_OUT_INSIDE)
    found = []
    for row in np.flatnonzero(whole & (height >= _CUT_OUT_LEAST_PX)):
        x0, y0 = np.floor(truth.boxes_px[row, :2]).astype(int)
        x1, y1 = np.ceil(truth.boxes_px[row, 2:]).astype(int)
        mask = (who[y0:y1, x0:x1] == truth.id[row] + 1).astype(np.uint8) * 255
        rgba = np.dstack([picture[y0:y1, x0:x1], mask])
        share = min(1.0, _CUT_OUT_PX / rgba.shape[0])
        size = (max(1, round(rgba.shape[1] * share)), max(1, round(rgba.shape[0] * share)))
        found.append(np.asarray(cv2.resize(rgba, size, interpolation=cv2.INTER_AREA), np.uint8))
    return found
