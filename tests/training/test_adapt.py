"""Adaptation to a scene: labels, what changes and what stays, that it learns, stops, goes on and repeats."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.crowd3dnet import (
    BODY,
    SIZE,
    Oracle,
    Source,
    TinyTrunk,
    fitted_of,
    read,
    save_network,
    standing,
)
from helpers.scenes import without_place

from crowd3d import Camera, api
from crowd3d.cli import main
from crowd3d.config import Config
from crowd3d.errors import DataError, ModelError, OutputError
from crowd3d.files.weights import metadata_of
from crowd3d.models import registry
from crowd3d.models.crowd3dnet import Crowd3DNet
from crowd3d.patches.plan import patch_view, plan_patches
from crowd3d.scene.scene import Scene
from crowd3d.training.adapt import fit as adapt_fit
from crowd3d.training.adapt import run as adapt_scene
from crowd3d.training.adapt.fit import TRAINED, Recipe, adapt, batch_of, prepare, scene_terms
from crowd3d.training.adapt.labels import label_patches
from crowd3d.training.adapt.losses import total
from crowd3d.training.adapt.run import own_mixture, pictures_of
from crowd3d.training.common.run_folder import RunFolder
from tiling import Tile

FITTED = fitted_of(20)
MIXTURE = own_mixture(count=60)


def known_scene(n=15):
    told, torso, _ = standing(FITTED, n)
    people = read(FITTED, Oracle(told, torso))
    return Scene(FITTED.camera, FITTED.planes, people, "crowd.png")


@pytest.fixture(scope="module")
def learnt():
    """Scene, tiles and labels."""
    scene = known_scene()
    tiles = plan_patches(Source(), FITTED.camera, FITTED.planes[0], Config())
    return scene, *label_patches(scene, tiles, 0.15, 6)


def small_network(seed=0):
    torch.manual_seed(seed)
    return Crowd3DNet(TinyTrunk()).eval()


def examples_of(network, tiles, labels):
    pixels = torch.randint(
        0, 256, (len(tiles), 3, 512, 512), generator=torch.Generator().manual_seed(0)
    )
    view = patch_view(tiles, FITTED.camera, FITTED.planes[0])
    return prepare(network, pixels.to(torch.uint8), view, labels)


def test_labels_are_the_people_of_their_patches(learnt):
    scene, tiles, labels = learnt
    assert 0 < len(tiles) <= 6 and set(labels.patch) == set(range(len(tiles)))
    for k, tile in enumerate(tiles):
        rows = labels.patch == k
        back = tile.to_scene((labels.keypoints[rows] + 1) * 256)
        gap = np.abs(back[:, None] - scene.people.keypoints_px[None, ..., :2]).max(axis=(2, 3))
        person = gap.argmin(axis=1)
        assert gap.min(axis=1).max() < 1e-6 and len(set(person)) == len(person)
        torso = tile.to_tile(scene.people.torso_px[person])
        assert (np.floor(torso / 8) == labels.cell[rows]).all()
        box = scene.people.box_px[person]
        corner = np.array([tile.x, tile.y])
        whole = ((box[:, :2] >= corner) & (box[:, 2:] <= corner + tile.side_w)).all(axis=1)
        assert whole.any()


def test_nothing_is_learnt_of_people_without_a_place(learnt):
    scene, tiles, labels = learnt
    everybody = list(range(len(scene.people)))
    for lost in ([0], everybody):
        partly = without_place(scene, {"on a poster": lost})
        _, fewer = label_patches(partly, tiles, 0.15, 9)
        assert np.isfinite(fewer.hvip).all()
        assert len(fewer) < len(labels) and (len(fewer) == 0) == (lost == everybody)


def test_a_patch_that_shows_nobody_whole_is_left_out(learnt):
    scene = learnt[0]
    x0, y0, _, y1 = scene.people.box_px[0]
    half = Tile(x0, (y0 + y1) / 2, y1 - y0, y1 - y0, 512, 512, 0, 0, (1, 2))
    tiles, labels = label_patches(scene, [half], 0.15, 9)
    assert tiles == [] and len(labels) == 0 and labels.keypoints.shape == (0, 17, 2)


def test_only_the_parameter_head_and_the_codes_change(learnt):
    network = small_network()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    examples = examples_of(network, *learnt[1:])
    adapt(network, examples, BODY, Recipe(steps=2, batch=2), MIXTURE, own_betas=True)
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(key.startswith(TRAINED) for key in changed)
    assert {key.split(".")[0] for key in changed} == set(TRAINED)
    assert not any("running" in key for key in changed)


def loss_of(network, examples, recipe):
    everybody = torch.arange(len(examples.features))
    with torch.no_grad():
        terms = scene_terms(network, examples, everybody, BODY, MIXTURE, True)
    return float(total(terms, recipe.weights))


def test_it_learns(learnt):
    network = small_network()
    examples = examples_of(network, *learnt[1:])
    recipe = Recipe(steps=15, batch=3, learning_rate=2e-3)
    before = loss_of(network, examples, recipe)
    rows = adapt(network, examples, BODY, recipe, MIXTURE, own_betas=True)
    assert [row["step"] for row in rows] == list(range(1, 16))
    assert loss_of(network, examples, recipe) < 0.9 * before


def test_what_the_oracle_says_costs_next_to_nothing(learnt):
    """The terms that pull to the labels are zero at the truth, and not elsewhere."""
    _, tiles, labels = learnt
    view = patch_view(tiles, FITTED.camera, FITTED.planes[0])
    told, torso, _ = standing(FITTED, 15)
    maps = Oracle(told, torso)(torch.zeros(len(tiles), 1), view)
    cell = torch.from_numpy(labels.cell)
    patch = torch.from_numpy(labels.patch)
    network = small_network()
    examples = examples_of(network, tiles, labels)._replace(
        cell=cell, fixed=maps.params[patch, :3, cell[:, 1], cell[:, 0]]
    )
    said = maps.params[:, 3:].clone()
    said[:, :3] = said[:, :3].logit(1e-6)
    stub = SimpleNamespace(person_maps=lambda features, view: said)
    everybody = torch.arange(len(tiles))
    terms = scene_terms(stub, examples, everybody, BODY, MIXTURE, True)
    assert terms["keypoints"] < 1e-4 and terms["hvip"] < 1e-4 and terms["below_ground"] < 0.01
    lifted = said.clone()
    lifted[:, 1] = 2.0
    stub.person_maps = lambda features, view: lifted
    worse = scene_terms(stub, examples, everybody, BODY, MIXTURE, True)
    assert worse["keypoints"] > 0.01 and worse["below_ground"] > 0.1


def test_the_same_seed_and_a_stop_in_between_give_the_same_weights(learnt, tmp_path, monkeypatch):
    monkeypatch.setattr(adapt_fit, "_SAVE_EVERY", 2)

    def begun(key="key", resume=False):
        return RunFolder(tmp_path, "w.safetensors", resume=resume), key

    def adapted(run, key, on_step=None):
        network = small_network()
        examples = examples_of(network, *learnt[1:])
        recipe = Recipe(steps=6, batch=2)
        options = {"own_betas": True, "run": run, "key": key, "on_step": on_step}
        adapt(network, examples, BODY, recipe, MIXTURE, **options)
        return network

    def stop_after_five():
        if len(run.rows()) == 5:
            raise KeyboardInterrupt

    run, key = begun()
    whole = adapted(run, key)
    assert run.log_file == tmp_path / "w.safetensors.log.jsonl"
    assert run.checkpoint == tmp_path / "w.safetensors.checkpoint" and run.checkpoint.exists()
    log = run.log_file.read_bytes()
    assert len(log.splitlines()) == 6
    run.finish()
    with pytest.raises(
        KeyboardInterrupt
    ):  # the last checkpoint is of step 4, so step 5 is done again
        adapted(*begun(), on_step=stop_after_five)
    again = adapted(*begun(resume=True))
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert run.log_file.read_bytes() == log
    with pytest.raises(OutputError, match="--resume"):
        begun()
    with pytest.raises(OutputError, match="other weights"):
        adapted(*begun("another key", resume=True))
    run.checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(OutputError, match="damaged"):
        adapted(*begun(resume=True))


def test_every_epoch_sees_every_patch():
    recipe = Recipe(batch=3)
    first, second = (torch.cat([batch_of(9, recipe, s) for s in range(k, k + 3)]) for k in (0, 3))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(9))
    assert first.tolist() != second.tolist()
    assert len(batch_of(2, recipe, 5)) == 2


def test_nobody_to_learn_from_and_divergence_are_said(learnt):
    _, tiles, labels = learnt
    network = small_network()
    nobody = label_patches(known_scene(), [], 0.15, 5)[1]
    with pytest.raises(DataError, match="nobody"):
        examples_of(network, [], nobody)
    examples = examples_of(network, tiles, labels)
    with torch.no_grad():
        network.params_head.out.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="diverged"):
        adapt(network, examples, BODY, Recipe(steps=1, batch=2), MIXTURE, own_betas=True)


def test_folders_give_their_pictures(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in pictures_of(tmp_path)] == ["a.PNG", "b.jpg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture"):
        pictures_of(tmp_path / "empty")


def run_command(tmp_path, monkeypatch, *options, scene=None):
    """`crowd3d adapt` on a picture whose people are known."""
    cv2.imwrite(str(tmp_path / "crowd.png"), np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    monkeypatch.setattr(adapt_scene, "_MOST_PATCHES", 3)
    monkeypatch.setattr(adapt_scene, "own_mixture", lambda: MIXTURE)
    monkeypatch.setattr(api, "reconstruct", lambda *_, **__: scene or known_scene())
    return CliRunner().invoke(
        main,
        [
            "adapt",
            "--scene",
            str(tmp_path / "crowd.png"),
            "-o",
            str(tmp_path / "new.safetensors"),
            *options,
        ],
    )


def test_from_the_command_line_to_weights_that_load(tmp_path, monkeypatch):
    monkeypatch.setitem(registry._NETWORKS, "crowd3dnet", lambda: Crowd3DNet(TinyTrunk()))
    file = save_network(tmp_path / "base.safetensors", small_network(), body="open")
    options = ["--weights", str(file), "--steps", "5", "--batch", "2"]
    result = run_command(tmp_path, monkeypatch, *options)
    assert result.exit_code == 0, result.output
    new = tmp_path / "new.safetensors"
    facts = metadata_of(new)
    assert facts["network"] == "crowd3dnet" and facts["body"] == "open"
    assert facts["scene"] == "crowd.png" and json.loads(facts["recipe"])["steps"] == 5
    assert isinstance(registry.build("crowd3dnet", new), Crowd3DNet)
    log = [json.loads(line) for line in (tmp_path / "new.safetensors.log.jsonl").open()]
    assert [row["step"] for row in log] == [1, 2, 3, 4, 5] and log[0]["terms"].keys() >= {"hvip"}
    assert not list(tmp_path.glob("*.checkpoint"))
    first = new.read_bytes()
    assert run_command(tmp_path, monkeypatch, *options).exit_code == 0
    assert new.read_bytes() == first


def test_missing_weights_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("CROWD3D_HOME", str(tmp_path / "home"))
    result = run_command(tmp_path, monkeypatch, "--steps", "1")
    assert result.exit_code == 2 and len(result.output.strip().splitlines()) == 1
    assert "crowd3d models import crowd3dnet FILE" in result.output


@pytest.mark.slow
def test_with_the_real_trunk(tmp_path, monkeypatch):
    torch.manual_seed(0)
    file = save_network(tmp_path / "base.safetensors", Crowd3DNet())
    options = ["--weights", str(file), "--steps", "2", "--batch", "1"]
    result = run_command(tmp_path, monkeypatch, *options)
    assert result.exit_code == 0, result.output
    registry.build("crowd3dnet", tmp_path / "new.safetensors")


def test_a_distorted_picture_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(registry._NETWORKS, "crowd3dnet", lambda: Crowd3DNet(TinyTrunk()))
    file = save_network(tmp_path / "base.safetensors", small_network())
    scene = known_scene()
    camera = Camera(*SIZE, scene.camera.focal_px, scene.camera.center_px, (-0.1, 0.0))
    bent = Scene(camera, scene.planes, scene.people)
    options = ["--weights", str(file), "--steps", "1"]
    result = run_command(tmp_path, monkeypatch, *options, scene=bent)
    assert result.exit_code == 2 and "distortion" in result.output
