"""The facing readout: features of a person's window -> which way the person faces, and how surely."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WIDTH = 128  # of the hidden layer
_MOST_SD = 6.0  # a feature further off tells nothing more
_DROPOUT = 0.5


class FacingReadout(nn.Module):
    """The heading of people from what is seen of them, a small perceptron.

    Args:
        features: how many there are of a window, F.
        network: hash of the network whose features it reads.
        facts: what is known of its training.

    Attributes:
        mean, sd: (F,) of the features it was trained with.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, features: int, network: str, facts: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.network, self.facts = network, facts or {}
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("sd", torch.ones(features))
        self.hidden = nn.Linear(features, _WIDTH)
        self.answer = nn.Linear(_WIDTH, 2)

    def forward(self, seen: Tensor) -> Tensor:
        """(B, 2) how surely people face the picture's right, and how surely the camera.

        Natural parameters of a von Mises density of the heading: their direction is its mode, their length its
        concentration. A mirror image is answered by the mirrored heading.

        Args:
            seen: (B, 2, F) features of windows and of their mirror images, see `detect.facing.both_ways`.
        """
        x = ((seen - self.mean) / self.sd).clamp(-_MOST_SD, _MOST_SD)
        x = F.gelu(self.hidden(F.dropout(x, _DROPOUT, self.training)))
        straight, flipped = self.answer(F.dropout(x, _DROPOUT, self.training)).unbind(1)
        return torch.stack([straight[:, 0] - flipped[:, 0], straight[:, 1] + flipped[:, 1]], dim=1)
