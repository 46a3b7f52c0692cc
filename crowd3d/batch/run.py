"""Run a batch: reconstruct all pictures that are not done yet; if one fails, the others are still done."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowd3d import api
from crowd3d.batch import records
from crowd3d.batch.plan import Task, refuse_twins, share
from crowd3d.batch.records import Job
from crowd3d.batch.workers import spread
from crowd3d.errors import BodyError, Crowd3dError, EnvironmentProblem, ModelError, OutputError
from crowd3d.picture.opening import picture_identity
from crowd3d.progress import Reporter
from crowd3d.scene.summary import closing_line

DONE, FAILED, STOPPED = "done", "failed", "stopped"
# Errors of the machine or the installation, which would repeat for every picture.
_STOPPING = (EnvironmentProblem, OutputError, ModelError, BodyError)


@dataclass
class Summary:
    """Numbers of pictures: in the share of this run, done before, done now, and failed."""

    total: int
    before: int
    done: int = 0
    failed: int = 0


def run(
    tasks: Sequence[Task],
    job: Job,
    out: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    workers: int | None = None,
    threads: int | None = None,
    ray: str | None = None,
    progress: Reporter | None = None,
    tell: Callable[[str, str], None] = lambda kind, line: None,
) -> Summary:
    """Reconstruct what is not done yet, and write the table of everything that is done.

    Args:
        tasks: tasks of the whole batch; shard: the share of this run, (1-based index, number of shares).
        job: arguments for every picture.
        out: folder for the table.
        workers, threads, ray: as for `crowd3d.batch.workers.spread`.
        progress: is called when a picture is finished.
        tell: called with DONE or FAILED, and a line of text, when a picture is finished.

    Raises:
        Errors of `crowd3d.batch.records.settings_key`; EnvironmentProblem also if the machine stops the batch.
        Finished results are kept.
    """
    if job.keypoints is not None:
        refuse_twins(tasks)
    settings = records.settings_key(job)
    records.write_table(tasks, settings, out)  # tells at once if nothing can be written
    mine = share(tasks, *shard)
    left = [task for task in mine if not records.is_done(task, settings, job.config.max_pixels)]
    summary = Summary(len(mine), len(mine) - len(left))
    if progress is not None:
        progress.start("pictures", len(mine))
        progress.advance(summary.before)
    plain = job.plain()
    calls = [(plain, settings, str(t.picture), t.name, str(t.folder)) for t in left]
    is_for_gpu = job.device == "auto" or job.device.startswith("cuda")
    results = spread(work, calls, workers=workers, threads=threads, ray=ray, gpu=is_for_gpu)
    try:
        with closing(results):
            for kind, line in results:
                if kind == STOPPED:
                    raise EnvironmentProblem(line)
                summary.done += kind == DONE
                summary.failed += kind == FAILED
                tell(kind, line)
                if progress is not None:
                    progress.advance()
    except BaseException:
        with suppress(OutputError):  # the first error is the one to report
            records.write_table(tasks, settings, out)
        raise
    records.write_table(tasks, settings, out)
    return summary


def work(
    job: dict[str, Any], settings: str, picture: str, name: str, folder: str
) -> tuple[str, str]:
    """Reconstruct one picture, in any process: DONE, FAILED or STOPPED, and a line of text. Raises nothing."""
    try:
        return _work(Job.of(job), settings, Task(Path(picture), name, Path(folder)))
    except Crowd3dError as error:
        return STOPPED, _line(error)


def _work(job: Job, settings: str, task: Task) -> tuple[str, str]:
    if records.settings_key(job) != settings:
        raise EnvironmentProblem(
            "a worker has another crowd3d, or other weights, than the run that started it"
        )
    record: dict[str, Any] = {"picture": task.name, "settings": settings, "image": ""}
    try:
        records.forget(task.folder)
        record["image"] = picture_identity(task.picture, job.config.max_pixels)
        scene = api.reconstruct(
            task.picture,
            camera=job.camera,
            config=job.config,
            model=job.model,
            device=job.device,
            out=task.folder,
            keypoints=job.keypoints,
        )
    except _STOPPING:
        raise
    except Exception as error:  # any error, because the other pictures must still be done
        record["error"] = _line(error).replace(str(task.picture), task.name)
        if not isinstance(error, Crowd3dError | MemoryError):
            record["traceback"] = traceback.format_exc()
        records.write_record(task.folder, record)
        return FAILED, record["error"]
    # What was read, whatever lies there since.
    record["image"] = scene.diagnostics.get("run", {}).get("picture", record["image"])
    records.write_record(task.folder, {**record, **records.facts(scene), "error": ""})
    return DONE, closing_line(scene, task.folder)


def _line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory; try --config fast, fewer --workers or a smaller picture"
    text = " ".join(str(error).split())
    return text if isinstance(error, Crowd3dError) else f"{type(error).__name__}: {text}"
