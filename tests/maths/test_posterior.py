"""The matrix Fisher distribution against Monte Carlo, finite differences and naive quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import i0e
from scipy.stats import spearmanr
from torch import Tensor

from crowd3d.maths import posterior
from crowd3d.maths.rotation import quaternion_to_matrix

Triple = tuple[float, float, float]
SHAPES: list[Triple] = [
    (0, 0, 0),
    (1, 0.5, -0.3),
    (5, 2, 1),
    (30, 20, -15),
    (30, 0, 0),
    (20, 20, 20),
]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform_rotations(count: int, seed: int) -> Tensor:
    q = torch.randn(count, 4, generator=seeded(seed), dtype=torch.float64)
    return quaternion_to_matrix(torch.nn.functional.normalize(q, dim=-1))


def fisher(s: Triple, seed: int = 0) -> Tensor:
    """U diag(s) V^T with random U, V."""
    U, V = uniform_rotations(2, seed)
    return U @ torch.diag(torch.tensor(s, dtype=torch.float64)) @ V.T


def naive_log_c(s: Triple, order: tuple[int, int, int]) -> float:
    """The Bessel integral as printed, 20,000 midpoints, for one order of the singular values."""
    si, sj, sk = (s[i] for i in order)
    u = (np.arange(20_000) + 0.5) / 10_000 - 1
    a, b = abs(si - sj) / 2 * (1 - u), abs(si + sj) / 2 * (1 + u)
    exponent = a + b + sk * u - sum(s)
    return float(np.log(np.mean(i0e(a) * i0e(b) * np.exp(exponent))) + sum(s))


@pytest.mark.parametrize("s", SHAPES)
def test_log_normalizer_is_the_integral_in_every_order(s: Triple) -> None:
    log_c = posterior.log_normalizer_and_moments(torch.tensor(s, dtype=torch.float64))[0].item()
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        assert log_c == pytest.approx(naive_log_c(s, order), abs=1e-6)


@pytest.mark.parametrize("s", SHAPES[:4])
def test_log_normalizer_against_monte_carlo(s: Triple) -> None:
    # Importance sampling from a wider density of the same family keeps the variance small.
    F, wide = fisher(s), fisher(tuple(0.7 * x for x in s))  # type: ignore[arg-type]
    R = posterior.sample(wide, 200_000, seeded(1))
    log_weight = ((F - wide) * R).sum((-1, -2))
    estimate = torch.logsumexp(log_weight, 0) - math.log(len(R)) + posterior.log_normalizer(wide)
    assert posterior.log_normalizer(F).item() == pytest.approx(estimate.item(), abs=0.02)


def test_uniform_rotations_agree_with_a_small_parameter() -> None:
    F = fisher((2.0, 1.0, -0.5))
    R = uniform_rotations(400_000, 2)
    estimate = torch.logsumexp((F * R).sum((-1, -2)), 0) - math.log(len(R))
    assert posterior.log_normalizer(F).item() == pytest.approx(estimate.item(), abs=0.02)


def test_huge_concentrations_stay_finite() -> None:
    s = torch.tensor([[1e6, 1e6, 1e6], [1e6, 0, 0], [1e5, 10, -9]])
    log_c, moments = posterior.log_normalizer_and_moments(s)
    assert torch.isfinite(log_c).all() and torch.isfinite(moments).all()
    assert (moments.abs() <= 1 + 1e-5).all()


def test_gradients_against_finite_differences() -> None:
    F = torch.stack([fisher(s, seed) for seed, s in enumerate(SHAPES[1:5])]).requires_grad_()
    R = uniform_rotations(4, 3)
    assert torch.autograd.gradcheck(lambda F: posterior.nll(R, F), F, atol=1e-4)
    sharp = F[:3].detach().requires_grad_()  # the mode of (30, 0, 0) is not unique
    assert torch.autograd.gradcheck(posterior.mode, sharp, atol=1e-4)


def test_gradient_of_the_likelihood_is_mean_minus_rotation() -> None:
    F = fisher((30, 20, -15)).requires_grad_()
    R = uniform_rotations(1, 4)[0]
    posterior.nll(R, F).backward()
    assert F.grad is not None
    torch.testing.assert_close(F.grad, posterior.mean_rotation(F.detach()) - R)


@pytest.mark.parametrize("s", [*SHAPES, (400, 100, 50), (1000, 3, -2)])
def test_samples_have_the_right_mean(s: Triple) -> None:
    F = fisher(s, 5)
    R = posterior.sample(F, 200_000, seeded(6))
    torch.testing.assert_close(R.mean(0), posterior.mean_rotation(F), atol=0.005, rtol=0)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(R[:100] @ R[:100].mT, eye.expand(100, 3, 3), atol=1e-9, rtol=0)


def acceptance(precision: Tensor, b: Tensor) -> float:
    """Share of proposals from the angular central Gaussian of parameter b that are kept."""
    omega = 1 + 2 * precision / b
    gauss = torch.randn(50_000, 4, generator=seeded(7), dtype=torch.float64)
    q = torch.nn.functional.normalize(gauss / omega.sqrt(), dim=-1)
    log_bound = -(4 - b) / 2 + 2 * torch.log(4 / b)
    ratio = -(precision * q**2).sum(-1) + 2 * torch.log((omega * q**2).sum(-1)) - log_bound
    assert ratio.max() <= 1e-9  # it is an envelope
    return ratio.exp().mean().item()


def test_sampler_accepts_about_half_and_repeats() -> None:
    for s in [*SHAPES[1:], (400, 100, 50)]:
        sums = posterior._pair_sums(torch.tensor(s, dtype=torch.float64))
        precision = torch.cat([sums.new_zeros(1), 2 * sums])[None]
        b = posterior._envelope_parameter(precision)
        assert (1 / (b[:, None] + 2 * precision)).sum().item() == pytest.approx(1, abs=1e-6)
        best, usual = acceptance(precision, b), acceptance(precision, torch.full_like(b, 1.5))
        # The usual choice b = 1.5 is no better; once a rotation is known at all, both are in the band.
        assert best > 0.4 and best > usual - 0.01
        assert best < 0.7 or s[1] + s[2] < 2
    F = fisher((30, 20, 5))
    once, again = (posterior.sample(F, 50, seeded(8)) for _ in range(2))
    assert torch.equal(once, again)


def test_bone_observation_is_conjugate() -> None:
    F = fisher((8, 4, 2), 9)
    rest, seen = torch.nn.functional.normalize(
        torch.randn(2, 3, generator=seeded(10)).double(), dim=-1
    )
    kappa = torch.tensor([6.0], dtype=torch.float64)
    after = posterior.observe_bones(F, seen[None], rest[None], kappa)
    R = posterior.sample(F, 400_000, seeded(11))
    weight = torch.softmax(kappa * (R @ rest) @ seen, dim=0)
    weighted = (weight[:, None, None] * R).sum(0)
    expected = posterior.mean_rotation(after)
    torch.testing.assert_close(weighted, expected, atol=0.002, rtol=0)
    wrong = posterior.mean_rotation(posterior.observe_bones(F, rest[None], seen[None], kappa))
    assert (weighted - wrong).abs().max() > 0.02  # d and l exchanged is another distribution


def test_bone_concentration_is_the_small_angle_formula() -> None:
    length, sigma = torch.tensor(0.45), torch.tensor(0.02)
    kappa = posterior.bone_concentration(length, sigma, sigma)
    ends = torch.randn(2, 100_000, 3, generator=seeded(12)) * sigma
    bone = ends[1] - ends[0] + torch.tensor([0, 0, 0.45])
    swing = torch.atan2(bone[:, 0], bone[:, 2])
    assert swing.var().item() == pytest.approx(1 / kappa.item(), rel=0.03)


@given(
    values=st.lists(st.floats(-50, 50, allow_nan=False), min_size=9, max_size=9),
    rank=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_any_matrix_has_a_mode_and_finite_gradients(values: list[float], rank: int) -> None:
    matrix = torch.tensor(values, dtype=torch.float64).reshape(3, 3)
    U, s, Vh = torch.linalg.svd(matrix)
    F = (U * torch.where(torch.arange(3) < rank, s, 0.0)) @ Vh
    F.requires_grad_()
    log_c, mode = posterior.log_normalizer_and_mode(F)
    (log_c + mode.sum()).backward()
    assert F.grad is not None and torch.isfinite(F.grad).all() and torch.isfinite(log_c)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(mode @ mode.mT, eye, atol=1e-9, rtol=0)
    assert torch.linalg.det(mode).item() == pytest.approx(1.0)
    rotated = posterior.sample(F.detach(), 5, seeded(13))
    assert torch.isfinite(rotated).all()


def test_proper_svd_keeps_the_matrix() -> None:
    F = torch.randn(200, 3, 3, generator=seeded(14), dtype=torch.float64)
    U, s, V = posterior.proper_svd(F)
    torch.testing.assert_close(U @ torch.diag_embed(s) @ V.mT, F)
    for Q in (U, V):
        torch.testing.assert_close(torch.linalg.det(Q), torch.ones(200, dtype=torch.float64))
    assert (s[:, 0] >= s[:, 1]).all() and (s[:, 1] >= s[:, 2].abs() - 1e-12).all()


@pytest.mark.parametrize("s", [(0, 0, 0), (5, 2, -1), (100, 30, 5), (400, 100, 50), (50, 0, 0)])
def test_credible_angle_holds_its_mass(s: Triple) -> None:
    F = fisher(s, 15)
    R = posterior.sample(F, 100_000, seeded(16))
    angle = posterior.angle_between(R, posterior.mode(F))
    for mass in (0.5, 0.9):
        inside = (angle <= posterior.credible_angle(F, mass)).double().mean().item()
        assert inside == pytest.approx(mass, abs=0.01)
    expected = (1 - torch.cos(angle)).mean().item()
    assert posterior.dispersion(F).item() == pytest.approx(expected, abs=0.01)


def people_with_known_noise() -> tuple[Tensor, Tensor]:
    """F (400, 3, 3) of very different certainty, and one true rotation each."""
    spread = torch.rand(400, generator=seeded(17), dtype=torch.float64) * 5
    shape = torch.tensor([1.0, 0.6, 0.2], dtype=torch.float64)
    frames = uniform_rotations(800, 18).reshape(2, 400, 3, 3)
    F = frames[0] @ torch.diag_embed(spread.exp()[:, None] * shape) @ frames[1].mT
    return F, posterior.sample(F, 1, seeded(19))[0]


def test_calibration_and_its_negative_control() -> None:
    F, truth = people_with_known_noise()

    def coverage(F: Tensor) -> float:
        angle = posterior.angle_between(posterior.mode(F), truth)
        return float((angle <= posterior.credible_angle(F, 0.9)).double().mean())

    assert 0.87 <= coverage(F) <= 0.93
    assert coverage(F.roll(1, 0)) < 0.5  # somebody else's posterior


def test_dispersion_predicts_errors_and_a_constant_one_does_not() -> None:
    F, truth = people_with_known_noise()
    angle = posterior.angle_between(posterior.mode(F), truth)
    assert spearmanr(posterior.dispersion(F), angle).statistic > 0.4
    # A fixed kappa swamps what F knows: the order of the dispersions is then nearly lost.
    bones = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    kappa = torch.full((400, 3), 1e4, dtype=torch.float64)
    fixed = posterior.observe_bones(
        0 * F, posterior.mode(F) @ bones, bones.expand(400, 3, 3), kappa
    )
    assert posterior.dispersion(fixed).std() < 1e-6


def observed_bones(kappa: float | None) -> tuple[float, float]:
    """Coverage of 90 % balls, and Spearman(dispersion, error) of the occluded.

    Joints with two bones whose ends are measured with a known error, 1 cm where seen, up to 40 cm
    where occluded, and little knowledge beforehand.

    Args:
        kappa: concentration taken for every bone; None for the one that the errors imply.
    """
    count = 3000
    frames = uniform_rotations(2 * count, 31).reshape(2, count, 3, 3)
    prior = (
        frames[0] @ torch.diag(torch.tensor([1.0, 0.6, 0.2], dtype=torch.float64)) @ frames[1].mT
    )
    truth = posterior.sample(prior, 1, seeded(32))[0]
    bones = torch.tensor([[0.04, 0.40, 0.0], [0.24, -0.05, 0.02]], dtype=torch.float64)
    length = bones.norm(dim=-1)
    sigma = 0.01 * 40 ** torch.rand(count, generator=seeded(33), dtype=torch.float64)
    noise = torch.randn(2, count, 2, 3, generator=seeded(34), dtype=torch.float64)
    ends = bones @ truth.mT + sigma[:, None, None] * (noise[0] - noise[1])
    implied = posterior.bone_concentration(length, sigma[:, None], sigma[:, None])
    F = posterior.observe_bones(
        prior,
        torch.nn.functional.normalize(ends, dim=-1),
        (bones / length[:, None]).expand(count, 2, 3),
        implied if kappa is None else torch.full_like(implied, kappa),
    )
    angle = posterior.angle_between(posterior.mode(F), truth)
    covered = (angle <= posterior.credible_angle(F, 0.9)).double().mean()
    occluded = sigma > 0.04
    order = spearmanr(posterior.dispersion(F)[occluded], angle[occluded]).statistic
    return float(covered), float(order)


def test_uncertainty_follows_from_the_error_of_the_joints() -> None:
    covered, order = observed_bones(None)
    assert 0.87 <= covered <= 0.93 and order > 0.5
    # Control: one concentration for everybody knows neither how much nor who.
    covered, order = observed_bones(100.0)
    assert covered < 0.6 and order < 0.4


@pytest.mark.parametrize(
    "s", [(0, 0, 0), (9, 0, 0), (9, 4, 4), (9, 4, -4), (7, 7, 7), (7, 7, -7), (1e5, 1e5, -1e5)]
)
def test_degenerate_matrices_are_no_exception(s: Triple) -> None:
    """F = 0, of rank one, with equal singular values, with a negative determinant."""
    F = fisher(s, 35).requires_grad_()
    log_c, mode = posterior.log_normalizer_and_mode(F)
    (log_c + (mode * torch.arange(9.0).reshape(3, 3)).sum()).backward()
    assert F.grad is not None and torch.isfinite(F.grad).all()
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(mode @ mode.mT, eye, atol=1e-9, rtol=0)
    assert torch.linalg.det(mode).item() == pytest.approx(1.0)
    F = F.detach()
    for values in (posterior.mean_rotation(F), posterior.sample(F, 20, seeded(36))):
        assert torch.isfinite(values).all()
    assert torch.isfinite(posterior.dispersion(F)) and torch.isfinite(posterior.credible_angle(F))


def test_fusing_two_measurements_beats_the_better_one() -> None:
    truth = uniform_rotations(4000, 20)
    eye = torch.eye(3, dtype=torch.float64)
    seen = [truth @ posterior.sample(s * eye, 4000, seeded(21 + s)) for s in (60, 15)]
    fused = sum(s * R for s, R in zip((60.0, 15.0), seen, strict=True))
    assert isinstance(fused, Tensor)
    single = [posterior.angle_between(R, truth).mean() for R in seen]
    assert posterior.angle_between(posterior.mode(fused), truth).mean() < 0.95 * min(single)
    contrary = 60 * seen[1] + 15 * seen[0]  # the weights exchanged
    assert posterior.angle_between(posterior.mode(contrary), truth).mean() > min(single)
