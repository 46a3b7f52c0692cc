"""Engines give the answers of our own modules: graphs, threads, batches; and what is said without one."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.paths import DEMO

from crowd3d import models
from crowd3d.errors import ConfigError, EnvironmentProblem, ModelError
from crowd3d.files.weights import tensors_hash, write_weights
from crowd3d.models import export_graphs, graphs, openvino_engine
from crowd3d.models.engine import TorchEngine
from crowd3d.models.openvino_engine import OpenVinoEngine
from crowd3d.pipeline.networks import choose_engine

SIZES = {
    "crowd3d-s": (512, 512),
    "facing-s": (256, 160),
    "pose-s": (256, 160),
    "glance-s": (480, 720),
    "boxes-s": (416, 320),
}


@pytest.fixture(scope="module")
def engine():
    return OpenVinoEngine()


def _windows(name: str, count: int = 2) -> np.ndarray:
    """Parts of the demo, so that the maps hold people."""
    picture = cv2.imread(str(DEMO))[..., ::-1]
    height, width = SIZES[name]
    corners = [(600, 900), (700, 1900), (900, 300)][:count]
    return np.stack([picture[y : y + height, x : x + width] for y, x in corners])


def _agree(ours: tuple[torch.Tensor, ...], theirs: tuple[torch.Tensor, ...]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype == torch.float32
        assert (a - b).abs().max() <= 1e-4 * max(1.0, float(b.abs().max()))


@pytest.mark.parametrize("name", SIZES)
def test_a_graph_gives_what_torch_gives(engine, name):
    pixels = _windows(name)
    ours, theirs = engine.load(name), TorchEngine().load(name)
    assert ours.weights_hash == theirs.weights_hash == tensors_hash(models.build(name))
    _agree(ours.run(pixels), theirs.run(pixels))


def test_a_graph_serves_other_weights_of_its_network(engine, tmp_path):
    network = models.build("facing-s", weights=None)
    file = tmp_path / "own.safetensors"
    write_weights(file, network.state_dict(), {})
    pixels = _windows("facing-s")
    ours, theirs = (each.load("facing-s", file) for each in (engine, TorchEngine()))
    _agree(ours.run(pixels), theirs.run(pixels))
    assert ours.weights_hash != engine.load("facing-s").weights_hash


def test_an_answer_depends_neither_on_its_batch_nor_on_threads(engine):
    pixels = _windows("crowd3d-s", 3)
    runner = engine.load("crowd3d-s")
    together = runner.run(pixels)
    with ThreadPoolExecutor(3) as pool:
        alone = list(pool.map(lambda i: runner.run(pixels[i : i + 1]), range(3)))
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        others = OpenVinoEngine().load("crowd3d-s").run(pixels)
    finally:
        torch.set_num_threads(before)
    for k, maps in enumerate(together):
        assert torch.equal(maps, torch.cat([parts[k] for parts in alone]))
        assert torch.equal(maps, others[k])


@pytest.mark.parametrize("engine", [OpenVinoEngine("bfloat16"), TorchEngine("cpu", "bfloat16")])
def test_bfloat16_is_near_and_says_so(engine):
    assert engine.facts["numbers"] == "bfloat16"
    pixels = _windows("crowd3d-s")
    heat = [e.load("crowd3d-s").run(pixels)[3] for e in (engine, TorchEngine())]
    difference = (heat[0] - heat[1]).abs()
    assert difference.max() < 0.3 and difference.mean() < 5e-3


def test_the_shipped_graphs_are_those_of_our_modules():
    made_with = json.loads((graphs.folder() / graphs.INDEX).read_text("utf-8"))["made_with"]
    here = export_graphs.made_with()
    if made_with != here:
        pytest.skip(f"graphs are made with {made_with}, here are {here}")
    for name in export_graphs.NAMES:
        assert export_graphs.graph_of(name) == graphs.read(name)


def test_a_graph_that_was_changed_is_refused(tmp_path, monkeypatch):
    source = Path(str(graphs.folder()))
    for name in (graphs.INDEX, "glance-s.xml"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    monkeypatch.setattr(graphs, "folder", lambda: tmp_path)
    assert graphs.read("glance-s")
    changed = (tmp_path / "glance-s.xml").read_bytes().replace(b"ReLU", b"Tanh", 1)
    (tmp_path / "glance-s.xml").write_bytes(changed)
    with pytest.raises(ModelError, match="damaged"):
        graphs.read("glance-s")


def test_a_network_without_a_graph_names_the_engine_that_runs_it(engine):
    with pytest.raises(ModelError, match="engine torch"):
        engine.load("rootnet-s")


def test_nothing_is_reported_to_the_makers_of_the_library():
    code = (
        "import sys; from crowd3d.models.openvino_engine import OpenVinoEngine; OpenVinoEngine();"
        "import openvino; from openvino.tools.ovc import telemetry_utils;"
        "print('openvino_telemetry' in sys.modules, telemetry_utils.tm.__name__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "openvino.tools.ovc.telemetry_stub"]


def test_the_engine_is_chosen_by_device_and_by_what_is_installed(monkeypatch):
    assert choose_engine("auto", "cpu").facts["name"] == "openvino"
    assert choose_engine("torch", "cpu").facts["name"] == "torch"
    assert choose_engine("openvino", "auto").facts["numbers"] == "float32"
    assert choose_engine("openvino-bfloat16", "cpu").facts["numbers"] == "bfloat16"
    with pytest.raises(ConfigError, match="runs on processors"):
        choose_engine("openvino", "cuda")
    monkeypatch.setattr(openvino_engine, "is_installed", lambda: False)
    assert choose_engine("auto", "cpu").facts["name"] == "torch"


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EnvironmentProblem, match="--engine torch"):
        OpenVinoEngine()


def test_windows_of_many_sizes_come_from_many_threads(engine):
    runner, wrong = engine.load("glance-s"), []

    def ask(side: int) -> None:
        (maps,) = runner.run(np.full((1, side, 96, 3), side, np.uint8))
        if maps.shape != (1, 1, side // 8, 12):
            wrong.append(side)

    threads = [threading.Thread(target=ask, args=(side,)) for side in (64, 96, 64, 128, 96, 160)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
