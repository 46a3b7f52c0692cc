"""A published network's reference inputs through ours; results under the reference's names and slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crowd3d.models.crowd3dnet import PatchView
from crowd3d.models.propose_posterior import PARENTS, posterior

Arrays = dict[str, npt.NDArray[np.generic]]
Reference = Mapping[str, npt.NDArray[np.generic]]

_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def outputs(name: str, network: nn.Module, reference: Reference) -> Arrays:
    """What our network gives for a reference's inputs.

    Args:
        name: of the published network.
        network: from `crowd3d.models.from_official`.
        reference: inputs by name; where the batch's size is in no input, one of the outputs tells it.

    Returns:
        One array for every output of that network's references.
    """
    with torch.inference_mode():
        tensors = _RUNNERS[name](network, reference)
    return {key: value.numpy() for key, value in tensors.items()}


def blocks(seed: int, batch: int, side_px: int) -> npt.NDArray[np.float32]:
    """Random RGB in 16 x 16 blocks, (batch, side, side, 3), 0..255: the picture behind a reference."""
    coarse = np.random.RandomState(seed).randint(0, 256, (batch, 16, 16, 3))
    step = side_px // 16
    return coarse.repeat(step, axis=1).repeat(step, axis=2).astype(np.float32)


def _image(reference: Reference, batch: int, side_px: int) -> Tensor:
    """(B, 3, side, side), 0..255."""
    picture = blocks(int(reference["image_seed"]), batch, side_px)
    return torch.from_numpy(picture).permute(0, 3, 1, 2).contiguous()


def _imagenet(image: Tensor) -> Tensor:
    mean, deviation = (
        torch.tensor(v)[:, None, None] for v in (_IMAGENET_MEAN, _IMAGENET_DEVIATION)
    )
    return (image / 255 - mean) / deviation


def _batch(reference: Reference, like: str, default: int) -> int:
    return len(reference[like]) if like in reference else default


def _crowd3dnet(network: nn.Module, reference: Reference) -> dict[str, Tensor]:
    names = ("intrinsics", "plane", "patch_left_top", "patch_size", "scene_size")
    view = [torch.from_numpy(np.asarray(reference[n], np.float32)) for n in names]
    batch = len(view[1])
    view[4] = view[4].expand(batch, 2)
    images = _image(reference, batch, 512)
    maps = [
        network(images[i : i + 1], PatchView(*(v[i : i + 1] for v in view))) for i in range(batch)
    ]
    return {
        "params_maps": torch.cat([m.params for m in maps])[:, :, ::8, ::8],
        "center_map": torch.cat([m.center for m in maps])[:, :, ::2, ::2],
    }


def _rootnet(network: nn.Module, reference: Reference) -> dict[str, Tensor]:
    k_mm = torch.from_numpy(np.asarray(reference["k_mm"], np.float32))
    root = network((_image(reference, len(k_mm), 256) / 255 - 0.5) / 0.25)
    depth_mm = root.gamma * k_mm
    return {
        "coord": torch.cat([root.xy, depth_mm[:, None]], dim=1),
        "xy_logits": root.logits[:, :, ::4, ::4],
    }


def _posenet(network: nn.Module, reference: Reference) -> dict[str, Tensor]:
    batch = _batch(reference, "coord", 2)
    joints = network((_image(reference, batch, 256) / 255 - 0.5) / 0.25)
    return {"coord": joints.bins, "logits": joints.logits[:, :, ::16, ::8, ::8]}


def _crowdnet3d(network: nn.Module, reference: Reference) -> dict[str, Tensor]:
    joints, mask = (torch.from_numpy(reference[n]) for n in ("joints_hm", "joints_mask"))
    crop = network(_image(reference, len(joints), 256) / 255, joints, mask)
    return {
        "feat": crop.features[:, ::32],
        "joint_img": crop.joints,
        "joint_score": crop.joint_score,
        "root_pose_6d": crop.orient_6d,
        "latent": crop.latent,
        "betas": crop.betas,
        "cam": crop.camera,
    }


def _propose(network: nn.Module, reference: Reference) -> dict[str, Tensor]:
    batch = _batch(reference, "feat", 1)
    seen = network(_imagenet(_image(reference, batch, 256)))
    out = {
        "logits": seen.logits[:, :, ::16, ::8, ::8],
        "feat": seen.features,
        "joints": seen.joints,
        "betas": seen.betas,
        "F": seen.prior,
        "cam": seen.camera,
    }
    if "post_F_prior" in reference:
        names = ("post_F_prior", "post_joints3d", "post_rest")
        joined = posterior(*(torch.from_numpy(reference[n]) for n in names))
        out |= {
            "post_F": joined.fisher,
            "post_rotmats": joined.pose,
            "parents": torch.tensor(PARENTS),
        }
    return out


def _hmr(network: nn.Module, reference: Reference) -> dict[str, Tensor]:
    body = network(_imagenet(_image(reference, _batch(reference, "betas", 2), 224)))
    return {
        "rotmat": body.rotations,
        "betas": body.betas,
        "cam": body.camera,
        "feature5": body.pooled,
        "feature12": body.hidden,
    }


_RUNNERS: dict[str, Callable[[nn.Module, Reference], dict[str, Tensor]]] = {
    "crowd3dnet": _crowd3dnet,
    "rootnet": _rootnet,
    "posenet": _posenet,
    "3dcrowdnet": _crowdnet3d,
    "propose": _propose,
    "hmr": _hmr,
}
