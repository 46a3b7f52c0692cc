"""Poses drawn from the posterior of people: error bars for whatever is computed from poses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import roma
import torch

from crowd3d.maths.posterior import sample
from crowd3d.scene.people import People


def sample_people(people: People, count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Poses drawn from everybody's posterior, for error bars of whatever is computed from poses.

    Each joint is drawn relative to its parent, so that what is uncertain at the hip moves the foot; joints of
    one draw are otherwise independent. A joint of which nothing is known (F = 0) points anywhere.

    Args:
        people: N of them.
        count: draws of each; seed: of the generator, the same seed gives the same poses.

    Returns:
        (count, N, 24, 3) axis-angle like `People.pose`; places and shapes stay those of `people`.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = sample(torch.from_numpy(people.fisher), count, generator)
    return np.asarray(roma.rotmat_to_rotvec(drawn).numpy())
