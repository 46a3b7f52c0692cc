"""The one place where benchmarks call single stages of the pipeline: find, fit a camera, make the scene."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from crowd3d import Scene
from crowd3d import config as configs
from crowd3d.config import Config
from crowd3d.detect import selection
from crowd3d.detect.detector import Detector
from crowd3d.ground.edges import Structure
from crowd3d.ground.fit import HasSize, fit_camera
from crowd3d.picture.crops import Crops
from crowd3d.pipeline import assemble
from crowd3d.pipeline.find import Seen, find_people
from crowd3d.pipeline.networks import build_detector
from crowd3d.progress import Progress
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from tiling import ImageSource, open_image, scout_tiles

DEFAULT = configs.load("default")


@cache
def detector() -> Detector:
    """The embedded network with the default settings, loaded once."""
    return build_detector(None, "auto", DEFAULT)


def find(
    source: ImageSource,
    config: Config = DEFAULT,
    *,
    camera: Camera | None = None,
    fixed: Fitted | None = None,
) -> Seen:
    """Everybody in the picture.

    Args:
        camera: where it is known.
        fixed: camera and ground, where both are known.
    """
    return find_people(source, detector(), camera, config, Progress(enabled=False), fixed=fixed)


def scout(picture: Path) -> Detections:
    """Everybody found in the tiles that a run begins with, without any knowledge of the camera."""
    with open_image(picture, max_pixels=DEFAULT.max_pixels) as source:
        tiles = scout_tiles(
            source.width,
            source.height,
            tile_px=DEFAULT.tile_px,
            max_tiles=DEFAULT.scout_tiles,
            max_upscale=DEFAULT.max_upscale,
        )
        found = Detections.cat(list(detector().detect(source, tiles)))
    return selection.unplaced_people(found, DEFAULT)


def fit(
    people: Detections,
    size: HasSize,
    *,
    camera: Camera | None = None,
    structure: Structure | None = None,
) -> Fitted | None:
    """Camera and ground from people, the principal point free; None where they do not tell.

    Args:
        camera: where it is known.
        structure: straight edges of the picture.
    """
    return fit_camera(people, size, camera, DEFAULT, free_center=True, structure=structure)


def scene_of(
    name: str,
    seen: Seen,
    size_px: tuple[int, int],
    config: Config = DEFAULT,
    *,
    crops: Crops | None = None,
) -> Scene:
    """Everybody with body and place.

    Args:
        crops: pixels of the picture, for components that look at it again.
    """
    return assemble.to_scene(name, seen, None, config, size_px, crops=crops)


def seen_before(people: Detections, fitted: Fitted | None) -> Seen:
    """People and camera that were not found by `find`."""
    return Seen(people, fitted, 0, len(people), 0)
