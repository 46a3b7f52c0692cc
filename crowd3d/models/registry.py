"""Where each network's class and weights are found."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from crowd3d.errors import ModelError
from crowd3d.models.crowd3ds import Crowd3dS

_NETWORKS: dict[str, type[nn.Module]] = {"crowd3d-s": Crowd3dS}


def build(name: str = "crowd3d-s", weights: str | Path | None = "embedded") -> nn.Module:
    """A network in evaluation mode, float32, on the CPU.

    Args:
        name: "crowd3d-s".
        weights: "embedded" for those inside the package, a path to a .safetensors file, or None for
            freshly initialised ones.

    Raises:
        ModelError: unknown name, unreadable file, or tensors of another architecture.
    """
    if name not in _NETWORKS:
        near = difflib.get_close_matches(name, _NETWORKS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"no network is called {name!r}; known: {', '.join(_NETWORKS)}{hint}")
    network = _NETWORKS[name]()
    if weights is not None:
        _load(network, name, weights)
    return network.eval()


def _load(network: nn.Module, name: str, weights: str | Path) -> None:
    if weights == "embedded":
        source = resources.files("crowd3d") / "weights" / f"{name}.safetensors"
    else:
        source = Path(weights)
    try:
        state = load(source.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read the weights {weights}: {error.strerror}") from None
    except SafetensorError as error:
        raise ModelError(f"{weights} is not a .safetensors file: {error}") from None
    try:
        network.load_state_dict({key: tensor.to(torch.float32) for key, tensor in state.items()})
    except RuntimeError as error:
        raise ModelError(f"{weights} does not hold the network {name!r}: {error}") from None
