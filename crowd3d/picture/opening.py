"""Opening a picture, and turning errors of `tiling` into errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tiling
from crowd3d.errors import ConfigError, EnvironmentProblem, ImageError, OutputError


def picture_identity(picture: Path, max_pixels: int) -> str:
    """A string that differs for every picture, see `tiling.ImageSource.identity`; raises ImageError."""
    with translated_errors(), tiling.open_image(picture, max_pixels=max_pixels) as source:
        return source.identity


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of `tiling`, which does not know this package, into errors from `crowd3d.errors`."""
    try:
        yield
    except tiling.ImageError as error:
        raise ImageError(str(error)) from None
    except tiling.ResourceError as error:
        raise EnvironmentProblem(str(error)) from None
    except tiling.PlanError as error:
        raise ConfigError(str(error)) from None
    except tiling.JournalError as error:
        raise OutputError(str(error)) from None
