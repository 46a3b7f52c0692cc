"""Geometry of cameras and planes, residuals, the solver, covariances. No input or output."""

from .errors import BadInput, FitFailed, NotEnoughPeople, OptimError
from .ground_camera import GroundCameraFit, fit_ground_camera
from .panorama_fit import fit_panorama
from .placement import Placement, place_people
from .plumb import Lens, lens_from_edges
from .principal_point import fit_with_free_center
from .scene import RefinedScene, RefineNoise, refine_scene

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
