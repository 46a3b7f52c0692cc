"""A picture spread over a Ray cluster: the same bytes, and a lost machine costs its batches only."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from crowd3d.detect.boxes import _Boxing
from crowd3d.detect.detector import _Looking
from crowd3d.detect.glance import _Glancing
from crowd3d.detect.sides import _looked_closer
from crowd3d.errors import ConfigError, EnvironmentProblem
from crowd3d.models.engine import Runner, torch_engine
from crowd3d.models.ray_engine import RayEngine, spread_over
from crowd3d.picture.windows import FLAT, windows
from crowd3d.scene.camera import Camera
from tiling import Tile

DEMO = Path(__file__).parents[2] / "docs" / "demo" / "plaza.jpg"
TILES = [Tile(0.0, 0.0, 64.0, 64.0, 64, 64, 0, 0, (1.0, 64.0))]
PIXELS = np.random.default_rng(1).integers(0, 255, (1, 64, 64, 3), np.uint8)


class TaskError(Exception):
    """As Ray wraps what a task raises."""

    def __init__(self, cause):
        super().__init__(cause)
        self.cause = cause


class FakeRay:
    """Calls a task in this process, after its arguments went through a pickle, as on a cluster."""

    exceptions = SimpleNamespace(RayTaskError=TaskError)

    def remote(self, function):
        def call(*arguments):
            return function, pickle.loads(pickle.dumps(arguments))

        task = SimpleNamespace(remote=call)
        return SimpleNamespace(options=lambda **_: task)

    def get(self, call):
        function, arguments = call
        try:
            return function(*arguments)
        except Exception as error:
            raise TaskError(error) from error

    def cluster_resources(self):
        return {"CPU": 7.0, "memory": 1e9}


def maps_of(network, pixels, tiles):
    """A small part of what a network says."""
    return {"first": network.run(pixels)[0].numpy(), "tiles": np.array([t.index for t in tiles])}


def test_answers_are_those_of_the_engine_itself():
    engine = torch_engine()
    far = RayEngine(engine, FakeRay())
    assert far.facts == engine.facts and far.workers == 7
    here = engine.load("glance-s").answer(maps_of, PIXELS, TILES)
    there = far.load("glance-s").answer(maps_of, PIXELS, TILES)
    assert list(here) == list(there)
    np.testing.assert_allclose(there["first"], here["first"], atol=1e-4)


def test_what_is_asked_can_be_sent_to_another_machine():
    bent = windows(Camera(400, 200, 64.0, (200.0, 100.0), projection="equirectangular"))
    looking = [_Looking(0.1, 0.2, (9, 9), view) for view in (FLAT, bent)]
    for function in (*looking, _Boxing(0.1, (9, 9), bent), _Glancing((9, 9))):
        assert pickle.loads(pickle.dumps(function)) == function
    assert pickle.loads(pickle.dumps(_looked_closer)) is _looked_closer


def test_a_machine_with_another_version_is_told(monkeypatch):
    far = RayEngine(torch_engine(), FakeRay())
    network = far.load("glance-s")
    monkeypatch.setattr(far, "facts", {**far.facts, "version": "0.0"})
    with pytest.raises(EnvironmentProblem, match=r"another engine of glance-s.*same versions"):
        network.answer(maps_of, PIXELS, TILES)
    here = torch_engine().load("glance-s")
    with pytest.raises(EnvironmentProblem, match="another weights of glance-s"):
        far = RayEngine(torch_engine(), FakeRay())
        far.ask("glance-s", "embedded", "0" * 64, maps_of, PIXELS, TILES)
    found = far.ask("glance-s", "embedded", here.weights_hash, maps_of, PIXELS, TILES)
    assert isinstance(here, Runner) and found["tiles"].tolist() == [0]


def test_mistakes_of_the_program_are_not_dressed_up():
    def broken(*_):
        raise ZeroDivisionError

    far = RayEngine(torch_engine(), FakeRay())
    network = far.load("glance-s")
    far._remote = FakeRay().remote(broken).options()
    with pytest.raises(TaskError):
        network.answer(maps_of, PIXELS, TILES)


def test_only_processors_are_spread_over():
    with pytest.raises(ConfigError, match="processors"):
        RayEngine(SimpleNamespace(device="cuda"), FakeRay())


def test_without_a_cluster_nothing_changes():
    engine = torch_engine()
    with spread_over(None) as spread:
        assert spread(engine) is engine


def killed_once(network, pixels, tiles):
    """Ends its own process the first time."""
    mark = Path(os.environ["KILLED_ONCE"])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return maps_of(network, pixels, tiles)


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    """Address of a cluster of two nodes of one core each, on this machine."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("KILLED_ONCE", str(tmp_path_factory.mktemp("ray") / "mark"))
    patch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    )
    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    nodes.add_node(num_cpus=1)
    yield nodes.address
    nodes.shutdown()
    patch.undo()


@pytest.mark.slow
def test_a_batch_whose_process_is_killed_is_answered_by_another(two_nodes):
    engine = torch_engine()
    with spread_over(two_nodes) as spread:
        far = spread(engine)
        assert far.workers == 2
        found = far.load("glance-s").answer(killed_once, PIXELS, TILES)
    assert Path(os.environ["KILLED_ONCE"]).exists()
    expected = engine.load("glance-s").answer(maps_of, PIXELS, TILES)
    np.testing.assert_allclose(found["first"], expected["first"], atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not DEMO.exists(), reason="needs the demo picture of a checkout")
def test_a_picture_spread_over_two_nodes_has_the_same_bytes(two_nodes, tmp_path):
    cv2.imwrite(str(tmp_path / "p.png"), np.asarray(cv2.imread(str(DEMO)))[420:820, 500:1000])
    for out, options in (("here", []), ("there", ["--ray", two_nodes])):
        done = subprocess.run(
            [sys.executable, "-m", "crowd3d", "reconstruct", "p.png", "-o", out, *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    for file in ("people.npz", "predict.json", "scene.glb", "overlay.jpg"):
        assert (tmp_path / "here" / file).read_bytes() == (tmp_path / "there" / file).read_bytes()
