"""Published checkpoints: read without running code, named when wrong, kept where `build` finds them."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open

from crowd3d import models
from crowd3d.cli import main
from crowd3d.errors import ModelError
from crowd3d.models import catalog
from crowd3d.models.crowdnet3d import PoseDecoder
from crowd3d.models.importing import read_checkpoint
from crowd3d.models.official import LAYOUTS, CheckpointError
from crowd3d.models.registry import _NETWORKS


def published(name: str = "vposer") -> dict[str, torch.Tensor]:
    """A checkpoint in the published layout, out of a freshly initialised network."""
    torch.manual_seed(0)
    state = _NETWORKS[name]().state_dict()
    return {LAYOUTS[name].published(key): value for key, value in state.items()}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


class Evil:
    """Runs a command when unpickled by a reader that allows it."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_names_are_distinct_and_all_come_back(name):
    network = _NETWORKS[name]()
    names = [LAYOUTS[name].published(key) for key in network.state_dict()]
    assert len(set(names)) == len(names)


def test_missing_unexpected_and_misshapen_tensors_are_named():
    state = published()
    state["surplus.weight"] = state.pop("bodyprior_dec_fc1.weight")
    state["bodyprior_dec_out.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError) as caught:
        models.from_official("vposer", state)
    assert caught.value.missing == ["bodyprior_dec_fc1.weight"]
    assert caught.value.unexpected == ["surplus.weight"]
    for word in ("bodyprior_dec_fc1.weight", "surplus.weight", "(3,), wanted (126,)"):
        assert word in str(caught.value)


def test_a_long_list_is_shortened_in_the_message_but_complete_in_the_error():
    with pytest.raises(CheckpointError, match="and 164 more") as caught:
        models.from_official("hmr", {})
    assert len(caught.value.missing) == 172


def test_counters_may_be_absent_and_numpy_arrays_do():
    state = {
        key: value.numpy()
        for key, value in published("rootnet").items()
        if not key.endswith("num_batches_tracked")
    }
    network = models.from_official("rootnet", state)
    np.testing.assert_array_equal(network.heat.bias.detach().numpy(), state["root.xy_layer.bias"])


def test_unknown_names_and_networks_without_a_published_checkpoint():
    with pytest.raises(ModelError, match="did you mean 'rootnet'"):
        models.from_official("rotnet", {})
    with pytest.raises(ModelError, match="no published checkpoint"):
        models.from_official("crowd3d-s", {})


def test_posenet_of_another_joint_set_is_recognised():
    state = published("posenet")
    for part in ("weight", "bias"):
        key = f"head.final_layer.{part}"
        state[key] = state[key][: 18 * 64]
    assert models.from_official("posenet", state).volumes.out_channels == 18 * 64


@pytest.mark.parametrize("ending", [".pth", ".pkl", ".tar"])
@pytest.mark.parametrize("wrapper", ["network", "state_dict", "model", None])
@pytest.mark.parametrize("legacy", [False, True])
def test_checkpoints_are_unwrapped(tmp_path, wrapper, legacy, ending):
    state = {f"module.{key}": value for key, value in published().items()}
    content = {"epoch": 6, wrapper: state} if wrapper else state
    file = tmp_path / f"snapshot{ending}"
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    assert read_checkpoint(file).keys() == published().keys()


def test_import_then_build(tmp_path, home):
    file = tmp_path / "vposer.pth"
    torch.save(published(), file)
    assert not catalog.is_installed("vposer")
    result = run("models", "import", "vposer", file)
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(home / "models" / "vposer.safetensors")
    network = models.build("vposer")
    assert isinstance(network, PoseDecoder) and not network.training
    torch.testing.assert_close(network.out.weight, published()["bodyprior_dec_out.weight"])
    with safe_open(result.output.strip(), "pt") as stored:
        metadata = stored.metadata()
    assert metadata["network"] == "vposer" and metadata["imported_from"] == "vposer.pth"
    assert len(metadata["sha256"]) == 64


def test_import_writes_the_same_bytes_twice(tmp_path):
    file = tmp_path / "a.pth"
    torch.save(published(), file)
    for out in ("1", "2"):
        assert run("models", "import", "vposer", file, "-o", tmp_path / out).exit_code == 0
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def _as_pickle(content, file):
    file.write_bytes(pickle.dumps(content))


def _as_zip(content, file):
    torch.save(content, file)


def _as_legacy(content, file):
    torch.save(content, file, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [_as_pickle, _as_zip, _as_legacy])
def test_a_file_that_would_run_code_is_refused_in_one_line(tmp_path, home, write):
    marker = tmp_path / "was_here"
    file = tmp_path / "evil.pkl"
    write({**published(), "evil": Evil(marker)}, file)
    result = run("models", "import", "vposer", file)
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1
    assert "run code" in result.output
    assert not marker.exists() and not home.exists()
    pickle.loads(pickle.dumps(Evil(marker)))  # the control: the same object does act when it may
    assert marker.exists()


def _nothing(file):
    file.write_bytes(b"")


def _text(file):
    file.write_text("<html>404</html>")


def _cut(file):
    torch.save(published(), file)
    file.write_bytes(file.read_bytes()[:5000])


def _other_zip(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme", "nothing")


def _number(file):
    torch.save(3, file)


def _words(file):
    torch.save({"state_dict": {"a": "b"}}, file)


def _empty(file):
    torch.save({"state_dict": {}}, file)


@pytest.mark.parametrize("write", [_nothing, _text, _cut, _other_zip, _number, _words, _empty])
def test_damaged_files_are_named(tmp_path, write):
    file = tmp_path / "damaged.pth"
    write(file)
    result = run("models", "import", "vposer", file, "-o", tmp_path / "out")
    assert result.exit_code == 2 and "damaged.pth" in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(tmp_path):
    result = run("models", "import", "vposer", tmp_path / "none.pth")
    assert result.exit_code == 2 and "cannot read" in result.output


def test_weights_that_are_not_installed_say_where_to_get_them(home):
    with pytest.raises(ModelError, match=r"ROOTNET_RELEASE.*crowd3d models import rootnet FILE"):
        models.build("rootnet")


def test_list_shows_every_network(tmp_path, home):
    file = tmp_path / "vposer.pth"
    torch.save(published(), file)
    assert run("models", "import", "vposer", file).exit_code == 0
    lines = run("models", "list").output.splitlines()
    state = {
        name: next(line for line in lines if line.startswith(name + " ")) for name in _NETWORKS
    }
    assert "not installed" in state["hmr"]
    assert "not installed" not in state["vposer"] and "not installed" not in state["crowd3d-s"]
    assert catalog.CATALOG.keys() == _NETWORKS.keys()
    assert any("MIT" in line and "3DMPPE_POSENET" in line for line in lines)
