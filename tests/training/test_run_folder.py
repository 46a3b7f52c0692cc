"""What a training keeps while it runs: refusals, what comes back, and whose cached files are used."""

import json

import pytest
import torch

from crowd3d.errors import OutputError
from crowd3d.training.common.run_folder import RunFolder, claim


def some_parts(seed=0):
    torch.manual_seed(seed)
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    return {"network": network, "optimizer": optimizer, "random": torch.Generator()}


def test_everything_comes_back(tmp_path):
    run, parts = RunFolder(tmp_path, "a"), some_parts()
    assert run.begin("key", parts) == 0
    parts["network"](torch.ones(1, 3)).sum().backward()
    parts["optimizer"].step()
    parts["random"].manual_seed(5)
    torch.rand(4, generator=parts["random"])
    for step in (1, 2):
        run.log(step=step, loss=0.5)
    run.save(2)
    run.log(step=3, loss=0.4)
    with run.log_file.open("a") as file:
        file.write('{"step": 4, "lo')  # cut short
    again, other = RunFolder(tmp_path, "a", resume=True), some_parts(1)
    assert again.begin("key", other) == 2
    assert torch.equal(other["network"].weight, parts["network"].weight)
    told = [part["optimizer"].state_dict()["state"][0]["exp_avg"] for part in (parts, other)]
    assert torch.equal(*told)
    assert torch.equal(*(torch.rand(9, generator=p["random"]) for p in (parts, other)))
    assert [row["step"] for row in again.rows()] == [1, 2]  # later ones are done again


def test_an_unfinished_run_is_not_overwritten(tmp_path):
    run = RunFolder(tmp_path, "a")
    run.begin("key", some_parts())
    run.save(1)
    with pytest.raises(OutputError, match=r"a\.checkpoint.*--resume"):
        RunFolder(tmp_path, "a")
    RunFolder(tmp_path, "b")  # another one may share the folder
    resumed = RunFolder(tmp_path, "a", resume=True)
    with pytest.raises(OutputError, match="settings"):
        resumed.begin("another key", some_parts())
    with pytest.raises(OutputError, match="damaged"):
        resumed.begin("key", {**some_parts(), "network": torch.nn.Linear(4, 4)})
    resumed.finish()
    assert RunFolder(tmp_path, "a").begin("key", some_parts()) == 0


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 but no more"])
def test_damaged_checkpoints_are_named(tmp_path, content):
    (tmp_path / "a.checkpoint").write_bytes(content)
    with pytest.raises(OutputError, match=r"a\.checkpoint is damaged"):
        RunFolder(tmp_path, "a", resume=True).begin("key", some_parts())


def test_a_checkpoint_runs_no_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    torch.save({"identity": "key", "step": 1, "network": Trap()}, tmp_path / "a.checkpoint")
    with pytest.raises(OutputError, match="damaged"):
        RunFolder(tmp_path, "a", resume=True).begin("key", some_parts())
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        RunFolder(tmp_path / "file" / "run", "a")


def test_cached_files_serve_one_recipe(tmp_path):
    folder = tmp_path / "cache"
    for _ in range(2):
        claim(folder, {"people": 3, "size": [1, 2]})
    assert json.loads((folder / "recipe.json").read_text()) == {"people": 3, "size": [1, 2]}
    with pytest.raises(OutputError, match="another recipe"):
        claim(folder, {"people": 4, "size": [1, 2]})
