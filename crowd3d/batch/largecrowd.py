"""Reconstruct a folder of crowd pictures into one `predict.json`, scene by scene; can be resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import tiling
from crowd3d import body as bodies
from crowd3d import config as configs
from crowd3d.batch.frame_journal import FrameJournal, Record
from crowd3d.config import Config
from crowd3d.data.folders import SceneFolder, find_scenes
from crowd3d.data.scene_params import read_fitted
from crowd3d.detect.detector import Detector
from crowd3d.errors import DataError
from crowd3d.export import predict_json
from crowd3d.export.rebody import rebody
from crowd3d.files import atomic, strict_json
from crowd3d.files.digests import digest_of, key_of
from crowd3d.ground.fit import assume_camera
from crowd3d.ground.static import fit_static
from crowd3d.picture.crops import Crops
from crowd3d.picture.opening import (
    opened,
    picture_identity,
    pixel_doubts,
    translated_errors,
)
from crowd3d.picture.reading import Reading
from crowd3d.pipeline.assemble import to_scene
from crowd3d.pipeline.find import Seen, find_people
from crowd3d.pipeline.networks import build_detector
from crowd3d.pipeline.self_check import doubts_of_fit
from crowd3d.progress import Progress, Reporter
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.scene import Scene
from crowd3d.version import __version__

# Number of frames whose people are used to fit the camera of a scene; more frames of the same people add
# little.
_CAMERA_FRAMES = 12


@dataclass(frozen=True)
class Options:
    """Options of a run that the user may choose.

    Attributes:
        static_camera: all frames of a scene share one camera and ground, fitted to the people of up to
            `_CAMERA_FRAMES` of its frames.
        minimal: leave out hvip2d and hvip3d, as GigaCrowd submissions do.
        ground: folder with SCENE/ground.npy and SCENE/cam_para.npy, which are used as they are; of several
            planes, only the first is used. None = fit them to the people.
        body: `.npz` in the SMPL layout, in whose parameters the result is written; None = the body `open`.
    """

    static_camera: bool = False
    minimal: bool = False
    ground: Path | None = None
    body: Path | None = None


@dataclass
class Summary:
    """Counts and warnings of a run.

    Attributes:
        warnings: what not to trust; each warning begins with the name of the picture.
    """

    n_scenes: int = 0
    n_frames: int = 0
    n_people: int = 0
    warnings: list[str] = field(default_factory=list)


def predict_folder(
    root: str | Path,
    out: str | Path,
    options: Options | None = None,
    *,
    split: str | None = None,
    resume: bool = False,
    config: str | Path | Config = "largecrowd",
    model: str | Path | None = None,
    device: str = "auto",
    progress: Reporter | None = None,
) -> Summary:
    """Reconstruct every picture below a folder and write one `predict.json`.

    The file appears when everything is done. Until then, the folder `OUT.journal` keeps the finished frames. A
    killed run continues with `resume` and ends with the same bytes.

    Args:
        root, split: as for `crowd3d.data.folders.find_scenes`.
        out: the file to write.
        resume: use the finished frames of an earlier run that was killed.
        config, model, device, progress: as for `crowd3d.reconstruct`.

    Raises:
        DataError, ImageError, ConfigError, OutputError, ModelError, BodyError, EnvironmentProblem.
    """
    options = options or Options()
    scenes = find_scenes(root, split)
    settings = config if isinstance(config, Config) else configs.load(config)
    detector = build_detector(model, device, settings)
    report = progress if progress is not None else Progress(enabled=False)
    journal = FrameJournal(Path(out), resume=resume)
    runner = _Runner(options, settings, detector, journal, report)
    summary = Summary(n_scenes=len(scenes))
    entries: list[str] = []
    for scene in scenes:
        for picture, record in runner.scene(scene):
            name = strict_json.dumps(picture.name).rstrip("\n")
            entries.append(f"{name}:{record.text}")
            summary.n_people += record.n_people
            summary.warnings += [f"{picture.name}: {w}" for w in record.warnings]
    summary.n_frames = len(entries)
    atomic.write_text(Path(out), "{" + ",\n".join(entries) + "}\n")
    journal.remove()
    return summary


class _Runner:
    """Everything that all frames of a run share, and the loops over frames."""

    def __init__(
        self,
        options: Options,
        config: Config,
        detector: Detector,
        journal: FrameJournal,
        report: Reporter,
    ) -> None:
        self.options, self.config, self.detector = options, config, detector
        self.journal, self.report = journal, report
        self.source_body = bodies.load("open", "crowd")
        self.body = bodies.load(options.body) if options.body is not None else None
        self.settings: dict[str, Any] = {
            "config": dataclasses.asdict(config),
            "minimal": options.minimal,
            "body": digest_of(options.body) if options.body is not None else None,
            "engine": detector.engine.facts,
            "weights": detector.weights_hash,
            "faces": detector.face_finder.weights_hash if detector.face_finder else None,
            "versions": [__version__, torch.__version__],
        }

    def scene(self, scene: SceneFolder) -> Iterator[tuple[Path, Record]]:
        """Yield every frame of a scene with its record, in order."""
        ground = self._ground(scene)
        chosen: list[Path] = []
        if self.options.static_camera and ground is None:
            chosen = _spread(scene.pictures, _CAMERA_FRAMES)
        of_scene = {
            **self.settings,
            "camera": [picture_identity(p, self.config.max_pixels) for p in chosen],
            "ground": _plain(ground) if ground is not None else None,
        }
        shared, warnings, is_shared = ground, list[str](), not chosen
        for index, picture in enumerate(scene.pictures):
            key = key_of({**of_scene, "image": picture_identity(picture, self.config.max_pixels)})
            record = self.journal.get(picture.name, key)
            if record is None:
                if not is_shared:
                    shared, warnings = self._shared(scene, chosen)
                    is_shared = True
                label = f"{scene.name} {index + 1}/{len(scene.pictures)}"
                record = self._frame(scene, picture, shared, label)
                if index == 0:
                    record.warnings[:0] = warnings
                self.journal.put(picture.name, key, record)
            yield picture, record
        self.journal.forget_tiles(scene.name)

    def _ground(self, scene: SceneFolder) -> Fitted | None:
        """Camera and ground of a scene as given by the user; None if they are not given."""
        if self.options.ground is None:
            return None
        with self._open(scene.pictures[0]) as source:
            return read_fitted(self.options.ground / scene.name, (source.width, source.height))

    def _shared(self, scene: SceneFolder, chosen: list[Path]) -> tuple[Fitted | None, list[str]]:
        """One camera and ground for the people of several frames together, and warnings about them."""
        frames: list[Seen] = []
        sizes = {}
        for index, picture in enumerate(chosen):
            report = _Labelled(self.report, f"{scene.name} camera {index + 1}/{len(chosen)}")
            with self._open(picture) as source, self._tiles(scene) as tiles:
                reading = Reading(source, report, tiles)
                known = KnownCamera(reading.size_px)
                frames.append(find_people(reading, self.detector, known, self.config))
                sizes[reading.size_px] = picture
        if len(sizes) > 1:
            (first, a), (second, b) = list(sizes.items())[:2]
            raise DataError(
                f"{a} has {first[0]} x {first[1]} px and {b} {second[0]} x {second[1]}; "
                "all frames of one static camera have the same size"
            )
        people = Detections.cat([seen.as_found for seen in frames])
        fits = [seen.fitted for seen in frames]
        walls = frames[0].evidence.structure
        fitted = fit_static(fits, people, known.size_px, self.config, walls)
        if fitted is not None:
            return fitted, doubts_of_fit(fitted, int(people.found_whole.sum()), known)
        if not len(people):
            return None, []
        fitted = assume_camera(people, known, self.config)
        return fitted, [f"the camera of {scene.name} could not be determined; it was assumed level"]

    def _frame(
        self, scene: SceneFolder, picture: Path, shared: Fitted | None, label: str
    ) -> Record:
        with self._open(picture) as source, self._tiles(scene) as tiles:
            reading = Reading(source, _Labelled(self.report, label), tiles)
            size = reading.size_px
            known = KnownCamera(size) if shared is None else KnownCamera.of(shared.camera)
            if known.size_px != size:
                raise DataError(
                    f"{picture} has {size[0]} x {size[1]} px, but the camera of {scene.name} is for "
                    f"{known.size_px[0]} x {known.size_px[1]}"
                )
            seen = find_people(reading, self.detector, known, self.config, fixed=shared)
            crops = Crops(source, self.detector.engine.device)
            result = to_scene(picture.name, seen, known, self.config, crops)
            result.diagnostics["warnings"] = [
                *pixel_doubts(source),
                *result.diagnostics["warnings"],
            ]
            source.check_unchanged()
        return self._record(result)

    def _record(self, scene: Scene) -> Record:
        if self.body is not None:
            scene = rebody(scene, self.source_body, self.body)
        entry = predict_json.to_predict(scene, self.options.minimal)[scene.image_name]
        text = strict_json.dumps(entry).rstrip("\n")
        return Record(text, len(entry["person_list"]), scene.diagnostics["warnings"])

    @contextmanager
    def _open(self, picture: Path) -> Iterator[tiling.ImageSource]:
        with opened(picture, self.config) as source:
            yield source

    @contextmanager
    def _tiles(self, scene: SceneFolder) -> Iterator[tiling.Journal]:
        folder = self.journal.tiles(scene.name)
        with translated_errors(), tiling.Journal(folder, sync=False) as tiles:
            yield tiles


class _Labelled:
    """A progress report that puts the name of the frame in front of the stage."""

    def __init__(self, report: Reporter, label: str) -> None:
        self._report, self._label = report, label

    def start(self, stage: str, total: int) -> None:
        self._report.start(f"{self._label} {stage}", total)

    def advance(self, steps: int = 1) -> None:
        self._report.advance(steps)


def _spread(pictures: list[Path], count: int) -> list[Path]:
    """At most `count` of the pictures, evenly spread from the first to the last."""
    if len(pictures) <= count:
        return pictures
    return [pictures[round(i * (len(pictures) - 1) / (count - 1))] for i in range(count)]


def _plain(fitted: Fitted) -> list[Any]:
    planes = [[*plane.normal.tolist(), plane.offset_m] for plane in fitted.planes]
    surface = fitted.surface
    ground = None
    if surface is not None and surface.relief is not None:
        ground = strict_json.plain(dataclasses.asdict(surface.relief))
    return [fitted.camera.to_dict(), planes, ground]
