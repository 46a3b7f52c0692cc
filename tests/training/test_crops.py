"""Training of crowdnet-s and rootnet-s: shards, 2D poses told, the loop, going on after a stop, its worth."""

import dataclasses

import numpy as np
import pytest
import torch

from crowd3d import body, lift, models
from crowd3d.body.rig import rig_of
from crowd3d.body.tree import JOINT_MIRROR
from crowd3d.config import Config
from crowd3d.errors import ConfigError, DataError, OutputError
from crowd3d.lift.people import lift_people
from crowd3d.maths import posterior
from crowd3d.models.crowdnet_s import CROP_H, CROP_W, CrowdNetS
from crowd3d.picture import person_windows
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.common.schedule import learning_rate
from crowd3d.training.crops import data, prompts
from crowd3d.training.crops import fit as crowdnet_fit
from crowd3d.training.crops import scene as scenes
from crowd3d.training.crops import steps as crop_steps
from crowd3d.training.crops.data import read_shards
from crowd3d.training.crops.examples import Looks, in_a_mirror, load_examples, seen_otherwise
from crowd3d.training.crops.recipe import CrowdNetRecipe, read_recipe
from crowd3d.training.crops.train import save_head
from crowd3d.training.lift.metrics import joints_of

SMALL = scenes.SceneRecipe(width=480, height=360, people=12, poses=300, person_px=110.0, wrong=1)
TINY = CrowdNetRecipe(seed=3, steps=4, batch=6, warmup=1, network={"width": 16, "depth": 1})


@pytest.fixture(scope="module")
def rig():
    return rig_of(body.load("open", level="crowd"))


def test_covered_shares_match_a_naive_count():
    rng = np.random.default_rng(3)
    low = rng.integers(0, 20, (6, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 12, (6, 2))], axis=1).astype(float)
    cells = np.zeros((6, 40, 40), bool)
    for i, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        cells[i, y1:y2, x1:x2] = True
    share = prompts.covered(boxes)
    for i in range(6):
        for j in range(6):
            naive = 0.0 if i == j else (cells[i] & cells[j]).sum() / cells[i].sum()
            assert share[i, j] == pytest.approx(naive)


def test_a_picture_in_memory_reads_like_a_file():
    gradient = np.zeros((60, 80, 3), np.uint8)
    gradient[..., 0], gradient[..., 1] = np.arange(80)[None], np.arange(60)[:, None]
    picture = scenes.PictureArray(gradient)
    np.testing.assert_array_equal(picture.read(10, 20, 8, 6), gradient[20:26, 10:18])
    bigger = picture.read(10, 20, 8, 6, (16, 12)).astype(int)
    assert abs(bigger[0, :, 0] - (10 + (np.arange(16) + 0.5) / 2 - 0.5)).max() <= 1
    assert (picture.read(-5, -5, 8, 8)[:5, :5] == gradient[0, 0]).all()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    poses = scenes.rule_poses(SMALL.poses, 1)
    counts = [data.write_shard(folder, SMALL, seed, poses) for seed in (81001, 81002)]
    return folder, poses, counts


def test_shards_are_made_once_and_always_the_same(rows, tmp_path):
    folder, poses, counts = rows
    assert data.write_shard(folder, SMALL, 81001, poses) == counts[0]  # from the file
    assert data.write_shard(tmp_path, SMALL, 81001, poses) == counts[0]
    assert (tmp_path / "00081001.npz").read_bytes() == (folder / "00081001.npz").read_bytes()
    (shard,) = read_shards(folder, range(81001, 81002))
    assert shard["pixels"].shape == (counts[0], CROP_H, CROP_W, 3)
    turned = torch.from_numpy(shard["rotations"])
    torch.testing.assert_close(
        turned @ turned.mT, torch.eye(3).expand_as(turned), atol=1e-5, rtol=0
    )
    # The true root and the lift's are in the same frame: most people face roughly the right way.
    guess = posterior.mode(torch.from_numpy(shard["fisher"]))
    assert posterior.angle_between(guess[:, 0], turned[:, 0]).median() < 0.7


def test_pictures_without_anybody_are_told(tmp_path):
    with pytest.raises(DataError, match="nobody"):
        load_examples([(tmp_path, range(3))])


def test_the_pose_told_decides_who_is_meant(rows, rig):
    """One crop, two people's 2D poses: the answer is that of the one who was asked about."""
    folder, _, counts = rows
    assert min(counts) > 1
    shown = load_examples([(folder, range(81001, 81003))]).rows(slice(None))
    network = models.build("crowdnet-s")
    other = torch.roll(torch.arange(len(shown)), 1)
    asked = ("keypoints", "joints", "fisher", "elevation")
    swapped = {name: getattr(shown, name)[other] for name in asked}
    with torch.inference_mode():
        own, told = shown.ask(network), dataclasses.replace(shown, **swapped).ask(network)

    def error(fisher, rotations):
        return float(posterior.angle_between(posterior.mode(fisher), rotations)[:, :20].mean())

    assert error(own, shown.rotations) < 0.8 * error(own, shown.rotations[other])
    assert error(told, shown.rotations[other]) < 0.8 * error(told, shown.rotations)
    # The control: one pose for all says nothing about who is meant.
    same = own[:1].expand_as(own)
    assert error(same, shown.rotations) > 0.9 * error(same, shown.rotations[other])


def test_a_mirror_shows_mirrored_people(rows, rig):
    """Joints of mirrored rotations are the joints in a mirror; what the head is told is mirrored alike."""
    (shard,) = read_shards(rows[0], range(81001, 81002))
    seen = shard | in_a_mirror(shard)
    betas = torch.from_numpy(shard["betas"])
    plain, other = (joints_of(rig, torch.from_numpy(r["rotations"]), betas) for r in (shard, seen))
    flip = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(other[:, list(JOINT_MIRROR)] * flip, plain, atol=5e-3, rtol=0)
    assert (other - plain).abs().max() > 0.1  # the control
    again = seen | in_a_mirror(seen)
    for name in ("pixels", "keypoints", "joints", "fisher", "rotations"):
        np.testing.assert_allclose(again[name], shard[name], atol=1e-4)
    away = np.linalg.norm(seen["joints"][:, 1, :2] - seen["keypoints"][:, 11, :2], axis=1)
    before = np.linalg.norm(shard["joints"][:, 2, :2] - shard["keypoints"][:, 12, :2], axis=1)
    told = shard["keypoints"][:, 12, 2] > 0
    np.testing.assert_allclose(
        away[told], before[told], atol=1e-3
    )  # the left hip was the right one


def test_crops_seen_otherwise_are_the_same_people(rows):
    (shard,) = read_shards(rows[0], range(81001, 81002))
    seen = seen_otherwise(shard, Looks(mirror=0.0), np.random.default_rng(0))
    same = seen_otherwise(shard, Looks(mirror=0.0), np.random.default_rng(0))
    np.testing.assert_array_equal(seen["pixels"], same["pixels"])
    np.testing.assert_array_equal(seen["keypoints"], shard["keypoints"])
    assert (seen["pixels"] != shard["pixels"]).mean() > 0.5
    turned = seen_otherwise(shard, Looks(mirror=1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(turned["joints"], in_a_mirror(shard)["joints"])


def test_the_temperature_makes_answers_as_sure_as_they_are_right(rows):
    examples = load_examples([(rows[0], range(81001, 81003))])
    network = CrowdNetS(**TINY.network).eval()
    before = crowdnet_fit.coverage(network, examples)
    crowdnet_fit.calibrate(network, examples)
    assert crowdnet_fit.coverage(network, examples) == pytest.approx(0.9, abs=0.01)
    assert abs(before - 0.9) > 0.01 and network.temperature != 1
    with torch.inference_mode():
        told = examples.rows(slice(0, 2))
        torch.testing.assert_close(told.ask(network), network.temperature * told.fisher)


def test_2d_poses_err_as_they_should():
    truth = data.truth_of(scenes.sample_scene(SMALL, 81001, scenes.rule_poses(300, 1)))
    who, rng = np.flatnonzero(truth.inside > 0.9), np.random.default_rng(0)
    tall = (truth.boxes_px[who, 3] - truth.boxes_px[who, 1])[:, None]

    def off(told):
        found = told(truth, who, SMALL, rng)
        gap = np.linalg.norm(found[..., :2] - truth.keypoints_px[who][..., :2], axis=2) / tall
        assert (found[truth.keypoints_px[who][..., 2] == 0] == 0).all()
        assert (found[..., 2] <= 1.05).all() and (found[..., 2] > 0).mean() > 0.5
        return gap[found[..., 2] > 0]

    right, detected, wrong = map(
        off, (prompts.right_poses, prompts.detected_poses, prompts.wrong_poses)
    )
    assert right.max() == 0
    assert 0.01 < np.median(detected) < 0.06 and 0.01 < np.median(wrong) < 0.08
    assert np.quantile(wrong, 0.95) > 0.1  # grossly wrong ones too


def test_windows_that_are_moved_still_show_the_person():
    tile = person_windows.tile_of_pose(np.array([[100.0, 50, 0.9], [150, 250, 0.9]]))
    recipe = dataclasses.replace(SMALL, shift=0.1, zoom=(0.85, 1.3))
    rng = np.random.default_rng(0)
    moved = [prompts.moved(tile, recipe, rng) for _ in range(50)]
    assert prompts.moved(tile, SMALL, rng) == tile
    for other in moved:
        assert other.side_w / other.side_h == pytest.approx(tile.side_w / tile.side_h)
        assert 0.85 <= other.side_h / tile.side_h <= 1.3
        middle = [other.x + other.side_w / 2 - 125, other.y + other.side_h / 2 - 150]
        assert (np.abs(middle) <= 0.1001 * np.array([tile.side_w, tile.side_h])).all()
    assert len({other.x for other in moved}) > 40


def test_recorded_poses_must_be_given_where_the_recipe_wants_them():
    recipe = dataclasses.replace(SMALL, recorded=0.5)
    with pytest.raises(ConfigError, match="motion capture"):
        scenes.cast_poses(recipe, 0)
    made, stored = scenes.rule_poses(SMALL.poses, 0), np.full((7, 24, 3), 0.25)
    both = scenes.cast_poses(recipe, 0, stored)
    assert (both == 0.25).all(axis=(1, 2)).mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_array_equal(both[: len(made)], made)


def test_the_learning_rate_falls_twice_where_there_is_a_restart():
    plain = dataclasses.replace(TINY, steps=100, warmup=5)
    twice = dataclasses.replace(plain, restart=40)
    rates = [crop_steps.rate(twice, step) for step in range(100)]
    assert rates[4] == max(rates) and rates[39] < 0.01 * max(rates) < 0.3 * rates[40]
    assert rates[40:] == [learning_rate(plain, step) for step in range(40, 100)]
    assert [crop_steps.rate(plain, k) for k in range(100)] == [
        learning_rate(plain, k) for k in range(100)
    ]


def test_the_best_average_is_kept_and_not_the_last(rows, rig):
    """Early stopping: a check that gets worse after the first look."""
    examples = load_examples([(rows[0], range(81001, 81002))])
    seen = []

    def check(network):
        seen.append({k: v.clone() for k, v in network.state_dict().items()})
        return {"after_mpjpe_mm": float(len(seen))}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop_steps, "_SAVE_EVERY", 2)
        kept = crowdnet_fit.fit(examples, rig, TINY, check=check).state_dict()
    assert len(seen) == 2
    assert all(torch.equal(kept[k], seen[0][k]) for k in kept)
    assert not all(torch.equal(kept[k], seen[1][k]) for k in kept)


def test_training_goes_on_exactly_where_it_stopped(rows, rig, tmp_path, monkeypatch):
    monkeypatch.setattr(crop_steps, "_SAVE_EVERY", 2)
    examples = load_examples([(rows[0], range(81001, 81002))])
    whole = crowdnet_fit.fit(examples, rig, TINY, RunFolder(tmp_path, "whole"))
    steps = []

    def stop_in_the_third():
        steps.append(len(steps) + 1)
        if steps[-1] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crowdnet_fit.fit(
            examples, rig, TINY, RunFolder(tmp_path, "half"), on_step=stop_in_the_third
        )
    done = []
    run = RunFolder(tmp_path, "half", resume=True)
    resumed = crowdnet_fit.fit(examples, rig, TINY, run, on_step=lambda: done.append(1))
    assert len(done) == TINY.steps - 2  # from the checkpoint after two steps
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, msg=name)
    assert [row["step"] for row in run.rows()] == [2, 4, 4]
    other = examples.picked(torch.arange(len(examples) - 1))
    with pytest.raises(OutputError, match="data"):
        crowdnet_fit.fit(other, rig, TINY, RunFolder(tmp_path, "half", resume=True))


def test_the_head_can_learn(rows, rig):
    examples = load_examples([(rows[0], range(81001, 81002))])
    recipe = dataclasses.replace(
        TINY, steps=15, batch=16, warmup=0, learning_rate=3e-3, average=0.5
    )
    before = crowdnet_fit.measure(CrowdNetS(**TINY.network), examples, rig)
    after = crowdnet_fit.measure(crowdnet_fit.fit(examples, rig, recipe), examples, rig)
    assert before["after_pa_mpjpe_mm"] == pytest.approx(before["before_pa_mpjpe_mm"], rel=1e-3)
    assert after["after_mpjpe_mm"] < after["before_mpjpe_mm"]


def test_weights_can_be_read_back(tmp_path):
    save_head(CrowdNetS(), {"x": 1}, tmp_path / "w.safetensors")
    assert isinstance(models.build("crowdnet-s", tmp_path / "w.safetensors"), CrowdNetS)


def test_lifted_people_are_what_training_sees(rows):
    """The shard's numbers are those that the pipeline would make of the same 2D poses."""
    _, poses, _ = rows
    setting = scenes.sample_scene(SMALL, 81001, poses)
    truth = data.truth_of(setting)
    who = data.chosen(truth, SMALL, np.random.default_rng(0))
    keypoints = prompts.wrong_poses(truth, who, SMALL, np.random.default_rng(1))
    people = lift_people(
        data.as_detections(keypoints, truth.boxes_px[who]),
        scenes.true_fit(setting),
        body.load("open", "crowd"),
        lift.load(),
        Config(),
    )
    assert len(people) > 1
    seen = keypoints[..., 2] > 0
    off = np.linalg.norm(keypoints[..., :2] - truth.keypoints_px[who, :, :2], axis=-1)
    tall = (truth.boxes_px[who, 3] - truth.boxes_px[who, 1])[:, None]
    assert 0.005 < np.median((off / tall)[seen]) < 0.1  # wrong, but not hopeless


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Pictures of seeds that training never saw, in its own style; isolated people too."""
    folder = tmp_path_factory.mktemp("crowd")
    recipe = dataclasses.replace(read_recipe().groups["plain"].scene, isolated=1.0, wrong=1)
    poses = scenes.rule_poses(3000, 2)
    for seed in range(97001, 97005):
        data.write_shard(folder, recipe, seed, poses)
    return load_examples([(folder, range(97001, 97005))])


@pytest.mark.slow
def test_overlapping_people_gain_and_isolated_ones_do_not_lose(crowd, rig):
    network = models.build("crowdnet-s")
    overlapped = crowd.rows(torch.nonzero(crowd.overlap >= 0.3)[:, 0])
    isolated = crowd.rows(torch.nonzero(crowd.overlap < 0.1)[:, 0])
    assert len(overlapped) > 40 and len(isolated) > 15
    gain = crowdnet_fit.measure(network, overlapped, rig)
    assert gain["after_pa_mpjpe_mm"] < 0.9 * gain["before_pa_mpjpe_mm"]
    assert gain["after_mpjpe_mm"] < 0.9 * gain["before_mpjpe_mm"]
    kept = crowdnet_fit.measure(network, isolated, rig)
    assert kept["after_pa_mpjpe_mm"] < 1.02 * kept["before_pa_mpjpe_mm"]
    # The control: the same head, shown other people's crops, helps less.
    other = torch.roll(torch.arange(len(overlapped)), 7)
    maps = {name: getattr(overlapped, name)[other] for name in ("fine", "middle", "coarse")}
    blind = crowdnet_fit.measure(network, dataclasses.replace(overlapped, **maps), rig)
    assert blind["after_pa_mpjpe_mm"] > 1.03 * gain["after_pa_mpjpe_mm"]
