"""The 3D heads of crowd3d-s: what the trunk saw of a person corrects what the lift made of the keypoints.

Two halves. `encode` runs where the pixels are, tile by tile, and turns the trunk's features at a person's
centre and keypoints into a short appearance vector, which can travel with the detection. `correct` runs
where the camera is known, in the upright frame of `crowd3d.upright`: it reads keypoints, appearance and the
lift's own answer, and says how that is to be changed. Its last layer begins at zero, so that an untrained
head changes nothing.

Keypoints alone cannot tell a back whose left and right were confused from a front. So the lift is asked twice,
the second time with left and right exchanged, and the head may move its trust from one answer to the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from crowd3d import lift_net, posterior
from crowd3d.body.tree import COCO_MIRROR
from crowd3d.errors import ModelError
from crowd3d.lift import Lift, LiftResult

ARCHITECTURE = "crowd3d-heads-1"
STRIDES = (32, 16, 8, 4)  # of the trunk's levels
LEVEL_CHANNELS = (64, 32, 24, 24)
N_CHANNELS = sum(LEVEL_CHANNELS)
N_POINTS = 18  # middle of the box, 17 keypoints
FISHER_UNIT = 10.0  # one unit of an output, as in the lift
_J = lift_net.N_JOINTS
# Changes of F, logarithm of its gain, trust in the other hypothesis, betas and their log variance, log range,
# height and their log deviations, offsets of torso and HVIP and their log deviations.
_SIZES = (9 * _J, _J, 1, 10, 10, 1, 1, 1, 1, 2, 2, 2)
_N_INPUT = lift_net.N_FEATURES + 9 * _J + 9


@dataclass(frozen=True)
class Hypotheses:
    """What the lift says of N people.

    Attributes:
        lifted: from the keypoints as they are.
        fisher_swapped: (N, 24, 3, 3) with left and right exchanged.
        features: (N, F), center: (N, 2), scale: (N,) of the normalised keypoints; elevation_rad: (N,).
    """

    lifted: LiftResult
    fisher_swapped: Tensor
    features: Tensor
    center: Tensor
    scale: Tensor
    elevation_rad: Tensor


@dataclass(frozen=True)
class HeadResult:
    """N people after the correction.

    Attributes:
        lifted: pose, shape and depth.
        torso_uv, hvip_uv: (N, 2) torso centre, and the point of the ground below it, as tangents in
            the person's virtual camera.
        torso_log_sd, hvip_log_sd: (N,) log standard deviation of both, in units of `Hypotheses.scale`.
    """

    lifted: LiftResult
    torso_uv: Tensor
    hvip_uv: Tensor
    torso_log_sd: Tensor
    hvip_log_sd: Tensor


def sample_levels(levels: tuple[Tensor, ...], tile: Tensor, points_px: Tensor) -> Tensor:
    """The trunk's features at points, bilinear, all levels side by side.

    Args:
        levels: (B, C, H / stride, W / stride) each.
        tile: (N,) which of the batch; points_px: (N, P, 2) in its pixels.

    Returns:
        (N, P, 144).
    """
    parts = [
        _bilinear(level, tile, points_px / stride - 0.5)
        for level, stride in zip(levels, STRIDES, strict=True)
    ]
    return torch.cat(parts, dim=-1)


def _bilinear(level: Tensor, tile: Tensor, at: Tensor) -> Tensor:
    """(N, P, C) of (B, C, H, W) at cells (N, P, 2), u first; the border goes on outside."""
    height, width = level.shape[-2:]
    at = torch.nan_to_num(at)
    low = at.floor()
    share = (at - low).to(level.dtype)
    u, v = low.long().unbind(-1)
    rows = tile[:, None].expand_as(u)
    total = level.new_zeros(())
    for dv in (0, 1):
        for du in (0, 1):
            weight = (share[..., 0] if du else 1 - share[..., 0]) * (
                share[..., 1] if dv else 1 - share[..., 1]
            )
            value = level[rows, :, (v + dv).clamp(0, height - 1), (u + du).clamp(0, width - 1)]
            total = total + weight[..., None] * value
    return total


def person_points(box_px: Tensor, keypoints_px: Tensor) -> Tensor:
    """(N, 18, 2) where a person's features are read: boxes (N, 4), keypoints (N, 17, 3)."""
    middle = (box_px[:, :2] + box_px[:, 2:]) / 2
    return torch.cat([middle[:, None], keypoints_px[..., :2]], dim=1)


class _Block(nn.Module):
    """x + W2 drop(gelu(W1 norm(x)))."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)
        self.outer = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.outer(self.drop(F.gelu(self.inner(self.norm(x)))))
        return out


class HeadNet(nn.Module):
    """Both halves.

    Args:
        appearance: length of the vector that travels with a detection.
        point, hidden: numbers that are kept of each point, and of all together.
        width, depth: of the residual blocks of the correction.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        appearance: int = 32,
        point: int = 12,
        hidden: int = 64,
        width: int = 256,
        depth: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.appearance = appearance
        self.register_buffer("mean", torch.zeros(N_CHANNELS))
        self.register_buffer("deviation", torch.ones(N_CHANNELS))
        # One small projection for all points: few weights, for few people to learn from.
        self.encoder = nn.Sequential(
            nn.Linear(N_CHANNELS, point),
            nn.Flatten(),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(N_POINTS * point, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, appearance),
            nn.Tanh(),
        )
        self.stem = nn.Linear(_N_INPUT + appearance, width)
        self.blocks = nn.Sequential(*[_Block(width, dropout) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sum(_SIZES))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def encode(self, samples: Tensor) -> Tensor:
        """Features (N, 18, 144) -> appearance (N, A), each within -1..1."""
        normal = ((samples - self.mean) / self.deviation).clamp(-8, 8)
        appearance: Tensor = self.encoder(normal)
        return appearance

    def correct(self, seen: Hypotheses, appearance: Tensor) -> HeadResult:
        """The lift's answer, corrected; differentiable."""
        lifted = seen.lifted
        known = [seen.features, (lifted.fisher / FISHER_UNIT).flatten(1)]
        known += [(seen.fisher_swapped[:, 0] / FISHER_UNIT).flatten(1), appearance]
        out = self.head(self.norm(self.blocks(self.stem(torch.cat(known, dim=1))))).float()
        change, gain, other, betas, betas_logvar, *rest = out.split(_SIZES, dim=1)
        log_range, log_range_sd, height, height_log_sd, torso, hvip, log_sd = rest
        trust = torch.tanh(other)[..., None, None]
        fisher = (1 - trust) * lifted.fisher + trust * seen.fisher_swapped
        fisher = fisher * gain.clamp(-1, 0.5).exp()[..., None, None]
        # What is seen is evidence of bounded weight: it moves what the lift is unsure of.
        fisher = fisher + FISHER_UNIT * torch.tanh(change).reshape(-1, _J, 3, 3)
        corrected = replace(
            lifted,
            rotations=posterior.mode(fisher),
            fisher=fisher,
            betas=lifted.betas + betas,
            betas_var=lifted.betas_var * betas_logvar.clamp(-3, 3).exp(),
            range_statures=lifted.range_statures * log_range[:, 0].clamp(-1, 1).exp(),
            range_log_sd=lifted.range_log_sd * log_range_sd[:, 0].clamp(-2, 2).exp(),
            torso_height_statures=lifted.torso_height_statures + 0.1 * height[:, 0],
            torso_height_sd=lifted.torso_height_sd * height_log_sd[:, 0].clamp(-2, 2).exp(),
        )
        torso_uv = seen.center + seen.scale[:, None] * torso
        below = point_below(torso_uv, corrected, seen.elevation_rad)
        hvip_uv = below + seen.scale[:, None] * hvip
        spread = log_sd.clamp(-4, 3) - 2
        return HeadResult(corrected, torso_uv, hvip_uv, spread[:, 0], spread[:, 1])


def point_below(torso_uv: Tensor, lifted: LiftResult, elevation_rad: Tensor) -> Tensor:
    """Where the virtual camera sees the ground below a torso centre: tangents (N, 2).

    The torso is `range_statures` away along its ray and `torso_height_statures` above the ground; down is
    (0, cos e, sin e) in axes right, down and along the central ray of elevation e.
    """
    ray = F.normalize(torch.cat([torso_uv, torch.ones_like(torso_uv[:, :1])], dim=1), dim=1)
    down = torch.stack(
        [torch.zeros_like(elevation_rad), elevation_rad.cos(), elevation_rad.sin()], dim=1
    )
    foot = lifted.range_statures[:, None] * ray + lifted.torso_height_statures[:, None] * down
    return foot[:, :2] / foot[:, 2:].clamp_min(1e-3)


@torch.no_grad()
def hypotheses(lifter: Lift, keypoints_upright: Tensor, elevation_rad: Tensor) -> Hypotheses:
    """Both answers of the lift; arguments as for `Lift.__call__`."""
    keypoints = torch.nan_to_num(keypoints_upright.float())
    elevation = elevation_rad.float()
    lifted = lifter(keypoints, elevation)
    swapped = lifter(keypoints[:, list(COCO_MIRROR)], elevation)
    normal = lift_net.normalise(keypoints, elevation)
    return Hypotheses(
        lifted, swapped.fisher, normal.features, normal.center, normal.scale, elevation
    )


def save(net: HeadNet, shape: dict[str, Any], facts: dict[str, Any], path: Path) -> None:
    """Write half-precision weights with everything known about them."""
    state = {
        k: v.detach().to("cpu", torch.float16).contiguous() for k, v in net.state_dict().items()
    }
    about = {"architecture": ARCHITECTURE, "shape": shape, "facts": facts}
    # One entry: safetensors writes several in an order of its own, another one every time.
    metadata = {"heads": json.dumps(about)}
    save_file(state, str(path), metadata=metadata)


def load(path: str | Path) -> HeadNet:
    """What `save` wrote, in evaluation mode.

    Raises:
        ModelError: the file is missing, damaged or of another architecture.
    """
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            about = json.loads((file.metadata() or {}).get("heads", "{}"))
            state = {key: file.get_tensor(key).float() for key in file.keys()}
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"cannot read the heads' weights {path}: {error}") from None
    if about.get("architecture") != ARCHITECTURE:
        found = about.get("architecture", "unknown")
        raise ModelError(f"{path} holds architecture {found!r}, not {ARCHITECTURE!r}")
    try:
        net = HeadNet(**about["shape"])
        net.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{path} does not fit its network: {error}") from None
    return net.eval()
