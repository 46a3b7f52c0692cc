"""One camera for all frames of a scene, from what its frames say one by one and together."""

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
    """Camera and ground for the people of several frames; None where they do not determine them.

    Focal length, principal point and distortion are means of what the frames say; gravity and height are fitted
    to all people with that camera. The frames show much the same people, whose statures and habits mislead
    every frame alike. To fit everything to all of them at once would take them for so many independent
    witnesses and drown the priors: on made-up scenes that was worse than one camera a frame. For the same
    reason the covariance is that of a single frame.

    Args:
        fits: of each frame; None where it says nothing.
        people: of all frames.
        size_px: width and height of every frame.
        lines: straight edges of one of them, which show the same walls in all.
    """
    known = [fit for fit in fits if fit is not None]
    if not known:
        return fit_camera(people, KnownCamera(size_px), config, free_center=True)
    focal_px = float(np.exp(np.mean([np.log(fit.camera.focal_px) for fit in known])))
    u, v = np.mean([fit.camera.center_px for fit in known], axis=0)
    # In focal lengths, radii of the same pixel differ from frame to frame.
    bends = [fit.camera.distortion[0] * (focal_px / fit.camera.focal_px) ** 2 for fit in known]
    distortion = (float(np.mean(bends)), 0.0)
    camera = Camera(*size_px, focal_px, (float(u), float(v)), distortion)
    # The lens is in the camera already.
    walls = dataclasses.replace(lines, lens=None) if lines is not None else None
    fitted = fit_camera(people, KnownCamera.of(camera), config, Evidence(walls))
    covariance = np.mean([fit.covariance for fit in known], axis=0)
    return None if fitted is None else dataclasses.replace(fitted, covariance=covariance)
