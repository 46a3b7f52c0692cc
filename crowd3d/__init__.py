"""crowd3d: one huge photograph of a crowd in, one metric 3D scene out.

Names are imported when they are first used, so that `crowd3d --help` answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from crowd3d.version import __version__

if TYPE_CHECKING:
    from crowd3d import body as body
    from crowd3d import config as config
    from crowd3d import data as data
    from crowd3d import errors as errors
    from crowd3d import evaluate as evaluate
    from crowd3d import export as export
    from crowd3d import lift as lift
    from crowd3d import models as models
    from crowd3d import posterior as posterior
    from crowd3d import progress as progress
    from crowd3d import scene as scene
    from crowd3d import synth as synth
    from crowd3d.api import reconstruct
    from crowd3d.picture.camera_hint import CameraHint
    from crowd3d.scene.camera import Camera
    from crowd3d.scene.people import People
    from crowd3d.scene.plane import Plane
    from crowd3d.scene.scene import Scene

__all__ = ["Camera", "CameraHint", "People", "Plane", "Scene", "__version__", "reconstruct"]

_HOMES = {
    "Camera": "crowd3d.scene.camera",
    "CameraHint": "crowd3d.picture.camera_hint",
    "People": "crowd3d.scene.people",
    "Plane": "crowd3d.scene.plane",
    "Scene": "crowd3d.scene.scene",
    "reconstruct": "crowd3d.api",
}
# What `import crowd3d` alone gives as `crowd3d.NAME`.
_MODULES = (
    *("body", "config", "data", "errors", "evaluate", "export"),
    *("lift", "models", "posterior", "progress", "scene", "synth"),
)

if not TYPE_CHECKING:  # a type checker shall still tell misspelt names

    def __getattr__(name: str) -> object:
        """A public name, imported now."""
        if name in _HOMES:
            globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
            return globals()[name]
        if name in _MODULES:
            return importlib.import_module(f"crowd3d.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
