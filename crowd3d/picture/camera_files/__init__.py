"""Cameras as other programs write them: one room a format, `read` for all of them.

`read` gives every camera that a file holds, `chosen` that of one picture, and `Intrinsics.for_picture` fits it
to the picture's size.
"""

from crowd3d.picture.camera_files.intrinsics import Intrinsics, chosen
from crowd3d.picture.camera_files.reading import read

__all__ = ["Intrinsics", "chosen", "read"]
