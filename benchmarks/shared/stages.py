"""Single stages of the pipeline for benchmarks, which call them only here: find, fit a camera, make a scene."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from crowd3d import Scene
from crowd3d import config as configs
from crowd3d.config import Config
from crowd3d.detect import selection
from crowd3d.detect.detector import Detector
from crowd3d.ground.edges import Structure, find_structure
from crowd3d.ground.fit import Evidence, fit_camera
from crowd3d.picture.crops import Crops
from crowd3d.picture.reading import Reading
from crowd3d.pipeline.assemble import to_scene
from crowd3d.pipeline.find import Seen, find_people
from crowd3d.pipeline.networks import build_detector
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from tiling import ImageSource, open_image, scout_tiles

DEFAULT = configs.load("default")
ENGINES = {  # numbers, as tables name them -> `Config.engine`
    "mixed": "openvino-mixed",
    "float32": "openvino",
    "bfloat16": "openvino-bfloat16",
    "torch": "torch",
    "torch bfloat16": "torch-bfloat16",
}


@cache
def detector(engine: str = DEFAULT.engine) -> Detector:
    """The embedded network with the default settings, loaded once for each engine."""
    return build_detector(None, "auto", DEFAULT.replace(engine=engine))


def find(source: ImageSource, config: Config = DEFAULT, fixed: Fitted | None = None) -> Seen:
    """Find everybody in a picture, without any knowledge of the camera unless `fixed` is given.

    Args:
        fixed: camera and ground, if they are known.
    """
    reading = Reading(source)
    return find_people(
        reading, detector(config.engine), KnownCamera(reading.size_px), config, fixed
    )


def scout(picture: Path) -> Detections:
    """Everybody found in the scout tiles, with which a run begins; nothing is known about the camera."""
    with open_image(picture, max_pixels=DEFAULT.max_pixels) as source:
        tiles = scout_tiles(
            source.width,
            source.height,
            tile_px=DEFAULT.tile_px,
            max_tiles=DEFAULT.scout_tiles,
            max_upscale=DEFAULT.max_upscale,
        )
        found = detector().detect(Reading(source), tiles)
    return selection.unplaced_people(found, DEFAULT)


def edges(source: ImageSource) -> Structure | None:
    """Straight edges of a picture that shows no people."""
    known = KnownCamera((source.width, source.height))
    return find_structure(source, np.zeros((0, 4)), known, DEFAULT)


def fit(
    people: Detections,
    size_px: tuple[int, int],
    *,
    camera: Camera | None = None,
    structure: Structure | None = None,
) -> Fitted | None:
    """Fit camera and ground to people, with a free principal point; None if people do not determine them.

    Args:
        camera: a camera with known focal length; None if it is not known.
        structure: straight edges of the picture.
    """
    known = KnownCamera(size_px, camera)
    return fit_camera(people, known, DEFAULT, Evidence(structure), free_center=True)


def scene_of(
    name: str,
    seen: Seen,
    size_px: tuple[int, int],
    config: Config = DEFAULT,
    crops: Crops | None = None,
) -> Scene:
    """Make the scene: everybody with body and place.

    Args:
        crops: the picture, for components that look at it again.
    """
    return to_scene(name, seen, KnownCamera(size_px), config, crops)


def seen_before(people: Detections, fitted: Fitted | None) -> Seen:
    """A `Seen` of people and camera that do not come from `find`."""
    return Seen(people, fitted, n_tiles=0, n_detections=len(people), rounds=0)
