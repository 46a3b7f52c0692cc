"""Opening a picture, and turning errors of `tiling` into errors of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import optim
import tiling
from crowd3d.config import Config
from crowd3d.errors import CameraError, ConfigError, EnvironmentProblem, ImageError, OutputError


def picture_identity(picture: Path, max_pixels: int) -> str:
    """A string that differs for every picture, see `tiling.ImageSource.identity`; raises ImageError."""
    with translated_errors(), tiling.open_image(picture, max_pixels=max_pixels) as source:
        return source.identity


@contextmanager
def opened(picture: str | Path, config: Config) -> Iterator[tiling.ImageSource]:
    """A picture within the limits of a run, for a `with` block in which errors of `tiling` are translated."""
    with (
        translated_errors(),
        tiling.open_image(
            picture, config.max_pixels, config.memory_gb, damaged=config.damaged
        ) as source,
    ):
        yield source


def pixel_doubts(source: tiling.ImageSource) -> list[str]:
    """Warnings about the pixels of a decoded picture: what is missing, and what had to be found out."""
    damage = source.damage
    if damage is None:
        return source.remarks
    share = f"up to {100 * damage.missing:.0f} %" if damage.missing >= 0.01 else "less than 1 %"
    told = (
        f"the picture is damaged ({damage.what}): {share} of it is missing or wrong, and people "
        "there were not found or stand in wrong places; get a whole copy"
    )
    return [told, *source.remarks]


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
