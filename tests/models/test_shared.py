"""Networks for inference are read once a process; those to be trained are everybody's own."""

import os

import pytest
import torch

from crowd3d import models
from crowd3d.errors import ModelError
from crowd3d.files.weights import read_weights, tensors_hash, write_weights


def test_shared_networks_are_one_and_built_ones_are_not():
    shared = models.shared("rootnet-s")
    assert shared is models.shared("rootnet-s", "cpu") and not shared.training
    built = models.build("rootnet-s")
    assert built is not models.build("rootnet-s") and built is not shared
    assert tensors_hash(built) == tensors_hash(shared)
    assert all(p.requires_grad for p in built.parameters())
    assert not any(p.requires_grad for p in shared.parameters())


def test_a_file_that_has_changed_is_read_again(tmp_path):
    file = tmp_path / "rootnet.safetensors"
    tensors = dict(models.build("rootnet-s").state_dict())
    write_weights(file, tensors, {})
    first = models.shared("rootnet-s", weights=file)
    assert models.shared("rootnet-s", weights=file) is first
    name = next(iter(tensors))
    before = file.stat()
    write_weights(file, tensors | {name: tensors[name] + 1}, {})  # as long as before
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    second = models.shared("rootnet-s", weights=file)
    assert second is not first
    torch.testing.assert_close(second.state_dict()[name], first.state_dict()[name] + 1)


def test_mistakes_are_those_of_build(tmp_path):
    with pytest.raises(ModelError, match="did you mean 'rootnet-s'"):
        models.shared("rootnet-z")
    with pytest.raises(ModelError, match="cannot read"):
        models.shared("rootnet-s", weights=tmp_path / "missing.safetensors")


def test_weights_are_read_in_single_precision_with_what_is_known_of_them(tmp_path):
    file = tmp_path / "w.safetensors"
    write_weights(file, {"a": torch.ones(2).half()}, {"facts": '{"seed": 3}', "network": "n"})
    stored = read_weights(file)
    assert stored.tensors["a"].dtype == torch.float32 and stored.facts == {"seed": 3}
    assert stored.metadata["network"] == "n"
    for content in (b"", b"\x08\0\0\0\0\0\0\0{}", b"nothing at all"):
        file.write_bytes(content)
        with pytest.raises(ModelError, match="safetensors"):
            read_weights(file)
    with pytest.raises(ModelError, match="is a folder, not a file"):
        read_weights(tmp_path)
