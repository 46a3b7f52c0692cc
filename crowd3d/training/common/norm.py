"""Batch norm that a network has while it learns, and that its weights take in afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

N = TypeVar("N", bound=nn.Module)


def normed(network: N, plain: Sequence[str]) -> N:
    """The same network, each of its convolutions followed by batch norm but those named `plain`."""
    for name, part in list(network.named_modules()):
        if isinstance(part, nn.Conv2d) and name not in plain:
            _put(network, name, nn.Sequential(part, nn.BatchNorm2d(part.out_channels)))
    return network


def folded(network: N) -> N:
    """The network that answers as one of `normed` does in evaluation mode, without norms; it is changed."""
    network.eval()
    for name, part in list(network.named_modules()):
        if isinstance(part, nn.Sequential) and isinstance(norm := part[-1], nn.BatchNorm2d):
            conv = cast(nn.Conv2d, part[0])
            _put(network, name, fuse_conv_bn_eval(conv, norm))
    return network


def _put(network: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, part)
