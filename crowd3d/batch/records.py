"""Records: a small file beside the result of each picture of a batch, and the table made from all of them.

A record says for which picture and settings the result is valid. So a run that is started again does only what
is missing. The table is made from the records only. So it does not matter which process on which machine made
the records, and in which order.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowd3d.batch.plan import Task
from crowd3d.config import Config
from crowd3d.errors import Crowd3dError, DataError, printable
from crowd3d.export import FILES
from crowd3d.files import atomic, strict_json
from crowd3d.picture import camera_files
from crowd3d.picture.camera_hint import CameraHint
from crowd3d.picture.opening import picture_identity
from crowd3d.pipeline import run_key
from crowd3d.scene import level_regions
from crowd3d.scene.camera import Camera
from crowd3d.scene.scene import Scene

RECORD, TABLE = "batch.json", "batch.csv"
COLUMNS = (
    "picture",
    "folder",
    "people",
    "camera_height_m",
    "fov_deg",
    "warnings",
    "seconds",
    "error",
)


@dataclass(frozen=True)
class Job:
    """The arguments of `crowd3d.reconstruct` that all pictures of a batch share."""

    camera: CameraHint
    config: Config
    model: str | None = None
    device: str = "auto"
    keypoints: Path | None = None

    def plain(self) -> dict[str, Any]:
        """Plain values with absolute paths, for another process, which may run in another folder."""
        values = dataclasses.asdict(self)
        keypoints = self.keypoints
        for name in ("camera_json", "regions"):
            path = values["camera"][name]
            values["camera"][name] = None if path is None else path.absolute()
        values["keypoints"] = None if keypoints is None else keypoints.absolute()
        if self.model is not None and Path(self.model).suffix:  # a file, not a name
            values["model"] = str(Path(self.model).absolute())
        return values

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Job:
        """The inverse of `plain`."""
        hint, config = dict(plain["camera"]), Config(**plain["config"])
        if hint["camera"] is not None:
            hint["camera"] = Camera.from_dict(hint["camera"])
        return cls(**{**plain, "camera": CameraHint(**hint), "config": config})


def settings_key(job: Job) -> str:
    """SHA-256 of everything that the results depend on, except the pictures; also checks the camera.

    Raises:
        CameraError, ConfigError: the camera is impossible, or contradicts the settings.
        DataError, ModelError, EnvironmentProblem: as for `crowd3d.pipeline.run_key.settings_key`.
    """
    if job.camera.camera_json is not None:
        camera_files.read(job.camera.camera_json)
        _ = job.camera.ground
    else:
        hint = dataclasses.replace(job.camera, regions=None)  # they are pixels of the pictures
        hint.resolve(2000, 1000)  # any size that a whole sphere may have, too
    if job.camera.regions is not None:
        level_regions.read(job.camera.regions)
    job.camera.must_agree_with(job.config)
    return run_key.settings_key(
        camera=job.camera, config=job.config, model=job.model, keypoints=job.keypoints
    )


def is_done(task: Task, settings: str, max_pixels: int) -> bool:
    """Whether the result for this picture and these settings is complete."""
    record = read_record(task.folder)
    if record.get("settings") != settings or record.get("error") != "":
        return False
    is_there = all((task.folder / name).is_file() for name in FILES)
    with suppress(Crowd3dError, OSError):
        return is_there and record.get("image") == picture_identity(task.picture, max_pixels)
    return False


def table(tasks: Iterable[Task], settings: str, out: Path) -> str:
    """The text of `batch.csv`: a line for each picture that was done or tried with these settings.

    The same results give the same bytes, except for the seconds.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for task in tasks:
        record = read_record(task.folder)
        if record.get("settings") == settings:
            folder = task.folder.relative_to(out.absolute()).as_posix()
            row = {**record, "picture": task.name, "folder": folder}
            writer.writerow({key: printable(str(row.get(key, ""))) for key in COLUMNS})
    return text.getvalue()


def write_table(tasks: Sequence[Task], settings: str, out: Path) -> None:
    """Write `batch.csv`; raises OutputError.

    Other runs may finish pictures and write the table at the same time. So each run checks the records again
    after writing, and repeats until the table is up to date. At the end no picture is missing.
    """
    written, wanted = "", table(tasks, settings, out)
    while written != wanted:
        atomic.write_text(out / TABLE, wanted)
        written, wanted = wanted, table(tasks, settings, out)


def read_record(folder: Path) -> dict[str, Any]:
    """The record in the folder of a picture; empty if there is none or it cannot be read."""
    try:
        return strict_json.read_object(folder / RECORD)
    except DataError:
        return {}


def write_record(folder: Path, record: dict[str, Any]) -> None:
    atomic.write_text(folder / RECORD, strict_json.dumps(record, indent=1))


def forget(folder: Path) -> None:
    """Delete the record of a folder, before a new result is written there; raises OutputError."""
    try:
        (folder / RECORD).unlink(missing_ok=True)
    except OSError as error:
        raise atomic.refused(f"into {folder}", error) from None


def facts(scene: Scene) -> dict[str, Any]:
    """The values of a scene for the table."""
    plane = scene.planes[0] if scene.planes else None
    return {
        "people": len(scene.people),
        "camera_height_m": None if plane is None else round(plane.offset_m, 3),
        "fov_deg": None if plane is None else round(math.degrees(scene.camera.fov_rad), 2),
        "warnings": len(scene.diagnostics["warnings"]),
        "seconds": round(sum(scene.diagnostics["seconds"].values()), 1),
    }
