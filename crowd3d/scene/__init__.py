"""The types passed between stages: camera, plane, people, scene; and how they are stored.

Names are imported when they are first used. So code that needs only a camera does not wait for the library of
polygons.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crowd3d.scene.camera import Camera
    from crowd3d.scene.people import People
    from crowd3d.scene.plane import Plane
    from crowd3d.scene.scene import Scene

__all__ = ["Camera", "People", "Plane", "Scene"]

if not TYPE_CHECKING:  # hidden from type checkers, so that they still find misspelt names

    def __getattr__(name: str) -> object:
        """Import a public name from the module that has the same name in lower case."""
        if name in __all__:
            home = importlib.import_module(f"crowd3d.scene.{name.lower()}")
            globals()[name] = getattr(home, name)
            return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
