"""Training of the lift: errors of keypoints, data, the loop, checkpoints, calibration, recipes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from crowd3d import body, lift
from crowd3d.body.rig import Rig, rig_of
from crowd3d.body.tree import COCO_MIRROR
from crowd3d.data.cmu import Clip
from crowd3d.errors import ModelError, OutputError
from crowd3d.maths import posterior
from crowd3d.models.lift_net import LiftNet, normalise
from crowd3d.training.common.keypoint_noise import PART, Clean, NoiseRecipe, spoil
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.lift import data as lift_data
from crowd3d.training.lift import fit as lift_fit
from crowd3d.training.lift import metrics as lift_metrics
from crowd3d.training.lift.loss import LossWeights, lift_loss
from crowd3d.training.lift.recipe import Recipe, read_recipe
from crowd3d.training.lift.train import save_lift
from tiling import COCO_SIGMAS

QUIET = NoiseRecipe(
    scatter=0.0,
    jitter=(0.0,) * 3,
    miss=(0.0,) * 3,
    inversion=(0.0,) * 3,
    swap=(0.0,) * 3,
    side_flip=0.0,
    drop=0.0,
    covered_legs=0.0,
    covered_side=0.0,
    cut=0.0,
    covered_block=0.0,
    score_lie=0.0,
)
TINY = Recipe(
    seed=3,
    steps=6,
    batch=32,
    warmup=2,
    network={"width": 16, "depth": 1},
    poses=lift_data.PoseRecipe(everyday=300),
)


@pytest.fixture(scope="module")
def rig() -> Rig:
    return rig_of(body.load("open", level="crowd"))


@pytest.fixture(scope="module")
def bank(rig: Rig) -> lift_data.Bank:
    return lift_data.build_bank([], TINY.poses, rig, 0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def people(count: int) -> Clean:
    uv = torch.rand(1, 17, 2, generator=seeded(0)) * torch.tensor([0.4, 1.0])
    uv = uv.repeat(count, 1, 1)
    return Clean(uv, torch.ones(count), torch.zeros(count, 17, dtype=torch.bool))


def similarity(clean: Clean, keypoints: Tensor) -> Tensor:
    """Object keypoint similarity (N, 17) of spoiled to true places."""
    extent = (clean.uv.amax(1) - clean.uv.amin(1)).clamp_min(0.2).prod(-1)
    error = (keypoints[..., :2] - clean.uv).norm(dim=-1)
    sigma = 2 * torch.tensor(COCO_SIGMAS, dtype=torch.float32)
    return torch.exp(-(error**2) / (2 * extent[:, None] * sigma**2))


def test_no_noise_changes_nothing() -> None:
    clean = people(20)
    keypoints = spoil(clean, QUIET, seeded(1))
    torch.testing.assert_close(keypoints[..., :2], clean.uv)
    assert (keypoints[..., 2] > 0).all()


@pytest.mark.parametrize(("kind", "low", "high"), [("jitter", 0.5, 0.85), ("miss", 0.1, 0.5)])
def test_rings_have_their_similarity(kind: str, low: float, high: float) -> None:
    clean = people(200)
    keypoints = spoil(clean, dataclasses.replace(QUIET, **{kind: (1.0,) * 3}), seeded(2))
    seen = similarity(clean, keypoints)
    assert seen.min() > low - 1e-3 and seen.max() < high + 1e-3


def test_inversion_goes_to_the_mirror_joint() -> None:
    clean = people(200)
    keypoints = spoil(clean, dataclasses.replace(QUIET, inversion=(1.0,) * 3), seeded(3))
    target = dataclasses.replace(clean, uv=clean.uv[:, list(COCO_MIRROR)])
    assert similarity(target, keypoints).min() > 0.55


def test_errors_come_as_often_as_the_recipe_says() -> None:
    clean = people(20_000)
    recipe = dataclasses.replace(
        QUIET, jitter=(0.05, 0.10, 0.15), miss=(0.02, 0.04, 0.06), drop=0.03
    )
    keypoints = spoil(clean, recipe, seeded(4))
    assert (keypoints[..., 2] == 0).float().mean().item() == pytest.approx(0.03, abs=0.005)
    moved = ((keypoints[..., :2] - clean.uv).norm(dim=-1) > 1e-6) & (keypoints[..., 2] > 0)
    for part, expected in enumerate((0.07, 0.14, 0.21)):
        joints = [j for j in range(17) if PART[j] == part]
        assert moved[:, joints].float().mean().item() == pytest.approx(0.97 * expected, abs=0.02)


def test_scores_know_part_of_the_error() -> None:
    clean = people(5000)
    keypoints = spoil(clean, NoiseRecipe(), seeded(5))
    error = (keypoints[..., :2] - clean.uv).norm(dim=-1)
    seen = keypoints[..., 2] > 0.02
    good = seen & (error < error[seen].median())
    assert keypoints[..., 2][good].mean() > 1.15 * keypoints[..., 2][seen & ~good].mean()


def test_photograph_agrees_with_the_lift_s_frames(rig: Rig, bank: lift_data.Bank) -> None:
    """Exact keypoints, projected again from what the batch calls the truth, are the keypoints."""
    from crowd3d.body.rig import pose_rig, with_shape
    from crowd3d.lift.keypoint_fit import virtual_axes

    poses = lift_data.draw_poses(bank, TINY.poses, 40, seeded(6))
    betas = lift_data.draw_betas(TINY.population, 40, seeded(7), poses.device)
    batch = lift_data.photograph(rig, poses, betas, TINY.camera, None, seeded(8))
    points = pose_rig(rig, batch.rotations, betas).points[:, :17]
    torso = points[:, [5, 6, 11, 12]].mean(1)
    seen = (points - torso[:, None]) @ virtual_axes(batch.elevation).mT
    distance = (batch.range_statures * with_shape(rig.stature, betas))[:, None]
    # Only the torso's place sideways is free: solve it from the torso's own keypoints.
    uv = batch.keypoints[..., :2]
    center = torch.zeros(40, 2)
    for _ in range(4):
        depth = distance[..., None] + seen[..., 2:]
        projected = (seen[..., :2] + center[:, None] * distance[..., None]) / depth
        center = center + (uv - projected).mean(1)
    torch.testing.assert_close(projected, uv, atol=3e-3, rtol=0)
    wrong = (seen[..., :2] * torch.tensor([-1.0, 1.0])) / depth
    assert (wrong - wrong.mean(1, keepdim=True) - uv + uv.mean(1, keepdim=True)).abs().max() > 0.02


def test_learning_lowers_the_loss(rig: Rig, bank: lift_data.Bank) -> None:
    recipe = dataclasses.replace(TINY, steps=40, batch=128, network={"width": 48, "depth": 1})

    def loss_of(net: LiftNet) -> float:
        batch = lift_fit.draw(bank, rig, recipe, 512, seeded(9))
        seen = normalise(batch.keypoints, batch.elevation)
        with torch.no_grad():
            return float(lift_loss(net(seen.features), seen, batch, rig, LossWeights())[0])

    torch.manual_seed(recipe.seed)
    untrained = LiftNet(**recipe.network)
    assert loss_of(lift_fit.fit(rig, bank, recipe)) < loss_of(untrained) - 1.0


def test_a_stopped_run_goes_on_exactly(rig: Rig, bank: lift_data.Bank, tmp_path: Path) -> None:
    whole = lift_fit.fit(rig, bank, TINY, RunFolder(tmp_path, "whole"), check_every=3)

    class Stop(Exception):
        pass

    def stop(net: LiftNet) -> dict[str, float]:
        raise Stop

    with pytest.raises(Stop):
        lift_fit.fit(rig, bank, TINY, RunFolder(tmp_path, "parts"), check=stop, check_every=3)
    steps = []
    run = RunFolder(tmp_path, "parts", resume=True)
    resumed = lift_fit.fit(rig, bank, TINY, run, check_every=3, on_step=lambda: steps.append(1))
    assert len(steps) == TINY.steps - 3  # the others were done before the stop
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert run.rows()[-1]["step"] == TINY.steps
    another = dataclasses.replace(TINY, seed=4)
    other = lift_fit.fit(rig, bank, another)
    assert not torch.equal(next(other.parameters()), next(whole.parameters()))
    with pytest.raises(OutputError, match="settings"):
        lift_fit.fit(rig, bank, another, RunFolder(tmp_path, "parts", resume=True))


def test_weights_survive_the_file(rig: Rig, bank: lift_data.Bank, tmp_path: Path) -> None:
    net = lift_fit.fit(rig, bank, TINY)
    save_lift(net, TINY.network, {"note": "test"}, tmp_path / "lift.safetensors")
    loaded = lift.load(tmp_path / "lift.safetensors")
    assert loaded.facts == {"note": "test"}
    batch = lift_fit.draw(bank, rig, TINY, 16, seeded(10))
    a, b = (x(batch.keypoints, batch.elevation) for x in (lift.Lift(net), loaded))
    torch.testing.assert_close(a.fisher, b.fisher, atol=0.1, rtol=0.02)


def test_calibration_finds_a_wrong_temperature(rig: Rig, bank: lift_data.Bank) -> None:
    """Truth drawn from the network's own posterior, sharpened threefold: the factor must be 3."""
    recipe = dataclasses.replace(TINY, steps=30, batch=128)
    net = lift_fit.fit(rig, bank, recipe)
    batch = lift_fit.draw(bank, rig, recipe, 400, seeded(11))
    fisher = lift.Lift(net)(batch.keypoints, batch.elevation).fisher
    truth = posterior.sample(3 * fisher, 1, seeded(12))[0]
    lift_fit.calibrate(net, dataclasses.replace(batch, rotations=truth))
    assert net.temperature.median().item() == pytest.approx(3.0, rel=0.15)


def test_shipped_recipe_keeps_training_and_judging_apart() -> None:
    recipe = read_recipe()
    assert not set(recipe.held_out) & set(recipe.validation)
    names = ["01_01", "01_05", "03_01", "humanoid3d_run", "humanoid3d_jog", "humanoid3d_kick"]
    clips = [Clip(n, np.tile(np.eye(3), (2, 24, 1, 1)), 30.0, np.zeros((2, 3))) for n in names]
    train, validation, held_out = lift_fit.split(clips, recipe)
    assert [c.name for c in train] == ["01_01", "humanoid3d_jog"]
    assert [c.name for c in validation] == ["01_05", "humanoid3d_kick"]
    assert [c.name for c in held_out] == ["03_01", "humanoid3d_run"]


def test_damaged_weights_are_named_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        lift.load(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(ModelError):
        lift.load(tmp_path / "bad.safetensors")
    save_lift(LiftNet(16, 1), {"width": 32, "depth": 1}, {}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="fit"):
        lift.load(tmp_path / "other.safetensors")


def test_the_embedded_lift_is_read_once_and_files_each_time(tmp_path: Path) -> None:
    assert lift.load() is lift.load() is lift.load(None, "cpu")
    file = tmp_path / "lift.safetensors"
    save_lift(LiftNet(16, 1), {"width": 16, "depth": 1}, {}, file)
    assert lift.load(file) is not lift.load(file)


def test_procrustes_undoes_a_similarity() -> None:
    points = torch.randn(5, 14, 3, generator=seeded(13))
    turn = posterior.sample(torch.zeros(5, 3, 3), 1, seeded(14))[0]
    moved = 2.5 * points @ turn.mT + 3.0
    torch.testing.assert_close(lift_metrics.procrustes(moved, points), points, atol=1e-4, rtol=0)
    mirror = points * torch.tensor([-1.0, 1.0, 1.0])
    assert (lift_metrics.procrustes(mirror, points) - points).norm(dim=-1).mean() > 0.1
