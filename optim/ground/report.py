"""What a fit tells its caller besides numbers: assumptions, certainty, and who was left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optim.ground.inputs import PRIOR_FOV_DEG, PRIOR_LOG_FOCAL_SD, Given
from optim.ground.population import Population
from optim.ground.sticks import BoolArray, Sticks
from optim.projection import FloatArray

# A focal length is determined if the people shrink the prior to this or less.
_DETERMINED_SHARE = 0.3
MIN_EXPLAINED = 0.6  # share of the usable people that fit the ground, below which it is doubtful
Z90 = 1.645  # two-sided 90 % of a normal distribution
SHAPE = "shape of the ground"  # in the list of what is undetermined
_LIKELY = 0.1  # probability of a shape of the ground that is not ruled out


def write_report(
    given: Given,
    sticks: Sticks,
    focal_px: float,
    covariance: FloatArray,
    membership: FloatArray,
    is_valid: BoolArray,
    population: Population,
    total: int,
    starts_tried: int,
    lines: str,
    lines_apart_sd: float,
    stature_m: float,
    kind: str,
    probabilities: dict[str, float],
) -> dict[str, Any]:
    """Plain values for JSON; people are named by their row in the input.

    Args:
        stature_m: mean of the adults, given, or as it follows from a given height of the camera.
        kind: shape of the ground; probabilities: of the shapes that were fitted.
    """
    log_sd = math.sqrt(max(float(covariance[0, 0]), 0.0))
    shares = zip(("adult", "short", "leaning", "junk"), population.share, strict=True)
    explained = float(np.mean(membership.sum(axis=0) > 0.5))
    determined = given.focal_px is not None or (
        log_sd < _DETERMINED_SHARE * PRIOR_LOG_FOCAL_SD and explained >= MIN_EXPLAINED
    )
    open_shapes = _likely(probabilities)
    return {
        "people": total,
        "people_used": len(sticks),
        "share_explained": explained,
        "left_out": _left_out(sticks, membership, is_valid, total),
        "source": "keypoints" if sticks.sees_angle else "boxes",
        "principal_point": "given" if given.center_is_given else "assumed at the centre",
        "focal": _focal_source(given),
        "lines": lines,
        "lines_apart_sd": lines_apart_sd,
        "focal_determined": bool(determined),
        "focal_interval_90_px": [focal_px * math.exp(s * Z90 * log_sd) for s in (-1.0, 1.0)],
        "gravity": "given" if given.normal is not None else "estimated",
        "height": "given" if given.offset_m is not None else "estimated",
        "stature_m": stature_m,
        "ground": kind,
        "ground_probabilities": probabilities,
        "undetermined": [
            name
            for name, is_open in (
                ("focal length", not determined),
                (SHAPE, len(open_shapes) > 1),
            )
            if is_open
        ],
        "shares": {name: float(share) for name, share in shares},
        "starts_tried": starts_tried,
        "warnings": _warnings(given, sticks, bool(determined), explained, open_shapes),
    }


def _likely(probabilities: dict[str, float]) -> dict[str, float]:
    """The shapes of ground that may well be, most probable first."""
    order = sorted(probabilities, key=lambda kind: -probabilities[kind])
    return {kind: probabilities[kind] for kind in order if probabilities[kind] > _LIKELY}


def _focal_source(given: Given) -> str:
    if given.focal_px is not None:
        return "given"
    if given.focal_prior is not None:
        guess, log_sd = given.focal_prior
        return f"estimated, with a prior of {guess:.0f} px +- {log_sd:.0%}"
    return "estimated"


def _left_out(
    sticks: Sticks, membership: FloatArray, is_valid: BoolArray, total: int
) -> dict[str, list[int]]:
    """Reason -> rows of the people whom it kept from counting as upright adults."""
    index = sticks.index
    best = np.argmax(np.vstack([membership, 1 - membership.sum(axis=0)]), axis=0)
    reasons = {
        "too few joints seen": np.setdiff1d(np.arange(total), index),
        "above the horizon": index[~is_valid],
        "shorter than an adult, or seated": index[is_valid & (best == 1)],
        "leaning": index[is_valid & (best == 2)],
        "not a person on this ground": index[is_valid & (best == 3)],
    }
    return {reason: sorted(rows.tolist()) for reason, rows in reasons.items() if len(rows)}


def _warnings(
    given: Given,
    sticks: Sticks,
    determined: bool,
    explained: float,
    open_shapes: dict[str, float],
) -> list[str]:
    warnings = []
    if len(open_shapes) > 1:
        shapes = " or ".join(f"{kind} ({share:.0%})" for kind, share in open_shapes.items())
        open_too = "" if determined else ", nor the focal length, which looks much like it"
        warnings.append(
            f"the people do not tell the shape of the ground: {shapes}{open_too}; give it if it is known"
        )
    if explained < MIN_EXPLAINED:
        warnings.append(
            f"only {explained:.0%} of the people fit one ground; camera and ground may be wrong, and "
            "their error bars too small"
        )
    if not determined:
        warnings.append(
            "the people do not determine the focal length; it leans on an assumed field of view of "
            f"{PRIOR_FOV_DEG:.0f} degrees: give the focal length"
        )
    if not sticks.sees_angle and given.focal_px is None:
        warnings.append("heights of boxes hardly determine a focal length: give it")
    if any(given.distortion) and given.distortion_unit_px is None and given.focal_px is None:
        warnings.append("the distortion was removed with an assumed focal length: give it")
    return warnings
