"""Six published networks: with the same weights and inputs, ours give the published outputs."""

import numpy as np
import pytest
import torch
from parity import stand_in
from parity.runner import outputs

from crowd3d import models

NAMES = ("crowd3dnet", "rootnet", "posenet", "3dcrowdnet", "propose", "hmr")
INPUTS = {
    "image_seed", "plane", "intrinsics", "patch_left_top", "patch_size", "scene_size", "k_mm", "joints_hm",
    "joints_mask", "post_rest", "post_joints3d", "post_F_prior",
}  # fmt: skip
TOLERANCE = 1e-4


def relative_error(ours: np.ndarray, reference: np.ndarray) -> float:
    assert ours.shape == reference.shape
    reference = reference.astype(np.float64)
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


def errors(name: str, network: torch.nn.Module) -> dict[str, float]:
    with np.load(stand_in.DATA / f"{name}.npz", allow_pickle=False) as stored:
        reference = dict(stored)
    found = outputs(name, network, reference)
    assert found.keys() == reference.keys() - INPUTS
    return {key: relative_error(found[key], reference[key]) for key in found}


@pytest.mark.parametrize("name", NAMES)
def test_every_array_is_reproduced(name):
    found = errors(name, models.from_official(name, stand_in.state_dict(name)))
    assert max(found.values()) < TOLERANCE, found


@pytest.mark.parametrize(
    "key", ["layer1.0.conv1.weight", "layer4.2.bn3.bias", "fc1.weight", "init_cam", "decpose.bias"]
)
def test_one_wrong_tensor_is_seen(key):
    state = stand_in.state_dict("hmr")
    state[key] = np.ascontiguousarray(np.flip(state[key]))
    assert max(errors("hmr", models.from_official("hmr", state)).values()) > TOLERANCE
