"""`sample_people`: random poses from the posterior, for error bars of anything computed from poses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import roma
import torch

from crowd3d.maths.posterior import sample
from crowd3d.scene.people import People


def sample_people(people: People, count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Draw poses from everybody's posterior, for error bars of anything computed from poses.

    Each joint is drawn relative to its parent, so uncertainty at the hip also moves the foot. Otherwise the
    joints of a draw are independent. The rotation of an unknown joint (F = 0) is uniformly random.

    Args:
        people: N people.
        count: number of draws; seed: of the generator, the same seed gives the same poses.

    Returns:
        (count, N, 24, 3) axis-angle like `People.pose`. Places and shapes are not drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = sample(torch.from_numpy(people.fisher), count, generator)
    return np.asarray(roma.rotmat_to_rotvec(drawn).numpy())
