"""`Scene`: the result of a run, with one camera, the ground, the people and diagnostics."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowd3d.scene import storage
from crowd3d.scene.camera import Camera
from crowd3d.scene.ground import Ground
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from optim.ground.surface import Surface


@dataclass
class Scene:
    """One camera, its planes and everyone on them, in one metric frame; and who is seen but has no place.

    Attributes:
        camera: at the origin of the scene frame.
        planes: levels of the ground; empty if there are no people. Of ground that is no level, the first is the
            level straight below the camera.
        people: everyone; their betas belong to the body named `body`.
        image_name: file name of the picture.
        body: name of the body model.
        diagnostics: counts, timings, covariance, warnings; plain JSON values. "unplaced" tells why people have
            no place, in groups of {"reason", "ids", "box_px"}; see `crowd3d.scene.unplaced`.
        surface: height of the ground over the first plane; None where the ground is made of levels.
    """

    camera: Camera
    planes: list[Plane]
    people: People
    image_name: str = "image"
    body: str = "open"
    diagnostics: dict[str, Any] = field(default_factory=dict)
    surface: Surface | None = None

    @property
    def ground(self) -> Ground:
        """What people stand on, asked at pixels or at points; only if there are planes."""
        return Ground(self.planes, self.surface)

    def save(self, directory: str | Path) -> None:
        """Write `scene.json` and `people.npz` into the folder, atomically; raises OutputError."""
        storage.save(self, Path(directory))

    @classmethod
    def load(cls, directory: str | Path) -> Scene:
        """Read a folder written by `save`; raises SceneError if it is incomplete or of another version."""
        return cls(**storage.read(Path(directory)))
