"""`reconstruct`: the one public function that runs the whole pipeline on a picture."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import tiling
from crowd3d import body as bodies
from crowd3d import config as configs
from crowd3d.config import Config
from crowd3d.data.poses.reading import poses_of_picture
from crowd3d.files.atomic import refused
from crowd3d.ground.unsaid_panorama import panorama_doubt
from crowd3d.models.ray_engine import spread_over
from crowd3d.picture.camera_hint import CameraHint
from crowd3d.picture.crops import Crops
from crowd3d.picture.opening import opened, pixel_doubts
from crowd3d.picture.reading import Reading
from crowd3d.pipeline.assemble import BODY, LEVEL, read_scene, to_scene
from crowd3d.pipeline.given_poses import people_of_poses
from crowd3d.pipeline.networks import (
    build_detector,
    build_reader,
    check_weights,
    choose,
    choose_device,
    on_one_level,
)
from crowd3d.pipeline.run_key import run_of
from crowd3d.pipeline.unrolled import find_everybody
from crowd3d.progress import Progress, Reporter
from crowd3d.scene.camera import Camera
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.scene import Scene

_JOURNAL = ".crowd3d-journal"  # in the folder of the result; deleted when the result is complete


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
    ray: str | None = None,
) -> Scene:
    """Turn one photograph of a crowd into one metric 3D scene.

    Args:
        image: JPEG, PNG, TIFF or WebP of any size; AVIF, BMP, JPEG 2000, PSD or DNG (its preview); HEIC and
            JPEG XL with the extras `heic` and `jxl`.
        camera: what is known about the camera: a Camera, a CameraHint (which may tell gravity, height,
            ground and levels too), the path of a file that `crowd3d.picture.camera_files` reads, or None. What
            is given is kept.
        config: a preset's name, a YAML file, or a Config.
        model: "crowd3d-s", "crowd3dnet" or a .safetensors file of either; None for the embedded weights.
            With "crowd3dnet" the default network still finds people, camera and ground. Crowd3DNet then
            gives everybody's pose and place.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        out: folder for all output files, which replace those of an earlier run; None writes nothing. If a
            run is killed and started again with the same folder, it continues after the last finished tiles
            and ends with the same bytes.
        progress: is called at every stage and step, see `crowd3d.progress.Progress`.
        keypoints: file or folder with the user's own 2D poses, used instead of the detector; the formats are
            described in `crowd3d.data.keypoint_files`.
        ray: address of a Ray cluster over whose cores the picture is spread; "auto" for the cluster of this
            machine. The bytes are those of a run without it.

    Returns:
        Scene, possibly without people; `diagnostics["warnings"]` says in words what not to trust.

    Raises:
        ImageError, CameraError, ConfigError, DataError, OutputError, ModelError, EnvironmentProblem.
    """
    settings = config if isinstance(config, Config) else configs.load(config)
    chosen = choose(model)
    check_weights(settings)
    if chosen.reader is not None:
        settings = on_one_level(settings)
    reader = None if chosen.reader is None else build_reader(chosen.reader, device, settings)
    poses = None if keypoints is None else poses_of_picture(keypoints, Path(image).name)
    report = progress if progress is not None else Progress(enabled=False)
    seconds: dict[str, float] = {}
    with opened(image, settings) as source:
        known = _known(camera, source, settings)
        with _timed(seconds, "open"):
            source.prepare()
        run = run_of(
            source.identity, camera=camera, config=settings, model=model, keypoints=keypoints
        )
        folder = _writable(Path(out)) if out is not None else None
        with _journal(folder) as journal:
            reading = Reading(source, report, journal)
            with _timed(seconds, "find"):
                if poses is not None:
                    seen, origin = people_of_poses(poses, source, known, settings), "own 2D poses"
                    engine = heads = None
                else:
                    with spread_over(ray) as spread:
                        detector = build_detector(chosen.detector, device, settings, spread)
                        seen = find_everybody(reading, detector, known, settings)
                        origin, engine = detector.weights_hash[:16], detector.engine.facts
                        heads = detector.head_detector
                        detector.engine.rest()  # no network looks at the picture any more
            if doubt := panorama_doubt(source, seen.people, known, settings):
                known = replace(known, notes=(*known.notes, doubt))
            name = Path(image).name
            if reader is None:
                with _timed(seconds, "lift"):
                    crops = Crops(source, choose_device(device))
                    scene = to_scene(name, seen, known, settings, crops)
            else:
                with _timed(seconds, "read"):
                    scene = read_scene(name, seen, known, settings, reading, reader)
        scene.diagnostics["projection"] = {"kind": known.projection, "source": known.source}
        scene.diagnostics["seconds"] = seconds
        scene.diagnostics["versions"]["weights"] = origin
        scene.diagnostics["engine"] = engine
        scene.diagnostics["head_detector"] = heads
        scene.diagnostics["run"] = run
        scene.diagnostics["warnings"] = [*pixel_doubts(source), *scene.diagnostics["warnings"]]
        if source.damage is not None:
            scene.diagnostics["damage"] = asdict(source.damage)
        source.check_unchanged()
        if folder is not None:
            with _timed(seconds, "write"):
                from crowd3d.export import write_all

                picture = source.thumbnail(settings.overlay_px)
                write_all(scene, picture, folder, bodies.load(BODY, LEVEL), report=report)
            shutil.rmtree(folder / _JOURNAL, ignore_errors=True)
    return scene


def _known(
    camera: Camera | CameraHint | str | Path | None, source: tiling.ImageSource, config: Config
) -> KnownCamera:
    if isinstance(camera, CameraHint):
        hint = camera
    elif isinstance(camera, Camera):
        hint = CameraHint(camera=camera)
    else:
        hint = CameraHint(camera_json=None if camera is None else Path(camera))
    hint.must_agree_with(config)
    return hint.resolve(source.width, source.height, source.xmp, source.exif, source.camera_model)


def _writable(folder: Path) -> Path:
    """Create the folder and test it now, so that a run does not fail only at the end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise refused(f"into {folder}", error) from None
    return folder


@contextmanager
def _journal(folder: Path | None) -> Iterator[tiling.Journal | None]:
    """The record of finished tiles. It is kept when a run is killed, and deleted if the picture is bad."""
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
