"""Builds a network by its name and gives it its weights."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from crowd3d.errors import ModelError
from crowd3d.files.weights import read_weights, stamp_of
from crowd3d.models import catalog
from crowd3d.models.boxes_s import BoxesS
from crowd3d.models.crowd3dnet import Crowd3DNet
from crowd3d.models.crowd3ds import Crowd3dS
from crowd3d.models.crowdnet3d import CrowdNet3D, PoseDecoder
from crowd3d.models.crowdnet_s import CrowdNetS
from crowd3d.models.facing_s import FacingTrunk
from crowd3d.models.glance_s import GlanceS
from crowd3d.models.hmr import HMR
from crowd3d.models.official import LAYOUTS, State, load_published
from crowd3d.models.pose_s import PoseS
from crowd3d.models.posenet import BINS, PoseNet
from crowd3d.models.propose import ProPose
from crowd3d.models.rootnet import RootNet
from crowd3d.models.rootnet_s import RootNetS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SHARED = 16  # networks kept: more than any run uses

_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "crowd3d-s": Crowd3dS,
    "crowdnet-s": CrowdNetS,
    "rootnet-s": RootNetS,
    "facing-s": FacingTrunk,
    "pose-s": PoseS,
    "glance-s": GlanceS,
    "boxes-s": BoxesS,
    "crowd3dnet": Crowd3DNet,
    "3dcrowdnet": CrowdNet3D,
    "vposer": PoseDecoder,
    "rootnet": RootNet,
    "posenet": PoseNet,
    "propose": ProPose,
    "hmr": HMR,
}

# Parts of networks that have weights of their own, by the beginning of their tensors' names. A file of the
# network without them is completed by those that are embedded.
_PARTS = {"crowd3d-s": {"heads.": "heads-s"}, "pose-s": {"lower.": "facing-s"}}


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
    state = dict(read_weights(_source(name, weights)).tensors)
    for prefix, part in parts_of(name).items():
        if not any(key.startswith(prefix) for key in state):
            tensors = read_weights(_source(part, "embedded")).tensors
            state |= {f"{prefix}{key}": tensor for key, tensor in tensors.items()}
    network = _create(name, state.get("volumes.weight"))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{weights} does not hold the network {name!r}: {error}") from None
    return network.eval()


def parts_of(name: str) -> Mapping[str, str]:
    """Parts of a network with weights of their own: the beginning of their tensors' names -> embedded file."""
    return _PARTS.get(name, {})


def shared(
    name: str = "crowd3d-s",
    device: str | torch.device = "cpu",
    weights: str | Path = "embedded",
) -> nn.Module:
    """The network of `build` on a device, read from its file once a process.

    It is for inference and must stay as it is: its parameters take no gradients, and whoever wants to train,
    convert or move it takes a network of his own from `build`. A file that has changed is read again.

    Args:
        name, weights: as of `build`.

    Raises:
        ModelError: as `build`.
    """
    _check(name)
    return _shared(name, str(device), weights, stamp_of(_source(name, weights)))


@lru_cache(_SHARED)
def _shared(name: str, device: str, weights: str | Path, stamp: tuple[str, int, int]) -> nn.Module:
    """Remembered by its arguments; the stamp is there for that alone."""
    return build(name, weights).requires_grad_(False).to(device)


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


def _source(name: str, weights: str | Path) -> Path | Traversable:
    source = catalog.weights_file(name) if weights == "embedded" else Path(weights)
    if source is None:
        raise ModelError(
            f"no weights of {name!r} are installed; get them from {catalog.CATALOG[name].source}"
            f" and run: crowd3d models import {name} FILE"
        )
    return source
