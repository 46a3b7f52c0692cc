"""What is known of a picture's camera before anybody in it is seen."""

from __future__ import annotations

from dataclasses import dataclass

from crowd3d.scene.camera import Camera


@dataclass(frozen=True)
class KnownCamera:
    """What the user, the picture's metadata or an earlier fit tell.

    Attributes:
        size_px: width and height of the picture.
        camera: None where the focal length is not known.
        projection: one of `scene.camera.PROJECTIONS`.
        center_is_known: whether the principal point was given; otherwise it is only assumed.
        focal_prior: pixels and standard deviation of the logarithm, where the picture's EXIF has them.
        source: how the projection was decided, in words.
    """

    size_px: tuple[int, int]
    camera: Camera | None = None
    projection: str = "perspective"
    center_is_known: bool = False
    focal_prior: tuple[float, float] | None = None
    source: str = "assumed"

    @classmethod
    def of(cls, camera: Camera, source: str = "given") -> KnownCamera:
        """A camera that is known as a whole."""
        size_px = (camera.width, camera.height)
        return cls(size_px, camera, camera.projection, center_is_known=True, source=source)

    @property
    def turn_px(self) -> float | None:
        """Columns of a whole turn, whose borders meet; None for other pictures and unknown cameras."""
        return self.camera.turn_px if self.camera is not None else None

    @property
    def center_is_free(self) -> bool:
        """Whether people may correct the principal point."""
        return not self.center_is_known and self.projection == "perspective"
