"""The lift: from 2D keypoints to posed bodies. `load()` gives a Lift, which turns keypoints into a LiftResult.

Frames are those of `crowd3d.maths.upright`.

The embedded weights read keypoints, their scores and the elevation of the ray, but no pixels. Features of the
picture could show what keypoints cannot: the heading of a person whose left and right were exchanged by the
detector, and girth. But the lift is trained on motion capture, which has no photographs. The only pictures with
known 3D pose that may be used to train the shipped weights are renders, and renders of backs and faces look
different from photographs. Such features would make benchmarks on renders better and photographs worse.
(Measured with heads on the features of the one-stage network: held-out renders 84.1 -> 76.2 mm PA-MPJPE,
photographs 69.5 -> 76.4 mm.) A network built with `LiftNet(appearance=A)` takes a feature of length A besides
the keypoints, for users who have photographs with poses to train on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from crowd3d import body
from crowd3d.body.rig import Rig, rig_of
from crowd3d.errors import ModelError
from crowd3d.files import strict_json
from crowd3d.files.weights import read_weights
from crowd3d.lift.keypoint_fit import RefineOptions, fit_keypoints
from crowd3d.maths import posterior
from crowd3d.maths.upright import as_floats
from crowd3d.models import catalog, lift_net

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

ARCHITECTURE = "crowd3d-lift-1"
_CHUNK = 2048  # people per pass, to bound memory
_REFINE_CHUNK = 256  # people per chunk: their normal equations fit into the processor's cache


@dataclass(frozen=True)
class LiftResult:
    """N lifted people.

    Attributes:
        rotations: (N, 24, 3, 3) posterior modes, SMPL order; row 0 turns the body into the upright
            frame, the others are relative to the parent.
        fisher: (N, 24, 3, 3) matrix-Fisher parameters of the same rotations, calibrated.
        betas, betas_var: (N, 10) shape and its variance.
        range_statures, range_log_sd: (N,) distance from the camera to the torso centre in units of
            the person's own stature, and the standard deviation of its logarithm.
        torso_height_statures, torso_height_sd: (N,) height of the torso centre above the lowest
            point of the body, in statures (0.65 standing, less seated).
    """

    rotations: Tensor
    fisher: Tensor
    betas: Tensor
    betas_var: Tensor
    range_statures: Tensor
    range_log_sd: Tensor
    torso_height_statures: Tensor
    torso_height_sd: Tensor

    def __len__(self) -> int:
        return len(self.rotations)

    @classmethod
    def cat(cls, parts: list[LiftResult]) -> LiftResult:
        """All people of several results, in order."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})


class Lift:
    """A trained lift. Call it with keypoints of many people at once.

    Args:
        net: the network, in evaluation mode.
        facts: information about its training (recipe, seed, measurements).
    """

    def __init__(self, net: lift_net.LiftNet, facts: dict[str, Any] | None = None) -> None:
        self.net = net.eval()
        self.facts = facts or {}
        self._rig: Rig | None = None

    @property
    def device(self) -> torch.device:
        """Torch device of the weights."""
        return self.net.temperature.device

    @torch.no_grad()
    def __call__(
        self,
        keypoints_upright: ArrayLike | Tensor,
        elevation_rad: ArrayLike | Tensor,
        appearance: Tensor | None = None,
    ) -> LiftResult:
        """Lift people.

        Args:
            keypoints_upright: (N, 17, 3) tangents and scores from `to_upright`.
            elevation_rad: (N,) from `to_upright`.
            appearance: (N, A) features of the picture, for a network trained with them.

        Returns:
            LiftResult on the CPU, in float32. People without keypoints get a broad posterior, never
            NaN.

        Raises:
            ValueError: the shapes are wrong.
        """
        keypoints = as_floats(keypoints_upright).to(self.device, torch.float32)
        elevation = as_floats(elevation_rad).to(self.device, torch.float32)
        if (
            keypoints.ndim != 3
            or keypoints.shape[1:] != (17, 3)
            or elevation.shape != keypoints.shape[:1]
        ):
            raise ValueError(
                f"keypoints {tuple(keypoints.shape)} and elevation {tuple(elevation.shape)}; "
                "expected (N, 17, 3) and (N,)"
            )
        keypoints = torch.nan_to_num(keypoints)
        parts = [
            self._lift(
                keypoints[i : i + _CHUNK],
                elevation[i : i + _CHUNK],
                None if appearance is None else appearance[i : i + _CHUNK].to(self.device),
            )
            for i in range(0, max(len(keypoints), 1), _CHUNK)
        ]
        return LiftResult.cat(parts)

    def refine_pose(
        self,
        result: LiftResult,
        keypoints_upright: ArrayLike | Tensor,
        elevation_rad: ArrayLike | Tensor,
        options: RefineOptions | None = None,
        rig: Rig | None = None,
    ) -> LiftResult:
        """Fit the limbs to their keypoints, as far as the posterior allows.

        Args:
            result: result of the call for the same keypoints.
            keypoints_upright, elevation_rad: as for the call.
            options: numbers of the fit.
            rig: rig of the body that will be shown; the embedded one by default.

        Returns:
            LiftResult with new rotations and ranges. Every Fisher parameter is turned so that its mode is the
            new rotation. Its concentration stays the same, because the keypoints were already used once.
        """
        if len(result) == 0:
            return result
        if rig is None:
            self._rig = self._rig or rig_of(body.load("open", level="crowd"))
            rig = self._rig
        parts = [
            _refined(chunk, keypoints, elevation, rig, options or RefineOptions())
            for chunk, keypoints, elevation in _chunks(
                result,
                torch.nan_to_num(as_floats(keypoints_upright).float()),
                as_floats(elevation_rad).float(),
            )
        ]
        return LiftResult.cat(parts)

    def _lift(self, keypoints: Tensor, elevation: Tensor, appearance: Tensor | None) -> LiftResult:
        """One pass. Answers for the person and the mirror image are averaged, to treat left and right alike."""
        straight = lift_net.normalise(keypoints, elevation)
        mirrored = lift_net.normalise(lift_net.mirror_keypoints(keypoints), elevation)
        a, b = self.net(straight.features, appearance), self.net(mirrored.features, appearance)
        fisher = (a.fisher + lift_net.mirror_fisher(b.fisher)) / 2
        fisher = (fisher * self.net.temperature[:, None, None]).cpu()
        extent, height = (a.extent + b.extent) / 2, (a.height + b.height) / 2
        return LiftResult(
            rotations=posterior.mode(fisher),
            fisher=fisher,
            betas=((a.betas + b.betas) / 2).cpu(),
            betas_var=torch.exp((a.betas_logvar + b.betas_logvar) / 2).cpu(),
            range_statures=(extent.exp() / straight.scale).cpu(),
            range_log_sd=torch.exp((a.extent_logvar + b.extent_logvar) / 4).cpu(),
            torso_height_statures=height.cpu(),
            torso_height_sd=torch.exp((a.height_logvar + b.height_logvar) / 4).cpu(),
        )


def _chunks(
    result: LiftResult, keypoints: Tensor, elevation: Tensor
) -> Iterator[tuple[LiftResult, Tensor, Tensor]]:
    """Split result, keypoints and elevation into chunks of at most `_REFINE_CHUNK` people."""
    for i in range(0, len(result), _REFINE_CHUNK):
        at = slice(i, i + _REFINE_CHUNK)
        piece = LiftResult(**{f.name: getattr(result, f.name)[at] for f in fields(LiftResult)})
        yield piece, keypoints[at], elevation[at]


def _refined(
    result: LiftResult, keypoints: Tensor, elevation: Tensor, rig: Rig, options: RefineOptions
) -> LiftResult:
    """`Lift.refine_pose` for one chunk of people."""
    rotations, range_statures = fit_keypoints(
        rig,
        keypoints,
        elevation,
        result.rotations,
        result.fisher,
        result.betas,
        result.range_statures,
        result.range_log_sd,
        options,
    )
    turned = rotations @ result.rotations.transpose(-1, -2) @ result.fisher
    return replace(result, rotations=rotations, fisher=turned, range_statures=range_statures)


def load(path: str | Path | None = None, device: str | torch.device = "cpu") -> Lift:
    """Load the embedded lift, or one from a file that `crowd3d train lift` wrote.

    The embedded lift is read once per process and shared, so do not change its network.

    Raises:
        ModelError: the file is missing, damaged or of another architecture.
    """
    return _embedded(str(device)) if path is None else _read(Path(path), device)


@cache
def _embedded(device: str) -> Lift:
    return _read(catalog.embedded_file("lift"), device)


def _read(file: Path | Traversable, device: str | torch.device) -> Lift:
    stored = read_weights(file)
    if stored.metadata.get("architecture") != ARCHITECTURE:
        found = stored.metadata.get("architecture", "unknown")
        raise ModelError(
            f"{file} holds architecture {found!r}, this version reads {ARCHITECTURE!r}"
        )
    try:
        net = lift_net.LiftNet(**strict_json.loads(stored.metadata["shape"]))
        net.load_state_dict(stored.tensors)
        facts = stored.facts
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{file} does not fit its network: {error}") from None
    return Lift(net.to(device), facts)
