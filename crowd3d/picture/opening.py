"""Opening a picture, with the errors of `tiling` told as errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tiling
from crowd3d.errors import ConfigError, ImageError, OutputError


def picture_identity(picture: Path, max_pixels: int) -> str:
    """What tells a picture from every other; raises ImageError."""
    with translated_errors(), tiling.open_image(picture, max_pixels=max_pixels) as source:
        return source.identity


@contextmanager
def translated_errors() -> Iterator[None]:
    """`tiling` has its own errors, because it does not know this package."""
    try:
        yield
    except tiling.ImageError as error:
        raise ImageError(str(error)) from None
    except tiling.PlanError as error:
        raise ConfigError(str(error)) from None
    except tiling.JournalError as error:
        raise OutputError(str(error)) from None
