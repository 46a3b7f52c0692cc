"""Geometry of cameras and planes, residuals, the solver, covariances. No input or output."""

from optim.errors import BadInput, FitFailed, NotEnoughPeople, OptimError
from optim.ground.ground_camera import GroundCameraFit, fit_ground_camera
from optim.ground.panorama_fit import fit_panorama
from optim.ground.plumb import Lens, lens_from_edges
from optim.ground.principal_point import fit_with_free_center
from optim.place.placement import Placement, place_people
from optim.refine.scene import RefinedScene, RefineNoise, refine_scene

__all__ = [
    "BadInput",
    "FitFailed",
    "GroundCameraFit",
    "Lens",
    "NotEnoughPeople",
    "OptimError",
    "Placement",
    "RefineNoise",
    "RefinedScene",
    "fit_ground_camera",
    "fit_panorama",
    "fit_with_free_center",
    "lens_from_edges",
    "place_people",
    "refine_scene",
]
