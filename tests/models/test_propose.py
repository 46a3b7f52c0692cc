"""The posterior of rotations: bones set the swing, the prior the twist; wide volumes say less; looks add up."""

import numpy as np
import pytest
import torch
from helpers.paths import ROOT

from crowd3d.maths.posterior import angle_between, credible_angle, dispersion, mode, nll, sample
from crowd3d.maths.rotation import small_turns
from crowd3d.models.backbones.volumes import soft_argmax, soft_argmax_and_spread
from crowd3d.models.propose import CUBE_M
from crowd3d.models.propose_posterior import (
    N_JOINTS,
    PARENTS,
    observed_children,
    posterior,
    volume_kappa,
)

REFERENCE = ROOT / "tests" / "parity" / "data" / "propose.npz"


def turns(shape: tuple[int, ...], scale_rad: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return small_turns(torch.randn(*shape, 3, generator=generator, dtype=torch.float64) * scale_rad)


def rest_joints(count: int) -> torch.Tensor:
    with np.load(REFERENCE) as reference:
        return torch.from_numpy(reference["post_rest"][:1]).double().expand(count, 35, 3)


def posed(rest: torch.Tensor, pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints (B, 35, 3) and orientations (B, 24, 3, 3) of a pose, by forward kinematics."""
    orientation, joints = [pose[:, 0]], [torch.zeros_like(rest[:, 0])]
    for j, p in enumerate(PARENTS[1:], start=1):
        bone = rest[:, j] - rest[:, p]
        joints.append(joints[p] + (orientation[p] @ bone[..., None])[..., 0])
        if j < N_JOINTS:
            orientation.append(orientation[p] @ pose[:, j])
    return torch.stack(joints, 1), torch.stack(orientation, 1)


def prior_of(orientation: torch.Tensor, strength: float) -> torch.Tensor:
    """Isotropic priors about the given orientations, in the published frames."""
    root = orientation[:, :1]
    below = orientation[:, 1:] @ root.transpose(-1, -2)
    return strength * torch.cat([root, below], dim=1)


def test_tree_is_the_published_one():
    with np.load(REFERENCE) as reference:
        assert reference["parents"].tolist() == list(PARENTS)
    children = observed_children()
    assert children[0] == [1, 2, 3] and children[9] == [12, 13, 14]
    assert children[15] == [24, 25, 26, 27, 28]
    assert children[7] == [10] and children[8] == [11]
    assert all(children[j] == [] for j in (10, 11, 22, 23))


def test_exact_joints_and_a_faint_true_prior_give_the_pose():
    rest = rest_joints(8)
    pose = turns((8, 24), 0.5, 0)
    joints, orientation = posed(rest, pose)
    found = posterior(prior_of(orientation, 1e-3), joints, rest)
    assert angle_between(found.pose, pose).max() < 1e-6
    assert angle_between(found.orientation, orientation).max() < 1e-6


def test_bones_set_the_swing_and_the_prior_the_twist():
    """With a wrong prior the seen bones still lie where they were seen."""
    rest = rest_joints(8)
    joints, orientation = posed(rest, turns((8, 24), 0.5, 1))
    wrong = prior_of(orientation @ turns((8, 24), 0.4, 2), 1e-3)
    found = posterior(wrong, joints, rest)
    for j in (1, 2, 4, 5, 16, 17, 18, 19):  # single bones
        child = observed_children()[j][0]
        bone = (found.orientation[:, j] @ (rest[:, child] - rest[:, j])[..., None])[..., 0]
        torch.testing.assert_close(bone, joints[:, child] - joints[:, j], atol=1e-4, rtol=0)
        assert angle_between(found.orientation[:, j], orientation[:, j]).max() > 0.05


def test_frames_of_the_parameters_agree():
    rest = rest_joints(4)
    joints, orientation = posed(rest, turns((4, 24), 0.5, 3))
    found = posterior(prior_of(orientation @ turns((4, 24), 0.2, 4), 20.0), joints, rest)
    assert angle_between(mode(found.in_camera()), found.orientation).max() < 1e-6
    assert angle_between(mode(found.relative()), found.pose).max() < 1e-6
    torch.testing.assert_close(dispersion(found.relative()), dispersion(found.fisher))


def noisy_bodies(seed: int, count: int = 60):
    """Bodies whose joints are seen with a noise that differs from joint to joint, and is known."""
    generator = torch.Generator().manual_seed(seed)
    rest = rest_joints(count)
    joints, orientation = posed(rest, turns((count, 24), 0.4, seed))
    sigma_m = 0.01 * 12 ** torch.rand(count, 34, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, 34, 3, generator=generator, dtype=torch.float64)
    joints = torch.cat([joints[:, :1], joints[:, 1:] + sigma_m[..., None] * noise], dim=1)
    prior = prior_of(orientation @ turns((count, 24), 0.2, seed + 1), 12.0)
    return rest, joints, orientation, prior, sigma_m / CUBE_M


ONE_BONE = [1, 2, 4, 5, 16, 17, 18, 19]
STRENGTH = 12.0  # of an isotropic prior whose axes err by 0.2 radians: 1 / (2 * 0.2^2)


def judged(seed: int, kappa_of) -> tuple[float, float, float]:
    """Share of the truth within the 90 % angle, mean error, mean negative log likelihood.

    As in the published frames, the prior speaks of what remains after the root that the posterior itself found.
    """
    rest, joints, orientation, _, spread = noisy_bodies(seed, count=150)
    noisy = STRENGTH * orientation @ turns((150, 24), 0.2, seed + 1)
    kappa = kappa_of(rest, spread)
    root = posterior(noisy, joints, rest, kappa).orientation[:, :1]
    prior = torch.cat([noisy[:, :1], noisy[:, 1:] @ root.mT], dim=1)
    found = posterior(prior, joints, rest, kappa)
    error = angle_between(found.orientation, orientation)[:, ONE_BONE]
    inside = error < credible_angle(found.fisher[:, ONE_BONE])
    cost = nll(orientation, found.in_camera())[:, ONE_BONE]
    return float(inside.double().mean()), float(error.mean()), float(cost.mean())


@pytest.mark.parametrize("seed", [10, 20, 30])
def test_kappa_from_the_volumes_is_calibrated_and_a_constant_or_a_strangers_is_not(seed):
    shuffle = torch.randperm(34, generator=torch.Generator().manual_seed(seed))
    coverage, error, cost = judged(seed, volume_kappa)
    assert 0.87 < coverage < 0.93
    for control in (
        lambda rest, spread: 100.0,
        lambda r, spread: volume_kappa(r, spread[:, shuffle]),
    ):
        worse_coverage, worse_error, worse_cost = judged(seed, control)
        assert worse_coverage < 0.87
        assert error < worse_error and cost < worse_cost - 0.5


def test_two_looks_added_beat_either():
    rest, joints, orientation, prior, spread = noisy_bodies(20)
    first = posterior(prior, joints, rest, volume_kappa(rest, spread))
    joints, _ = posed(rest, turns((60, 24), 0.4, 20))
    generator = torch.Generator().manual_seed(9)
    joints[:, 1:] += 0.03 * torch.randn(60, 34, 3, generator=generator, dtype=torch.float64)
    prior = prior_of(orientation @ turns((60, 24), 0.2, 77), STRENGTH)
    second = posterior(
        prior, joints, rest, volume_kappa(rest, torch.full_like(spread, 0.03 / CUBE_M))
    )
    fused = mode(first.in_camera() + second.in_camera())
    one, other, both = (
        angle_between(R, orientation).mean() for R in (first.orientation, second.orientation, fused)
    )
    assert both < 0.95 * min(one, other)


def test_samples_spread_as_the_dispersion_says():
    rest, joints, _, prior, spread = noisy_bodies(30, count=3)
    found = posterior(prior, joints, rest, volume_kappa(rest, spread))
    draws = sample(found.fisher, 2000, torch.Generator().manual_seed(0))
    turn = 1 - torch.cos(angle_between(draws, mode(found.fisher)))
    torch.testing.assert_close(turn.mean(0), dispersion(found.fisher), atol=0.02, rtol=0.15)


def test_posterior_is_differentiable():
    rest, joints, _, prior, spread = noisy_bodies(40, count=1)
    kappa = volume_kappa(rest, spread)
    inputs = [x.detach().requires_grad_() for x in (prior, joints, kappa)]
    assert torch.autograd.gradcheck(
        lambda F, x, k: posterior(F, x, rest, k).pose, inputs, atol=1e-3, rtol=1e-2, fast_mode=True
    )


@pytest.mark.parametrize("shape", [(2, 3, 7, 9), (2, 3, 5, 7, 9)])
def test_mean_and_spread_of_a_volume(shape):
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = logits.flatten(2).softmax(-1).reshape(shape).numpy()
    axes = np.meshgrid(*[np.arange(n) for n in shape[2:]], indexing="ij")[::-1]
    place = np.stack([a.ravel() for a in axes], axis=-1)
    flat = p.reshape(*shape[:2], -1)
    mean = flat @ place
    variance = flat @ place**2 - mean**2
    ours, spread = soft_argmax_and_spread(logits)
    np.testing.assert_allclose(ours, mean)
    np.testing.assert_allclose(soft_argmax(logits), mean)
    np.testing.assert_allclose(spread, np.sqrt(variance.mean(-1)))


def test_a_volume_of_one_cell_is_no_surer_than_its_bins():
    rest = rest_joints(1)
    sharp = volume_kappa(rest, torch.zeros(1, 34).double())
    assert torch.isfinite(sharp).all() and sharp[0, 0] == 0 and (sharp[0, 1:] > 0).all()
