"""Make the graphs that ship with the package from our own modules: python -m crowd3d.models.export_graphs

The same versions of torch and OpenVINO give the same bytes. Run it again after a change of a module in
`NAMES`; new weights need no new graph.
"""

from __future__ import annotations

import json
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crowd3d.models import graphs
from crowd3d.models.openvino_engine import openvino
from crowd3d.models.registry import build

NAMES = ("crowd3d-s", "facing-s", "pose-s", "glance-s", "boxes-s")


class _FromPixels(nn.Module):
    """A network that takes windows as they are read, (B, H, W, 3) 0..255.

    They are scaled before the channels are moved: OpenVINO then moves nothing, which saves a third of glance-s.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        scaled: Tensor = self.network.scaled(pixels.float())
        maps = self.network.of_scaled(scaled.permute(0, 3, 1, 2))
        return (maps,) if isinstance(maps, Tensor) else tuple(maps)


def graph_of(name: str) -> tuple[bytes, bytes]:
    """The graph of a network as XML, and the numbers in it that are no weights."""
    library = openvino()
    network = build(name, weights=None)
    # Every tensor of its own values, so that each constant of the graph is known by them.
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        tensor.normal_(generator=generator)
    example = torch.zeros((1, 64, 96, 3), dtype=torch.uint8)
    model = library.convert_model(_FromPixels(network).eval(), example_input=example)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        library.save_model(model, path, compress_to_fp16=False)
        tree = ET.parse(path)  # of our own making
        stored = path.with_suffix(".bin").read_bytes()
    return _without_weights(tree.getroot(), stored, network.state_dict())


def _without_weights(
    net: ET.Element, stored: bytes, tensors: dict[str, Tensor]
) -> tuple[bytes, bytes]:
    """Let a graph's constants point into `graphs.block`; leave out names that change from run to run."""
    bytes_of = {t.detach().contiguous().numpy().tobytes(): name for name, t in tensors.items()}
    constants = b""
    points: list[tuple[ET.Element, str | int]] = []
    for layer in net.iter("layer"):
        layer.set("name", f"{layer.get('type')}_{layer.get('id')}")
        data = layer.find("data")
        if layer.get("type") != "Const" or data is None:
            continue
        start, size = int(data.get("offset", 0)), int(data.get("size", 0))
        value = stored[start : start + size]
        if value in bytes_of:
            points.append((data, bytes_of[value]))
        else:
            points.append((data, len(constants)))
            constants += value
    missing = set(tensors) - {target for _, target in points if isinstance(target, str)}
    if missing:
        raise SystemExit(f"these weights are not in the graph as they are: {sorted(missing)}")
    at = graphs.offsets(constants, tensors)
    for data, target in points:
        data.set("offset", str(at[target] if isinstance(target, str) else target))
    net.set("name", "graph")
    for port in net.iter("port"):
        port.attrib.pop("names", None)
    for info in net.findall("rt_info"):
        net.remove(info)
    ET.indent(net, "\t")
    return ET.tostring(net) + b"\n", constants


def made_with() -> dict[str, str]:
    """Versions on which the bytes of a graph depend."""
    return {"openvino": openvino().__version__, "torch": torch.__version__.split("+")[0]}


def main() -> None:
    """Write graphs and index into the folder of weights."""
    folder = Path(str(graphs.folder()))
    found: dict[str, Any] = {}
    for name in NAMES:
        xml, constants = graph_of(name)
        (folder / f"{name}.xml").write_bytes(xml)
        found[name] = {"sha256": graphs.digest(xml), "constants": constants.hex()}
        print(f"{name}: {len(xml):,} bytes", file=sys.stderr)
    index = {"made_with": made_with(), "graphs": found}
    (folder / graphs.INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
