"""Gives people back the lean that a 2D detector takes off.

Detectors learn from pictures of upright people, so they draw a leaning person more upright than the picture
shows. Focal length and pitch are told by how verticals lean across the picture, where this small bias becomes
a large one. It is measured without ground truth: turn a picture, and see by how much the people found in it
turn.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optim.ground.sticks import Levels, sticks_from_levels

_SATURATION_RAD = np.radians(10.0)  # larger leans are taken back by no more degrees


def with_lean_restored(levels: Levels, share: float) -> Levels:
    """Turns every person's levels about their middle by what the detector took off the lean.

    Args:
        share: of small leans against the picture's vertical that the detector takes off, 0 to 1.
    """
    if share == 0.0 or not len(levels.points_px):
        return levels
    sticks = sticks_from_levels(levels, np.arange(len(levels.points_px)))
    axis = sticks.top_px - sticks.bottom_px
    lean = np.arctan2(axis[:, 0], -axis[:, 1])
    turn = share / (1 - share) * _SATURATION_RAD * np.tanh(lean / _SATURATION_RAD)
    middle = (sticks.top_px + sticks.bottom_px)[:, None] / 2
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    turned = np.einsum("nab,nkb->nka", rotation, levels.points_px - middle) + middle
    return replace(levels, points_px=turned)
