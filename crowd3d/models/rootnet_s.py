"""rootnet-s: how many metres high a person's crop is where the person stands, from picture and 2D pose.

It does the job of RootNet (Moon et al., ICCV 2019). A person's size in the picture tells their distance only if
their real size is known, and that depends on posture, age, and what is cut off. The network sees the picture
through the frozen trunk of the one-stage network. It answers with the height of the crop's window in metres and
its uncertainty; `picture.person_windows` turns that and the window into a depth.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d.models.crowdnet_s import CROP_H, CROP_W, KEYPOINTS, LEVELS, Pyramid, heatmaps

_USUAL_LOG_M = 0.65  # of a window about a standing adult
_LOG_SD = (0.02, 0.6)


class Extent(NamedTuple):
    """What windows measure at their person.

    Attributes:
        log_m: (B,) logarithm of the height in metres.
        log_sd: (B,) standard deviation of that.
    """

    log_m: Tensor
    log_sd: Tensor


class RootNetS(nn.Module):
    """Crops as `pyramid` sees them and 2D poses -> Extent."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        fine, middle, coarse = LEVELS
        self.blend = nn.Conv2d(fine + KEYPOINTS, 32, 3, stride=2, padding=1)
        self.down = nn.Conv2d(32 + middle, 48, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(48 + coarse, 64, 3, padding=1)
        self.where = nn.Conv2d(64, 2, 1)
        numbers = 3 * KEYPOINTS + 2
        self.enter = nn.Linear(2 * 64 + numbers, width)
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.tell = nn.Linear(width, 2)
        nn.init.zeros_(self.tell.weight)
        nn.init.zeros_(self.tell.bias)

    def forward(self, maps: Pyramid, keypoints: Tensor, elevation: Tensor) -> Extent:
        """Arguments as of `CrowdNetS`."""
        fine, middle, coarse = maps
        heat = heatmaps(keypoints, (fine.shape[2], fine.shape[3]))
        x8 = F.relu(self.blend(torch.cat([fine, heat], dim=1)))
        x16 = F.relu(self.down(torch.cat([x8, middle], dim=1)))
        x16 = F.relu(self.deep(torch.cat([x16, coarse], dim=1)))
        place = self.where(x16).flatten(2).softmax(dim=-1)  # two places worth a look
        seen = torch.einsum("bkp,bcp->bkc", place, x16.flatten(2)).flatten(1)
        score = keypoints[..., 2]
        size = keypoints.new_tensor([CROP_W, CROP_H])
        at = (keypoints[..., :2] / size * 2 - 1).clamp(-1.5, 1.5) * (score > 0)[..., None]
        angle = torch.stack([elevation.sin(), elevation.cos()], dim=-1)
        state = self.enter(torch.cat([seen, at.flatten(1), score, angle], dim=-1))
        log_m, spread = self.tell(state + self.inner(state)).unbind(-1)
        low, high = _LOG_SD
        return Extent(_USUAL_LOG_M + log_m, (0.12 * spread.clamp(-3, 3).exp()).clamp(low, high))
