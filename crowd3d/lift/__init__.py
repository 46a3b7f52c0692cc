"""From 2D keypoints to posed 3D bodies that stand on the ground."""

from crowd3d.lift.lifter import Lift, LiftResult, load

__all__ = ["Lift", "LiftResult", "load"]
