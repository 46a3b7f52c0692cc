"""Geometry of cameras and planes, residuals, the solver, covariances. No input or output.

Names are imported when they are first used: who needs a projection does not wait for the solvers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optim import anthropometry as anthropometry
    from optim import errors as errors
    from optim import fisheye as fisheye
    from optim import geometry as geometry
    from optim import panorama as panorama
    from optim import projection as projection
    from optim import rotation as rotation
    from optim.errors import BadInput, FitFailed, NotEnoughPeople, OptimError
    from optim.ground.bent import Straightness, straightness
    from optim.ground.ground_camera import GroundCameraFit, fit_ground_camera
    from optim.ground.panorama_fit import fit_panorama
    from optim.ground.plumb import Lens, lens_from_edges
    from optim.ground.principal_point import fit_with_free_center
    from optim.place.above import Above, people_above
    from optim.place.placement import Placement, place_people
    from optim.refine.scene import RefinedScene, RefineNoise, refine_scene

_HOMES = {
    "Above": "optim.place.above",
    "BadInput": "optim.errors",
    "FitFailed": "optim.errors",
    "GroundCameraFit": "optim.ground.ground_camera",
    "Lens": "optim.ground.plumb",
    "NotEnoughPeople": "optim.errors",
    "OptimError": "optim.errors",
    "Placement": "optim.place.placement",
    "RefineNoise": "optim.refine.scene",
    "RefinedScene": "optim.refine.scene",
    "Straightness": "optim.ground.bent",
    "fit_ground_camera": "optim.ground.ground_camera",
    "fit_panorama": "optim.ground.panorama_fit",
    "fit_with_free_center": "optim.ground.principal_point",
    "lens_from_edges": "optim.ground.plumb",
    "people_above": "optim.place.above",
    "place_people": "optim.place.placement",
    "refine_scene": "optim.refine.scene",
    "straightness": "optim.ground.bent",
}
# What `import optim` alone gives as `optim.NAME`.
_MODULES = ("anthropometry", "errors", "fisheye", "geometry", "panorama", "projection", "rotation")
__all__ = [
    "Above",
    "BadInput",
    "FitFailed",
    "GroundCameraFit",
    "Lens",
    "NotEnoughPeople",
    "OptimError",
    "Placement",
    "RefineNoise",
    "RefinedScene",
    "Straightness",
    "fit_ground_camera",
    "fit_panorama",
    "fit_with_free_center",
    "lens_from_edges",
    "people_above",
    "place_people",
    "refine_scene",
    "straightness",
]

if not TYPE_CHECKING:  # a type checker shall still tell misspelt names

    def __getattr__(name: str) -> object:
        """A public name, imported now."""
        if name in _HOMES:
            globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
            return globals()[name]
        if name in _MODULES:
            return importlib.import_module(f"optim.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
