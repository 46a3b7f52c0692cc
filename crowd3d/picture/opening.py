"""Opening a picture, and turning errors of `tiling` into errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import optim
import tiling
from crowd3d.errors import CameraError, ConfigError, EnvironmentProblem, ImageError, OutputError


def picture_identity(picture: Path, max_pixels: int) -> str:
    """A string that differs for every picture, see `tiling.ImageSource.identity`; raises ImageError."""
    with translated_errors(), tiling.open_image(picture, max_pixels=max_pixels) as source:
        return source.identity


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of `tiling` and `optim`, which do not know this package, into errors from `crowd3d.errors`.

    So too where NumPy finds no solution, which odd 2D poses or a camera that contradicts them can bring about.
    """
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
    except (optim.OptimError, np.linalg.LinAlgError) as error:
        raise CameraError(
            f"no camera and ground explain what is seen ({error}); give --fov or --camera if you know them"
        ) from None
