"""One static camera for all frames of a scene, from fits of single frames and from all people together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from crowd3d.config import Config
from crowd3d.ground.edges import Structure
from crowd3d.ground.fit import Evidence, fit_camera
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera


def fit_static(
    fits: Sequence[Fitted | None],
    people: Detections,
    size_px: tuple[int, int],
    config: Config,
    lines: Structure | None = None,
) -> Fitted | None:
    """Camera and ground for the people of several frames; None if they do not determine them.

    Focal length, principal point and distortion are means over the fits of single frames. Gravity and height
    are then fitted to all people with that camera. The frames show mostly the same people, whose statures and
    habits bias every frame alike. A fit of everything to all frames at once would treat them as independent
    evidence and outweigh the priors; on generated scenes that was worse than one camera per frame. For the same
    reason the covariance is that of a single frame (the mean over the fits).

    Args:
        fits: fit of each frame; None if its people determine no camera.
        people: people of all frames.
        size_px: width and height of every frame.
        lines: straight edges of one frame; all frames show the same walls.
    """
    people = people.filter(people.found_whole)  # heads and boxes say less about sizes
    known = [fit for fit in fits if fit is not None]
    if not known:
        return fit_camera(people, KnownCamera(size_px), config, free_center=True)
    focal_px = float(np.exp(np.mean([np.log(fit.camera.focal_px) for fit in known])))
    u, v = np.mean([fit.camera.center_px for fit in known], axis=0)
    # Coefficients refer to radii in focal lengths, so they are rescaled to the common focal length.
    bends = [fit.camera.distortion[0] * (focal_px / fit.camera.focal_px) ** 2 for fit in known]
    distortion = (float(np.mean(bends)), 0.0)
    camera = Camera(*size_px, focal_px, (float(u), float(v)), distortion)
    # The camera already has the distortion.
    walls = dataclasses.replace(lines, lens=None) if lines is not None else None
    fitted = fit_camera(people, KnownCamera.of(camera), config, Evidence(walls))
    covariance = np.mean([fit.covariance for fit in known], axis=0)
    return None if fitted is None else dataclasses.replace(fitted, covariance=covariance)
