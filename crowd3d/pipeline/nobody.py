"""Why nobody was found in a picture, as far as the picture and what looked a little like people tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crowd3d.scene.detections import Detections
from crowd3d.scene.sizes import HEAD_OF_STATURE

_DARK = 60  # of 255: the brightest places of a picture in which nobody can be made out
_BRIGHTEST = 0.98
# A photograph has noise and gradients everywhere but in blown skies; drawings and charts are mostly flat.
_FLAT_STEP, _FLAT_SHARE = 2, 0.85
_SOME, _LIKELIEST = 5, 20  # candidates that say how tall people are: so many at least, and at most


def reasons(
    found: Detections, picture: npt.NDArray[np.uint8], min_person_px: float, least: float
) -> tuple[str, ...]:
    """What may have kept people from being found, each with what to do.

    Args:
        found: everything that looked a little like a person.
        picture: (H, W, 3) the picture, made small.
        min_person_px: height of the shortest people looked for.
        least: probability from which somebody is a person.
    """
    said = []
    grey = picture.astype(np.float64).mean(axis=2)
    if np.quantile(grey, _BRIGHTEST) < _DARK:
        said.append(
            f"the picture is dark ({_BRIGHTEST:.0%} of it below {np.quantile(grey, _BRIGHTEST):.0f} of 255): "
            "brighten it"
        )
    elif _flat_share(grey) > _FLAT_SHARE:
        said.append(
            f"{_flat_share(grey):.0%} of the picture is plain colour, as in a drawing or a chart: only "
            "photographs of people are understood"
        )
    found = found.filter(np.argsort(-found.quality, kind="stable")[:_LIKELIEST])
    height = np.where(
        found.by_head, found.head_px / HEAD_OF_STATURE, found.box_px[:, 3] - found.box_px[:, 1]
    )
    if len(height) >= _SOME and np.median(height) < min_person_px:
        said.append(
            f"what looked most like people is {np.median(height):.0f} px tall (median of {len(height)}), and "
            f"nobody under {min_person_px:.0f} px is looked for: take a larger picture, or --min-person-px"
        )
    if not said:
        said.append(
            "nothing looked enough like a person: people seen from straight above or mostly hidden are not "
            f"recognised; --precision 0.8 also shows who is less probable than {least:g}"
        )
    return tuple(said)


def _flat_share(grey: npt.NDArray[np.float64]) -> float:
    """Share of the pixels that differ from neither the right nor the lower neighbour."""
    across, down = np.abs(np.diff(grey, axis=1))[:-1], np.abs(np.diff(grey, axis=0))[:, :-1]
    return float((np.maximum(across, down) < _FLAT_STEP).mean())
