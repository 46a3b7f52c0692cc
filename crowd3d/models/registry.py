"""Networks by name, with their weights."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from crowd3d.errors import ModelError
from crowd3d.models import catalog
from crowd3d.models.crowd3dnet import Crowd3DNet
from crowd3d.models.crowd3ds import Crowd3dS
from crowd3d.models.crowdnet3d import CrowdNet3D, PoseDecoder
from crowd3d.models.crowdnet_s import CrowdNetS
from crowd3d.models.facing_s import FacingTrunk
from crowd3d.models.hmr import HMR
from crowd3d.models.official import LAYOUTS, State, load_published
from crowd3d.models.posenet import BINS, PoseNet
from crowd3d.models.propose import ProPose
from crowd3d.models.rootnet import RootNet
from crowd3d.models.rootnet_s import RootNetS

_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "crowd3d-s": Crowd3dS,
    "crowdnet-s": CrowdNetS,
    "rootnet-s": RootNetS,
    "facing-s": FacingTrunk,
    "crowd3dnet": Crowd3DNet,
    "3dcrowdnet": CrowdNet3D,
    "vposer": PoseDecoder,
    "rootnet": RootNet,
    "posenet": PoseNet,
    "propose": ProPose,
    "hmr": HMR,
}


def build(name: str = "crowd3d-s", weights: str | Path | None = "embedded") -> nn.Module:
    """A network in evaluation mode, float32, on the CPU.

    Args:
        name: one of `catalog.CATALOG`.
        weights: "embedded" for those inside the package or imported by `crowd3d models import`, a path to a
            .safetensors file, or None for freshly initialised ones.

    Raises:
        ModelError: unknown name, weights that are missing or not readable, or of another architecture.
    """
    _check(name)
    if weights is None:
        return _NETWORKS[name]().eval()
    state = _read(name, weights)
    network = _create(name, state.get("volumes.weight"))
    try:
        network.load_state_dict({key: tensor.to(torch.float32) for key, tensor in state.items()})
    except RuntimeError as error:
        raise ModelError(f"{weights} does not hold the network {name!r}: {error}") from None
    return network.eval()


def from_official(name: str, state_dict: State) -> nn.Module:
    """A published network from the tensors of its published checkpoint; evaluation mode, float32, CPU.

    Args:
        name: "crowd3dnet", "3dcrowdnet", "vposer", "rootnet", "posenet", "propose" or "hmr".
        state_dict: tensors or arrays by their published names.

    Raises:
        ModelError: unknown name; as CheckpointError, with the names of tensors that do not fit.
    """
    _check(name)
    if name not in LAYOUTS:
        raise ModelError(
            f"{name!r} has no published checkpoint; those with one: {', '.join(LAYOUTS)}"
        )
    network = _create(name, state_dict.get("head.final_layer.weight"))
    load_published(network, name, state_dict)
    return network.eval()


def _check(name: str) -> None:
    if name not in _NETWORKS:
        near = difflib.get_close_matches(name, _NETWORKS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"no network is called {name!r}; known: {', '.join(_NETWORKS)}{hint}")


def _create(name: str, last_layer: object) -> nn.Module:
    """PoseNet was published for several joint sets: the rows of its last layer tell which."""
    rows = getattr(last_layer, "shape", (0,))[0]
    if name == "posenet" and rows >= BINS and rows % BINS == 0:
        return PoseNet(joints=rows // BINS)
    return _NETWORKS[name]()


def _read(name: str, weights: str | Path) -> dict[str, Tensor]:
    source = catalog.weights_file(name) if weights == "embedded" else Path(weights)
    if source is None:
        raise ModelError(
            f"no weights of {name!r} are installed; get them from {catalog.CATALOG[name].source}"
            f" and run: crowd3d models import {name} FILE"
        )
    try:
        return load(source.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read the weights {weights}: {error.strerror}") from None
    except SafetensorError as error:
        raise ModelError(f"{weights} is not a .safetensors file: {error}") from None
