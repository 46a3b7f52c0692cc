"""`reconstruct`: one verb over the whole pipeline."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tiling
from crowd3d import body as bodies
from crowd3d import config as configs
from crowd3d.config import Config
from crowd3d.data.keypoint_files import poses_of
from crowd3d.errors import OutputError
from crowd3d.patches.reader import read_scene
from crowd3d.picture.camera_hint import CameraHint, Known
from crowd3d.picture.crops import Crops
from crowd3d.picture.opening import translated_errors
from crowd3d.pipeline.assemble import BODY, LEVEL, to_scene
from crowd3d.pipeline.find import find_people
from crowd3d.pipeline.given_poses import people_of_poses
from crowd3d.pipeline.networks import build_detector, build_reader, choose, choose_device
from crowd3d.pipeline.requirements import check_weights
from crowd3d.progress import Progress, Reporter
from crowd3d.scene.camera import Camera
from crowd3d.scene.scene import Scene

_JOURNAL = ".crowd3d-journal"  # inside the folder of the result, until the result is there


def reconstruct(
    image: str | Path,
    *,
    camera: Camera | CameraHint | str | Path | None = None,
    config: str | Path | Config = "default",
    model: str | Path | None = None,
    device: str = "auto",
    out: str | Path | None = None,
    progress: Reporter | None = None,
    keypoints: str | Path | None = None,
) -> Scene:
    """One photograph of a crowd to one metric 3D scene.

    Args:
        image: JPEG, PNG, TIFF or WebP of any size.
        camera: what is known of it: a Camera, the path of a camera.json, or None.
        config: a preset's name, a YAML file, or a Config.
        model: "crowd3d-s", "crowd3dnet" or a .safetensors file of either; None for the embedded weights.
            With "crowd3dnet" the default network finds people, camera and ground, and that one then
            tells everybody's pose and place.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        out: folder for all output files; None writes nothing. A killed run, started again with the same
            folder, goes on behind the last finished tiles and ends with the same bytes.
        progress: told of every stage and step, see `crowd3d.progress.Progress`.
        keypoints: file of the user's own 2D poses, which replace the detector; its formats are in
            `crowd3d.data.keypoint_files`.

    Returns:
        Scene, possibly without people; `diagnostics["warnings"]` says in words what is not to be trusted.

    Raises:
        ImageError, CameraError, ConfigError, DataError, OutputError, ModelError, EnvironmentProblem.
    """
    settings = config if isinstance(config, Config) else configs.load(config)
    check_weights(settings)
    chosen = choose(model)
    reader = None if chosen.reader is None else build_reader(chosen.reader, device, settings)
    poses = None if keypoints is None else poses_of(keypoints, Path(image).name)
    report = progress if progress is not None else Progress(enabled=False)
    seconds: dict[str, float] = {}
    with translated_errors(), tiling.open_image(image, max_pixels=settings.max_pixels) as source:
        known = _known(camera, source)
        given = known.camera
        with _timed(seconds, "open"):
            source.prepare()
        folder = _writable(Path(out)) if out is not None else None
        options: dict[str, Any] = {
            "free_center": not known.center_is_known,
            "projection": known.projection,
            "focal_prior": known.focal_prior,
        }
        if poses is not None:
            with _timed(seconds, "find"):
                seen = people_of_poses(poses, source, given, settings, **options)
            origin = "own 2D poses"
        else:
            detector = build_detector(chosen.detector, device, settings)
            with _timed(seconds, "find"), _journal(folder) as journal:
                seen = find_people(
                    source, detector, given, settings, report, journal=journal, **options
                )
            origin = detector.weights_hash[:16]
        with _timed(seconds, "lift"):
            scene = to_scene(
                Path(image).name,
                seen,
                given,
                settings,
                (source.width, source.height),
                known.projection,
                crops=Crops(source, choose_device(device)),
                free_center=not known.center_is_known,
            )
        scene.diagnostics["projection"] = {"kind": known.projection, "source": known.source}
        scene.diagnostics["seconds"] = seconds
        scene.diagnostics["versions"]["weights"] = origin
        if reader is not None:
            with _timed(seconds, "read"), _journal(folder) as journal:
                body = bodies.load(BODY, LEVEL)
                scene = read_scene(reader, scene, source, body, settings, report, journal)
        if folder is not None:
            with _timed(seconds, "write"):
                from crowd3d.export import write_all

                picture = source.thumbnail(settings.overlay_px)
                write_all(scene, picture, folder, bodies.load(BODY, LEVEL), report=report)
            shutil.rmtree(folder / _JOURNAL, ignore_errors=True)
    return scene


def _known(camera: Camera | CameraHint | str | Path | None, source: tiling.ImageSource) -> Known:
    if isinstance(camera, Camera):
        return Known(camera, camera.projection, True, "given")
    if isinstance(camera, CameraHint):
        hint = camera
    else:
        hint = CameraHint(camera_json=None if camera is None else Path(camera))
    return hint.resolve(source.width, source.height, source.xmp, source.exif)


def _writable(folder: Path) -> Path:
    """Creates the folder, so that a run does not end after minutes with nowhere to write."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".crowd3d-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from None
    return folder


@contextmanager
def _journal(folder: Path | None) -> Iterator[tiling.Journal | None]:
    """The record of finished tiles; it stays when a run is killed, and goes when the picture is at fault."""
    if folder is None:
        yield None
        return
    try:
        with tiling.Journal(folder / _JOURNAL, sync=False) as journal:
            yield journal
    except tiling.ImageError:
        shutil.rmtree(folder / _JOURNAL, ignore_errors=True)
        raise


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)
