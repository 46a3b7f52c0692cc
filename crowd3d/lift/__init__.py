"""From keypoints to posed bodies that stand on the ground."""

from crowd3d.lift.lifter import Lift, LiftResult, load

__all__ = ["Lift", "LiftResult", "load"]
