"""The matrix Fisher distribution on rotations: p(R | F) = exp(tr(F^T R)) / c(F).

F (..., 3, 3) carries a best rotation and how sure it is about each axis; F = 0 knows nothing.
Products of such densities add their F. Everything works on batches of any shape, in the precision
of its input.

Sources: Mardia & Jupp, Directional Statistics (2000), ch. 13; T. Lee, Bayesian attitude estimation
with the matrix Fisher distribution on SO(3), IEEE TAC 63 (2018); Kent, Ganeiber & Mardia, A new
method to simulate the Bingham and related distributions, arXiv:1310.8110 (2013).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from crowd3d.maths.rotation import quaternion_to_matrix

DEFAULT_NODES = 48  # log c is then exact to 1e-5 even for s = (1e4, 5, -5)
_TAIL = 40.0  # exp(-40) is nothing in double precision
_LEAST_PAIR = 0.1  # s_i + s_j below which the mode's derivative is damped
_CHUNK = 4096  # matrices whose angles are integrated at once: fits a cache
_MAX_ROUNDS = 200  # of rejection; acceptance is above 0.4, so 200 rounds never happen


def proper_svd(F: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """F = U diag(s) V^T with U, V proper rotations.

    Args:
        F: (..., 3, 3).

    Returns:
        U (..., 3, 3), s (..., 3) with s1 >= s2 >= |s3|, V (..., 3, 3). No gradient passes through.
    """
    with torch.no_grad():
        U, s, Vh = torch.linalg.svd(F)
        V = Vh.transpose(-1, -2)
        flip_u, flip_v = torch.linalg.det(U).sign(), torch.linalg.det(V).sign()
        U, V, s = U.clone(), V.clone(), s.clone()
        U[..., :, 2] *= flip_u[..., None]
        V[..., :, 2] *= flip_v[..., None]
        s[..., 2] *= flip_u * flip_v
    return U, s, V


@lru_cache(maxsize=8)
def _legendre(nodes: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre on (0, 1), nodes clustered towards both ends by t = sin^2(pi x / 2)."""
    index = torch.arange(1, nodes, dtype=torch.float64)
    off = index / torch.sqrt(4 * index**2 - 1)  # Golub-Welsch
    values, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    x, weight = (values + 1) / 2, vectors[0] ** 2
    t = torch.sin(math.pi / 2 * x) ** 2
    weight = weight * math.pi / 2 * torch.sin(math.pi * x)
    return t.to(device, dtype), weight.to(device, dtype)


def log_normalizer_and_moments(s: Tensor, nodes: int = DEFAULT_NODES) -> tuple[Tensor, Tensor]:
    """log c and its gradient from proper singular values.

    c(s) = int_{-1}^{1} 1/2 I0((s1-s2)(1-u)/2) I0((s1+s2)(1+u)/2) exp(s3 u) du, relative to the
    uniform distribution (Lee 2018, eq. 12). With t = 1 - u the integrand falls like exp(-(s2+s3)
    t), so the interval is cut where nothing is left, and Bessel functions are exponentially scaled:
    no overflow at any s.

    Args:
        s: (..., 3), s1 >= s2 >= |s3|.
        nodes: quadrature points; 20 are enough for training.

    Returns:
        log c (...), and d log c / d s (..., 3) = E[Q_ii] of Q = U^T R V.
    """
    s1, s2, s3 = (s[..., i, None] for i in range(3))
    y, weight = _legendre(nodes, s.dtype, s.device)
    decay = (s2 + s3).clamp_min(_TAIL / 2)
    t = y * (_TAIL / decay)
    a, b = (s1 - s2) / 2 * t, (s1 + s2) / 2 * (2 - t)
    i0_a, i0_b = torch.special.i0e(a), torch.special.i0e(b)
    density = weight * i0_a * i0_b * torch.exp(-(s2 + s3) * t)
    total = density.sum(-1, keepdim=True)
    density = density / total
    mean_a = (density * t * torch.special.i1e(a) / i0_a).sum(-1) / 2
    mean_b = (density * (2 - t) * torch.special.i1e(b) / i0_b).sum(-1) / 2
    mean_u = 1 - (density * t).sum(-1)
    log_c = torch.log(total[..., 0] * (_TAIL / decay[..., 0]) / 2) + s.sum(-1)
    return log_c, torch.stack([mean_a + mean_b, mean_b - mean_a, mean_u], dim=-1)


class _Fisher(torch.autograd.Function):
    """log c(F) and mode(F) from one SVD, through which nothing is differentiated.

    The gradient of log c is E[R]. That of the mode is the polar factor's, bounded where s2 + s3 >
    0.
    """

    @staticmethod
    def forward(ctx: Any, F: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
        U, s, V = proper_svd(F)
        log_c, moments = log_normalizer_and_moments(s, nodes)
        ctx.save_for_backward(U, s, V, moments)
        return log_c, U @ V.transpose(-1, -2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        U, s, V, moments = ctx.saved_tensors
        local = U.transpose(-1, -2) @ grads[1] @ V
        pair = (s[..., :, None] + s[..., None, :]).clamp_min(_LEAST_PAIR)
        inner = (local - local.transpose(-1, -2)) / pair
        inner = inner + torch.diag_embed(grads[0][..., None] * moments)
        return U @ inner @ V.transpose(-1, -2), None


def log_normalizer_and_mode(F: Tensor, nodes: int = DEFAULT_NODES) -> tuple[Tensor, Tensor]:
    """log c(F) (...) and mode(F) (..., 3, 3) for the price of one SVD; both differentiable once."""
    log_c, rotation = _Fisher.apply(F, nodes)  # type: ignore[no-untyped-call]
    return log_c, rotation


def log_normalizer(F: Tensor, nodes: int = DEFAULT_NODES) -> Tensor:
    """log c(F) (...) of F (..., 3, 3); differentiable once, with gradient E[R]."""
    return log_normalizer_and_mode(F, nodes)[0]


def mode(F: Tensor) -> Tensor:
    """Most probable rotation (..., 3, 3); differentiable. The identity for F = 0."""
    return log_normalizer_and_mode(F, 1)[1]


def mean_rotation(F: Tensor, nodes: int = DEFAULT_NODES) -> Tensor:
    """E[R] (..., 3, 3), not itself a rotation."""
    U, s, V = proper_svd(F)
    return U * log_normalizer_and_moments(s, nodes)[1][..., None, :] @ V.transpose(-1, -2)


def nll(R: Tensor, F: Tensor, nodes: int = DEFAULT_NODES) -> Tensor:
    """-log p(R | F) (...) relative to the uniform distribution; gradient in F is E[R] - R."""
    return log_normalizer(F, nodes) - (F * R).sum((-1, -2))


def sample(F: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Independent rotations from MF(F).

    Unit quaternions in the singular frame follow a Bingham distribution; it is sampled by rejection
    from an angular central Gaussian whose one parameter is chosen best for each F (Kent et al.
    2013).

    Args:
        F: (..., 3, 3).
        count: rotations for each F.
        generator: seeded source of randomness, on the device of F.

    Returns:
        (count, ..., 3, 3).
    """
    U, s, V = proper_svd(F)
    precision = torch.stack([torch.zeros_like(s[..., 0]), *_pair_sums(s).mul(2).unbind(-1)], dim=-1)
    flat = precision.reshape(-1, 4).repeat(count, 1)
    Q = quaternion_to_matrix(_sample_bingham(flat, generator)).reshape(count, *F.shape)
    return U @ Q @ V.transpose(-1, -2)


def _pair_sums(s: Tensor) -> Tensor:
    """(s2+s3, s1+s3, s1+s2): inverse variances of small turns about the three singular axes."""
    return (s.sum(-1, keepdim=True) - s).clamp_min(0)


def _sample_bingham(precision: Tensor, generator: torch.Generator | None) -> Tensor:
    """Unit quaternions (N, 4) with density exp(-q^T diag(precision) q); precision (N, 4) >= 0."""
    b = _envelope_parameter(precision)
    omega = 1 + 2 * precision / b[:, None]
    log_bound = -(4 - b) / 2 + 2 * torch.log(4 / b)
    out = torch.empty_like(precision)
    pending = torch.arange(len(precision), device=precision.device)
    for _ in range(_MAX_ROUNDS):
        shape = (len(pending), 4)
        gauss = torch.randn(shape, dtype=out.dtype, device=out.device, generator=generator)
        q = torch.nn.functional.normalize(gauss / omega[pending].sqrt(), dim=-1)
        energy = (precision[pending] * q**2).sum(-1)
        log_ratio = -energy + 2 * torch.log((omega[pending] * q**2).sum(-1)) - log_bound[pending]
        draw = torch.rand(len(pending), dtype=out.dtype, device=out.device, generator=generator)
        accepted = torch.log(draw) < log_ratio
        out[pending[accepted]] = q[accepted]
        pending = pending[~accepted]
        if not len(pending):
            return out
    raise ValueError("rejection sampling did not end: F holds values that are not finite")


def _envelope_parameter(precision: Tensor) -> Tensor:
    """(N,) root b in [1, 4] of sum_i 1 / (b + 2 a_i) = 1, by bisection (the sum falls with b)."""
    low, high = torch.ones_like(precision[:, 0]), torch.full_like(precision[:, 0], 4.0)
    for _ in range(30):
        middle = (low + high) / 2
        too_small = (1 / (middle[:, None] + 2 * precision)).sum(-1) > 1
        low, high = torch.where(too_small, middle, low), torch.where(too_small, high, middle)
    return (low + high) / 2


def bone_concentration(length: Tensor, sigma_parent: Tensor, sigma_child: Tensor) -> Tensor:
    """How sharply two noisy ends fix a bone's direction: kappa = L^2 / (sigma_p^2 + sigma_c^2).

    Args:
        length, sigma_parent, sigma_child: bone length and per-axis standard deviations, one unit.
    """
    return length**2 / (sigma_parent**2 + sigma_child**2)


def observe_bones(F: Tensor, direction: Tensor, rest: Tensor, kappa: Tensor) -> Tensor:
    """Posterior after bone directions were seen: F + sum_b kappa_b d_b l_b^T, exact by conjugacy.

    Args:
        F: (..., 3, 3) prior of the rotation that carries the rest directions to the seen ones.
        direction: (..., B, 3) seen unit directions d.
        rest: (..., B, 3) unit directions l at rest.
        kappa: (..., B) von Mises-Fisher concentrations, 0 for a bone that was not seen.
    """
    return F + torch.einsum("...b,...bi,...bj->...ij", kappa, direction, rest)


def angle_between(Ra: Tensor, Rb: Tensor) -> Tensor:
    """Geodesic angle (...) in radians between rotations; accurate at 0 and pi."""
    chord = (Ra - Rb).flatten(-2).norm(dim=-1) / (2 * math.sqrt(2))
    return 2 * torch.asin(chord.clamp(max=1.0))


def dispersion(F: Tensor, nodes: int = DEFAULT_NODES) -> Tensor:
    """E[1 - cos(angle to the mode)] (...): 0 = certain, 1.5 = uniform."""
    _, s, _ = proper_svd(F)
    return (3 - log_normalizer_and_moments(s, nodes)[1].sum(-1)) / 2


def credible_angle(F: Tensor, mass: float = 0.9, steps: int = 48, nodes: int = 12) -> Tensor:
    """Angle (...) in radians such that a ball of it about the mode holds `mass` of the probability.

    The density of the angle is (1-cos) times a Bingham integral over the axis, done by quadrature:
    exp(-(1-cos) n^T P n) over the sphere with P = diag(s2+s3, s1+s3, s1+s2); exact for any F.
    """
    sums = _pair_sums(proper_svd(F)[1]).reshape(-1, 3)
    parts = [_credible_angle(part, mass, steps, nodes) for part in torch.split(sums, _CHUNK)]
    return torch.cat(parts).reshape(F.shape[:-2])


def _credible_angle(sums: Tensor, mass: float, steps: int, nodes: int) -> Tensor:
    """(M,) angles from (M, 3) sums s2+s3 <= s1+s3 <= s1+s2."""
    p1, p2, p3 = (p[:, None] for p in sums.unbind(-1))
    largest = torch.acos((1 - _TAIL / 2 / p1.clamp_min(1e-6)).clamp_min(-1.0))
    grid = (torch.arange(steps, dtype=sums.dtype, device=sums.device) + 0.5) / steps
    turn = 1 - torch.cos(largest * grid)
    y, weight = _legendre(nodes, sums.dtype, sums.device)
    w, p1, p2, p3 = turn[..., None], p1[..., None], p2[..., None], p3[..., None]
    span = (_TAIL / (w * (p2 - p1)).clamp_min(_TAIL)).clamp_max(1.0)
    off_axis = span * y * (2 - span * y)  # 1 - z^2 with z = 1 - span y
    spread = torch.special.i0e(w * (p3 - p2) / 2 * off_axis)
    over_axis = span * weight * spread * torch.exp(-w * (p1 + (p2 - p1) * off_axis))
    cumulative = torch.cumsum(turn * over_axis.sum(-1), -1)
    cumulative = cumulative / cumulative[:, -1:]
    above = (cumulative < mass).sum(-1, keepdim=True).clamp_max(steps - 1)
    upper = cumulative.gather(-1, above)
    lower = torch.where(above > 0, cumulative.gather(-1, (above - 1).clamp_min(0)), 0 * upper)
    fraction = (mass - lower) / (upper - lower).clamp_min(1e-12)
    angle: Tensor = largest * (above + fraction) / steps
    return angle[:, 0]
