"""`KnownCamera`: what is known about a picture's camera before people are found."""

from __future__ import annotations

from dataclasses import dataclass

from crowd3d.scene.camera import Camera


@dataclass(frozen=True)
class KnownCamera:
    """What the user, the picture's metadata or an earlier fit say about the camera.

    Attributes:
        size_px: width and height of the picture.
        camera: the camera; None if the focal length is not known.
        projection: one of `crowd3d.scene.camera.PROJECTIONS`.
        center_is_known: whether the principal point was given; otherwise it is only assumed.
        focal_prior: focal length in pixels and standard deviation of its logarithm, from the picture's EXIF;
            None if there is none.
        source: how the projection was decided, in words.
        projection_is_assumed: whether neither the user nor the picture says that it is perspective.
        doubts: what was wrong with what the picture says of its camera, in words.
    """

    size_px: tuple[int, int]
    camera: Camera | None = None
    projection: str = "perspective"
    center_is_known: bool = False
    focal_prior: tuple[float, float] | None = None
    source: str = "assumed"
    doubts: tuple[str, ...] = ()
    projection_is_assumed: bool = False

    @classmethod
    def of(cls, camera: Camera, source: str = "given") -> KnownCamera:
        """From a camera that is completely known, principal point included."""
        size_px = (camera.width, camera.height)
        return cls(size_px, camera, camera.projection, center_is_known=True, source=source)

    @property
    def turn_px(self) -> float | None:
        """`Camera.turn_px`; None if the camera is not known."""
        return self.camera.turn_px if self.camera is not None else None

    @property
    def center_is_free(self) -> bool:
        """Whether the principal point may be fitted to the people."""
        return not self.center_is_known and self.projection == "perspective"
