"""Geometry of camera, ground and people: what stands where, and how sure that is. No input or output."""

from .errors import BadInput, NotEnoughPeople, OptimError
from .ground_camera import GroundCameraFit, fit_ground_camera
from .placement import Placement, place_people

__all__ = [
    "BadInput",
    "GroundCameraFit",
    "NotEnoughPeople",
    "OptimError",
    "Placement",
    "fit_ground_camera",
    "place_people",
]
