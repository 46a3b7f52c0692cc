"""Moved: the posterior lives in `crowd3d.maths.posterior`, draws of poses in `crowd3d.scene.samples`."""

from crowd3d.maths.posterior import *  # noqa: F403 - the name that README promised, kept for one release
from crowd3d.scene.samples import sample_people

__all__ = ["sample_people"]
