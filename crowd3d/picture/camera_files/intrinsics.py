"""`Intrinsics`: one camera of a file, and how it becomes the camera of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from crowd3d.errors import CameraError
from crowd3d.scene.camera import Camera
from crowd3d.scene.known import NOTHING_KNOWN, KnownGround
from optim import fisheye
from optim import lens as lenses

_LARGEST_SKEW = 1e-3  # of K[0, 1] over the focal length, below which it is rounding
_SAME_SHAPE = 0.002  # of the ratio of two pictures' shapes, besides the rounding of their sides
_NEAR_MIDDLE = 0.25  # of width and height, where a principal point is likely


@dataclass(frozen=True)
class Intrinsics:
    """What a file says of one camera.

    Attributes:
        kind: the format, in words.
        focal_px: fx and fy. center_px: principal point, from the picture's top-left corner.
        size_px: width and height it was made for; None if the file does not tell.
        distortion, projection: as of `Camera`.
        ground: what the file tells of gravity and height.
        name: of the camera in the file, where there may be several.
    """

    kind: str
    focal_px: tuple[float, float]
    center_px: tuple[float, float]
    size_px: tuple[int, int] | None = None
    distortion: tuple[float, ...] = lenses.NONE
    projection: str = "perspective"
    ground: KnownGround = NOTHING_KNOWN
    name: str = ""

    @classmethod
    def of_matrix(cls, kind: str, K: Sequence[float]) -> Intrinsics:
        """From the nine numbers of fx 0 cx / 0 fy cy / 0 0 1; raises CameraError for any others."""
        fx, skew, cx, below, fy, cy, *last = K
        if below != 0 or last != [0.0, 0.0, 1.0] or not (fx > 0 and fy > 0):
            raise CameraError(
                "the matrix is not fx 0 cx / 0 fy cy / 0 0 1 with positive focal lengths"
            )
        if abs(skew) > _LARGEST_SKEW * fx:
            raise CameraError(f"the matrix has a skew of {skew:g}, which no camera here has")
        return cls(kind, (fx, fy), (cx, cy))

    @classmethod
    def of_camera(cls, kind: str, camera: Camera) -> Intrinsics:
        """From one of our own, for pictures of other sizes."""
        return cls(
            kind,
            (camera.focal_px, camera.focal_px * camera.pixel_aspect),
            camera.center_px,
            (camera.width, camera.height),
            camera.distortion,
            camera.projection,
        )

    def from_first_pixels_middle(self) -> Intrinsics:
        """The same of a program that counts from the middle of the first pixel, as OpenCV does."""
        u, v = self.center_px
        return replace(self, center_px=(u + 0.5, v + 0.5))

    def for_picture(self, width: int, height: int) -> tuple[Camera, tuple[str, ...]]:
        """The camera of a picture of that size, and what was done for it, in words.

        Raises:
            CameraError: the picture has another shape, or the values are no camera's.
        """
        size_px = self.size_px or self._likely_size(width, height)
        fx, fy = self.focal_px
        if not (math.isfinite(fx) and fx > 0):
            raise CameraError(f"a focal length of {fx} px is not positive")
        camera = Camera(*size_px, fx, self.center_px, self.distortion, self.projection, fy / fx)
        notes: tuple[str, ...] = ()
        if self.size_px is None:
            notes = (
                f"the given camera ({self.kind}) tells no size of its picture; it was taken to be this "
                f"one's, {width} x {height} px",
            )
        elif size_px != (width, height):
            if not _same_shape(size_px, (width, height)):
                raise CameraError(
                    f"is for a picture of {size_px[0]} x {size_px[1]} px, this one has {width} x {height}: "
                    "a crop or a turned picture needs a camera of its own"
                )
            notes = (
                f"the given camera ({self.kind}) is for a picture of {size_px[0]} x {size_px[1]} px; focal "
                f"length and principal point were scaled to {width} x {height} px",
            )
            camera = camera.scaled(width, height)
        return camera, notes + _where_the_lens_ends(camera)

    def _likely_size(self, width: int, height: int) -> tuple[int, int]:
        u, v = self.center_px[0] / width - 0.5, self.center_px[1] / height - 0.5
        if max(abs(u), abs(v)) > _NEAR_MIDDLE:
            raise CameraError(
                f"tells no size of the picture, and its principal point {self.center_px[0]:.0f}, "
                f"{self.center_px[1]:.0f} is far from the middle of this one of {width} x {height} px; "
                "add image_width and image_height to the file"
            )
        return width, height


def chosen(found: Sequence[Intrinsics], width: int, height: int) -> Intrinsics:
    """The one camera of a file that a picture of that size may have; raises CameraError if it is not clear."""
    fitting = [one for one in found if one.size_px == (width, height)] or [
        one for one in found if one.size_px and _same_shape(one.size_px, (width, height))
    ]
    if len(found) == 1 or len(fitting) == 1:
        return (fitting or found)[0]
    names = ", ".join(one.name for one in found[:8]) + (", ..." if len(found) > 8 else "")
    raise CameraError(
        f"holds {len(found)} cameras ({names}), {len(fitting)} of them for pictures like this one "
        f"of {width} x {height} px; leave only its own in the file"
    )


def _same_shape(made_for: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether one picture may be the other at another size, the sides rounded."""
    ratio = picture[0] * made_for[1] / (picture[1] * made_for[0])
    return abs(math.log(ratio)) <= _SAME_SHAPE + 1.0 / min(*made_for, *picture)


def _where_the_lens_ends(camera: Camera) -> tuple[str, ...]:
    """A note if the lens's polynomial folds back inside the picture."""
    reach = fisheye.reach if camera.is_fisheye else lenses.reach
    reach_px = camera.focal_px * reach(camera.distortion)
    u, v = camera.center_px
    far_px = math.hypot(max(u, camera.width - u), max(v, camera.height - v))
    if reach_px >= far_px:
        return ()
    return (
        f"the lens's coefficients bend the picture back on itself from {reach_px:.0f} px from its middle on; "
        "places beyond are rough",
    )
