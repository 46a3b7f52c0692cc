"""The scale of a scene whose people are seen from above: between what sticks and what bodies tell."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from crowd3d.config import Config
from crowd3d.scene.fitted import FEW_PEOPLE, Fitted
from crowd3d.scene.people import People

# From above people are short in the picture, whoever measures them errs, and the two ways err in opposite
# directions. Measured on three renders in which people are seen from 40 to 80 degrees above: sticks from
# shoulders to ankles tell a camera 5, 5 and 6 % too low, posed bodies 6, 6 and 8 % too high.
_SHARE_OF_BODIES = 0.5
_FROM_ABOVE_RAD = (math.radians(30.0), math.radians(45.0))  # from no share to all of it


def scaled_by_bodies(people: People, fitted: Fitted, config: Config) -> Fitted:
    """Camera and ground, higher or lower by what makes the bodies that stand there more like people in size.

    Args:
        people: everybody as lifted onto the ground of `fitted`.

    Returns:
        `fitted` itself where people are few or seen from aside, or the camera's height is known exactly.
    """
    if len(people) < FEW_PEOPLE or fitted.covariance[3, 3] == 0:
        return fitted
    away = np.linalg.norm(people.torso_m, axis=1)
    fall = np.arcsin(np.clip(-(people.torso_m @ fitted.normal) / away, -1.0, 1.0))
    low, high = _FROM_ABOVE_RAD
    share = _SHARE_OF_BODIES * float(np.clip((np.median(fall) - low) / (high - low), 0.0, 1.0))
    if share == 0:
        return fitted
    factor = (config.stature_m / float(np.median(people.stature_m))) ** share
    ground = fitted.ground.scaled(factor)
    return replace(fitted, planes=list(ground.planes), surface=ground.surface)
