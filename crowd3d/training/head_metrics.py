"""How good the 3D heads are on people they never saw."""

from __future__ import annotations

import torch

from crowd3d import posterior
from crowd3d.lift_rig import Rig, with_shape
from crowd3d.models.heads import HeadNet
from crowd3d.training.head_data import HeadData
from crowd3d.training.lift_metrics import JOINTS_14, JUDGED, joints_of, procrustes

_CHUNK = 1024


@torch.no_grad()
def measure(net: HeadNet, data: HeadData, rig: Rig) -> dict[str, float]:
    """Means and medians; millimetres, degrees, percent. A head that is not trained gives the lift's.

    Args:
        data: on the CPU, like the rig.
    """
    was_training, device = net.training, net.mean.device
    net.eval().to("cpu")
    rows = torch.split(torch.arange(len(data)), _CHUNK)
    parts = [_errors(net, data.pick(r), rig) for r in rows]
    net.train(was_training).to(device)
    found = {key: torch.cat([p[key] for p in parts]) for key in parts[0]}
    heading = torch.rad2deg(found["heading_rad"])
    return {
        "pa_mpjpe_mm": 1000 * found["pa_m"].mean().item(),
        "mpjpe_mm": 1000 * found["joints_m"].mean().item(),
        "heading_median_deg": heading.median().item(),
        "heading_over_90_percent": 100 * (heading > 90).float().mean().item(),
        "stature_mm": 1000 * found["stature_m"].mean().item(),
        "range_log_sd": found["log_range"].std().item(),
        "torso_of_scale": found["torso"].median().item(),
        "hvip_of_scale": found["hvip"].median().item(),
        "coverage_90_percent": 100 * found["covered"].mean().item(),
    }


def _errors(net: HeadNet, data: HeadData, rig: Rig) -> dict[str, torch.Tensor]:
    """One row a person."""
    result = net.correct(data.seen, net.encode(data.samples.float()))
    lifted, truth = result.lifted, data.truth
    picked = list(JOINTS_14)
    guess = joints_of(rig, lifted.rotations, lifted.betas)[:, picked]
    wanted = joints_of(rig, truth.rotations, truth.betas)[:, picked]
    facing = [r[:, 0, :, 2][:, [0, 2]] for r in (lifted.rotations, truth.rotations)]
    turn = torch.atan2(facing[0][:, 0], facing[0][:, 1])
    turn = turn - torch.atan2(facing[1][:, 0], facing[1][:, 1])
    stature = [with_shape(rig.stature, b) for b in (lifted.betas, truth.betas)]
    judged = list(JUDGED)
    angle = posterior.angle_between(lifted.rotations, truth.rotations)[:, judged]
    credible = posterior.credible_angle(lifted.fisher[:, judged], 0.9, 32)
    return {
        "pa_m": (procrustes(guess, wanted) - wanted).norm(dim=-1).mean(1),
        "joints_m": (guess - wanted).norm(dim=-1).mean(1),
        "heading_rad": torch.atan2(turn.sin(), turn.cos()).abs(),
        "stature_m": (stature[0] - stature[1]).abs(),
        "log_range": (lifted.range_statures / truth.range_statures).log(),
        "torso": (result.torso_uv - truth.torso_uv).norm(dim=1) / data.seen.scale,
        "hvip": (result.hvip_uv - truth.hvip_uv).norm(dim=1) / data.seen.scale,
        "covered": (angle <= credible).float().mean(1),
    }
