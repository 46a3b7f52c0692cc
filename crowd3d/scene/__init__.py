"""The types that travel: camera, plane, people, scene; and how they are stored."""

from crowd3d.scene.camera import Camera
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.scene.scene import Scene

__all__ = ["Camera", "People", "Plane", "Scene"]
