"""crowd3d: one huge photograph of a crowd in, one metric 3D scene out."""

from crowd3d.api import reconstruct
from crowd3d.scene.camera import Camera
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene
from crowd3d.version import __version__

__all__ = ["Camera", "People", "Plane", "Scene", "__version__", "reconstruct"]
