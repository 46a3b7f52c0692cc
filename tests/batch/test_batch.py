"""Many pictures: which, where to, who does them, what is done already, and what becomes of a bad one."""

from __future__ import annotations

import csv
import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import permutations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from helpers.paths import DEMO, ROOT
from hypothesis import given
from hypothesis import strategies as st

from crowd3d import Camera, People, Plane, Scene, api
from crowd3d import config as configs
from crowd3d.batch import records
from crowd3d.batch import run as batch
from crowd3d.batch.plan import Task, parse_shard, plan, share
from crowd3d.batch.records import COLUMNS, RECORD, TABLE, Job
from crowd3d.batch.workers import spread
from crowd3d.cli import main
from crowd3d.errors import (
    CameraError,
    ConfigError,
    DataError,
    EnvironmentProblem,
    ImageError,
    OutputError,
)
from crowd3d.export import FILES
from crowd3d.files import atomic
from crowd3d.picture.camera_hint import CameraHint
from crowd3d.pipeline import run_key

JOB = Job(CameraHint(), configs.load("fast"))
TIMED = ("scene.json", "report.html", RECORD, TABLE)  # they tell the seconds that a run took


def paint(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(90, 160, (120, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return path


def names(tasks: list[Task]) -> list[str]:
    return [task.name for task in tasks]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a/1.png", "a/2.jpg", "b/1.png")):
        paint(tmp_path / "pictures" / name, seed)
    return tmp_path / "pictures"


class Stub:
    """Stands for `reconstruct`: leaves the files of a result, and remembers who was asked for."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.errors: dict[str, BaseException] = {}

    def __call__(self, picture: Path, *, out: Path, config: configs.Config, **rest: Any) -> Scene:
        name = f"{picture.parent.name}/{picture.name}"
        if name in self.errors:
            raise self.errors[name]
        self.done.append(name)
        out.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            (out / file).write_text(str(config.max_planes))
        camera = Camera.from_fov(160, 120, 60.0)
        plane = Plane(np.array([0.0, -1.0, 0.0]), 2.5)
        facts = {"warnings": ["one"], "seconds": {"find": time.perf_counter() % 7}}
        return Scene(camera, [plane], People.empty(3), picture.name, diagnostics=facts)

    def take(self) -> list[str]:
        done, self.done = self.done, []
        return done


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub()
    monkeypatch.setattr(api, "reconstruct", made)
    return made


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / TABLE, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def timeless(out: Path) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in rows(out)]


def test_pictures_are_found_in_order_and_keep_their_folders(tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "root" / "out"
    for name in ("b/frame10.JPG", "b/frame2.jpg", "a/x.tiff", "z.webp", "b/overlay.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name in (
        ".hidden.jpg", ".cache/y.jpg", "notes.txt", "out/b/frame2/overlay.jpg", "old/topview.png",
        "old/scene.json",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (tmp_path / "one").touch()
    tasks = plan([root, tmp_path / "one"], out)
    wanted = ["a/x.tiff", "b/frame2.jpg", "b/frame10.JPG", "b/overlay.jpg", "one", "z.webp"]
    assert names(tasks) == wanted
    assert tasks[2].folder == out / "b" / "frame10" and tasks[4].folder == out / "one"
    assert plan([tmp_path / "one", root], out) == tasks
    # Results beside the pictures: what lies with them are outputs, the pictures are not.
    (root / "z" / "scene.json").parent.mkdir()
    (root / "z" / "scene.json").touch()
    (root / "z" / "overlay.jpg").touch()
    assert "z.webp" in names(plan([root], root))
    assert "z/overlay.jpg" not in names(plan([root], root))


def test_pictures_that_are_left_out_are_counted_and_named(root: Path, stub: Stub) -> None:
    out = root / "out"
    (root / "a" / "old.gif").write_bytes(b"GIF89a")
    (root / "a" / "notes.txt").write_text("no picture")
    (root / ".hidden.gif").write_bytes(b"GIF89a")
    (root / "b" / "nameless").write_bytes((root / "b" / "1.png").read_bytes())
    run = call_batch(root, "-o", out)
    assert run.exit_code == 0 and "3 pictures: 3 done" in run.stdout
    line = next(line for line in run.stderr.splitlines() if "left out" in line)
    assert "2 files" in line and "a/old.gif, " in line and "b/nameless; convert or rename" in line
    (root / "c").mkdir()
    (root / "c" / "raw.cr2").write_bytes(b"II*\0")
    alone = call_batch(root / "c", "-o", out)
    assert (
        alone.exit_code == 2 and "no pictures are in" in alone.stderr and "raw.cr2" in alone.stderr
    )


def test_addresses_are_to_be_downloaded_first(tmp_path: Path) -> None:
    run = call_batch("https://example.org/crowd.jpg", "-o", tmp_path)
    assert run.exit_code == 2 and "download the picture first" in run.stderr


def test_a_record_tells_the_picture_that_was_read(
    root: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(picture: Path, **rest: Any) -> Scene:
        scene = stub(picture, **rest)
        scene.diagnostics["run"] = {"picture": "of the file that lay there when it was read"}
        return scene

    monkeypatch.setattr(api, "reconstruct", replaced)
    out = root.parent / "out"
    batch.run(plan([root], out), JOB, out)
    assert records.read_record(out / "a" / "1")["image"].startswith("of the file")


def test_results_that_would_overwrite_each_other_are_refused(tmp_path: Path) -> None:
    for name in ("b.jpg", "b.png"):
        paint(tmp_path / name)
    with pytest.raises(OutputError, match=r"b\.jpg.*b\.png"):
        plan([tmp_path], tmp_path / "out")
    with pytest.raises(OutputError, match=r"b\.jpg.*b\.png"):
        plan([tmp_path / "b.jpg", tmp_path / "b.png"], tmp_path / "out")
    assert len(plan([tmp_path / "b.jpg"] * 2, tmp_path / "out")) == 1


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        plan([tmp_path / "nowhere"], tmp_path / "out")
    with pytest.raises(DataError, match="no pictures"):
        plan([tmp_path], tmp_path / "out")


@given(st.integers(0, 60), st.integers(1, 70))
def test_shares_are_disjoint_and_together_everything(n_tasks: int, count: int) -> None:
    tasks = [Task(Path(str(i)), str(i), Path(str(i))) for i in range(n_tasks)]
    shares = [share(tasks, *parse_shard(f"{i + 1}/{count}")) for i in range(count)]
    assert sorted((task.name for one in shares for task in one), key=int) == names(tasks)
    sizes = [len(one) for one in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/", "/2", "-1/2", "a/b", "1/2/3", "1.5/2"])
def test_no_such_share(text: str) -> None:
    with pytest.raises(ConfigError, match="share"):
        parse_shard(text)


def test_a_job_travels_as_plain_values() -> None:
    job = dataclasses.replace(JOB, keypoints=Path("/poses.json"), model="crowd3d-s")
    assert Job.of(job.plain()) == job
    lens = Camera(640, 480, 500.0, (320.0, 240.0), (0.1, 0.0, 0.001, 0.0, 0.0), pixel_aspect=1.1)
    job = dataclasses.replace(job, camera=CameraHint(camera=lens, height_m=3.0))
    assert Job.of(json.loads(json.dumps(job.plain(), default=str))).camera == job.camera
    drawn = dataclasses.replace(JOB, camera=CameraHint(regions=Path("r.geojson")))
    assert Job.of(drawn.plain()).camera.regions == Path("r.geojson").absolute()
    assert Job.of(dataclasses.replace(JOB, model="m.safetensors").plain()).model == str(
        Path("m.safetensors").absolute()
    )


def changed_picture(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    paint(root / "b" / "1.png", seed=9)
    return job


def changed_settings(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    return dataclasses.replace(job, config=job.config.replace(max_planes=2))


def changed_camera(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    return dataclasses.replace(job, camera=CameraHint(fov_deg=50.0))


def changed_version(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(run_key, "__version__", "99")
    return job


def changed_weights(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(run_key, "_weights", lambda config, model: [DEMO])
    return job


def lost_file(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    (root.parent / "out" / "b" / "1" / "scene.glb").unlink()
    return job


def unreadable_record(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    (root.parent / "out" / "b" / "1" / RECORD).write_text("[1")
    return job


def changed_limit(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    return dataclasses.replace(job, config=job.config.replace(max_pixels=10**6))


def changed_device(root: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    return dataclasses.replace(job, device="cpu")


ALL = ["a/1.png", "a/2.jpg", "b/1.png"]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (changed_picture, ["b/1.png"]),
        (lost_file, ["b/1.png"]),
        (unreadable_record, ["b/1.png"]),
        (changed_settings, ALL),
        (changed_camera, ALL),
        (changed_version, ALL),
        (changed_weights, ALL),
        (changed_limit, []),
        (changed_device, []),
    ],
)
def test_only_what_changed_is_done_again(
    root: Path,
    stub: Stub,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, Job, pytest.MonkeyPatch], Job],
    again: list[str],
) -> None:
    out = root.parent / "out"
    tasks = plan([root], out)
    assert batch.run(tasks, JOB, out) == batch.Summary(3, 0, 3, 0)
    assert stub.take() == ALL
    whole = (out / TABLE).read_bytes()
    assert batch.run(tasks, JOB, out) == batch.Summary(3, 3, 0, 0)
    assert stub.take() == [] and (out / TABLE).read_bytes() == whole
    job = change(root, JOB, monkeypatch)
    summary = batch.run(tasks, job, out)
    assert stub.take() == again and summary.before == 3 - len(again)
    assert len(rows(out)) == 3


def test_a_killed_run_goes_on_and_its_folder_counts_for_no_other_settings(
    root: Path, stub: Stub
) -> None:
    out = root.parent / "out"
    tasks = plan([root], out)
    batch.run(tasks, JOB, out)
    stub.take()
    other = dataclasses.replace(JOB, config=JOB.config.replace(max_planes=2))
    stub.errors["a/2.jpg"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        batch.run(tasks, other, out)
    assert [row["picture"] for row in rows(out)] == ["a/1.png"]
    stub.errors.clear()
    batch.run(tasks, other, out)
    assert stub.take() == ["a/1.png", "a/2.jpg", "b/1.png"]  # the first before it was killed
    # Whoever was begun may hold files of either settings.
    stub.errors["a/2.jpg"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        batch.run(tasks, JOB, out)
    stub.errors.clear()
    stub.take()
    batch.run(tasks, other, out)
    assert stub.take() == ["a/1.png", "a/2.jpg"]


def test_a_bad_picture_does_not_stop_the_others(root: Path, stub: Stub) -> None:
    out, told = root.parent / "out", list[tuple[str, str]]()
    (root / "a" / "0.png").write_text("no picture")
    paint(root / "c" / "large.png")
    paint(root / "c" / "odd.png")
    stub.errors["c/large.png"] = MemoryError()
    stub.errors["c/odd.png"] = ZeroDivisionError("by\nnothing")
    stub.errors["b/1.png"] = ImageError(f"{root / 'b' / '1.png'}: damaged")
    tasks = plan([root], out)
    summary = batch.run(tasks, JOB, out, tell=lambda *line: told.append(line))
    assert summary == batch.Summary(6, 0, 2, 4)
    assert [kind for kind, _ in told] == ["failed", "done", "done", "failed", "failed", "failed"]
    table = {row["picture"]: row for row in rows(out)}
    assert list(table["a/1.png"]) == list(COLUMNS)
    assert table["a/1.png"]["people"] == "3" and table["a/1.png"]["camera_height_m"] == "2.5"
    assert table["a/1.png"]["fov_deg"] == "60.0" and table["a/1.png"]["warnings"] == "1"
    assert table["a/0.png"]["error"].startswith("a/0.png: not a JPEG")
    assert table["b/1.png"]["error"] == "b/1.png: damaged"
    assert "memory" in table["c/large.png"]["error"]
    assert table["c/odd.png"]["error"] == "ZeroDivisionError: by nothing"
    assert "Traceback" in json.loads((out / "c" / "odd" / RECORD).read_text())["traceback"]
    assert {row["error"] for name, row in table.items() if name in ALL[:2]} == {""}
    # Once repaired, it is all that is left to do.
    stub.errors.clear()
    stub.take()
    paint(root / "a" / "0.png")
    assert batch.run(tasks, JOB, out) == batch.Summary(6, 2, 4, 0)
    assert all(row["error"] == "" for row in rows(out))


def test_a_full_disk_stops_at_once(root: Path, stub: Stub) -> None:
    out = root.parent / "out"
    stub.errors["a/2.jpg"] = OutputError("cannot write scene.json: No space left on device")
    with pytest.raises(EnvironmentProblem, match="No space left"):
        batch.run(plan([root], out), JOB, out)
    assert stub.take() == ["a/1.png"]
    assert [row["picture"] for row in rows(out)] == ["a/1.png"]


def test_the_order_of_the_shards_does_not_matter(root: Path, stub: Stub) -> None:
    paint(root / "c" / "1.png")
    (root / "c" / "bad.png").write_text("no picture")
    tables = []
    for k, order in enumerate(permutations((1, 2, 3))):
        out = root.parent / f"out{k}"
        for i in order:
            batch.run(plan([root], out), JOB, out, shard=(i, 3))
        assert sorted(stub.take()) == [*ALL, "c/1.png"]
        tables.append(timeless(out))
    assert len(tables[0]) == 5 and all(table == tables[0] for table in tables)


def test_no_row_is_lost_when_two_shards_end_together(
    root: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = root.parent / "out"
    tasks = plan([root], out)
    batch.run(tasks, JOB, out)
    whole = (out / TABLE).read_bytes()
    last = out / "b" / "1" / RECORD
    kept = last.read_text()
    last.unlink()
    write = atomic.write_text

    def slow(path: Path, content: str) -> None:
        """The other shard finishes its picture, and writes its table, just before ours."""
        if path.name == TABLE and not last.exists():
            last.write_text(kept)
            write(path, whole.decode())
        write(path, content)

    monkeypatch.setattr(atomic, "write_text", slow)
    records.write_table(tasks, records.settings_key(JOB), out)
    assert (out / TABLE).read_bytes() == whole


def test_a_worker_of_another_version_is_found_out(root: Path, stub: Stub) -> None:
    task = plan([root], root.parent / "out")[0]
    call = (str(task.picture), task.name, str(task.folder))
    kind, line = batch.work(JOB.plain(), "another key", *call)
    assert kind == batch.STOPPED and "another crowd3d" in line and stub.take() == []


def test_pictures_of_one_name_cannot_have_poses_from_one_file(root: Path, stub: Stub) -> None:
    (root.parent / "poses.json").write_text("[]")
    job = dataclasses.replace(JOB, keypoints=root.parent / "poses.json")
    with pytest.raises(DataError, match="one name"):
        batch.run(plan([root], root.parent / "out"), job, root.parent / "out")


def test_a_camera_that_cannot_be_stops_before_the_start(tmp_path: Path) -> None:
    for hint in (CameraHint(fov_deg=190.0), CameraHint(camera_json=tmp_path / "no.json")):
        with pytest.raises(CameraError):
            records.settings_key(dataclasses.replace(JOB, camera=hint))
    key = records.settings_key(dataclasses.replace(JOB, camera=CameraHint(fov_deg=90.0)))
    assert key != records.settings_key(JOB)


def test_regions_that_cannot_be_stop_before_the_start(tmp_path: Path) -> None:
    job = dataclasses.replace(JOB, camera=CameraHint(regions=tmp_path / "r.geojson"))
    with pytest.raises(DataError, match="cannot read"):
        records.settings_key(job)
    ring = [[0, 0], [5000, 0], [5000, 4000], [0, 0]]
    area = {"type": "Polygon", "coordinates": [ring]}
    one = {"type": "Feature", "properties": {"level": 1}, "geometry": area}
    text = json.dumps({"type": "FeatureCollection", "features": [one]})
    (tmp_path / "r.geojson").write_text(text)
    assert records.settings_key(job) != records.settings_key(JOB)
    sloped = dataclasses.replace(job, config=job.config.replace(ground="slope"))
    with pytest.raises(ConfigError, match="regions name the levels"):
        records.settings_key(sloped)


def test_the_formats_are_described(root: Path, stub: Stub) -> None:
    out = root.parent / "out"
    batch.run(plan([root], out), JOB, out)
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert f'```csv title="{TABLE}"\n{",".join(COLUMNS)}\n' in page
    example = page.partition(f'```json title="{RECORD}"\n')[2].partition("```")[0]
    assert list(json.loads(example)) == list(records.read_record(out / "a" / "1"))


def call_batch(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["batch", *map(str, arguments)])


def test_exit_codes(root: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    out = root.parent / "out"
    good = call_batch(root, "-o", out, "--config", "fast")
    assert good.exit_code == 0, good.output
    assert len(good.stdout.splitlines()) == 4 and "3 done, 0 done before, 0 failed" in good.stdout
    stub.errors["a/2.jpg"] = ImageError("broken")
    bad = call_batch(root, "-o", out, "--quiet")
    assert bad.exit_code == 2 and bad.stdout == ""
    assert bad.stderr.splitlines()[0] == "failed: broken" and "1 of 3" in bad.stderr
    stub.errors["a/2.jpg"] = EnvironmentProblem("the device is gone")
    stopped = call_batch(root, "-o", out, "--max-planes", 3)
    assert stopped.exit_code == 3 and "crowd3d: the device is gone" in stopped.stderr
    monkeypatch.setenv("CROWD3D_HOME", str(root.parent / "empty"))
    weightless = call_batch(root, "-o", out, "--refine-crops", "3dcrowdnet")
    assert weightless.exit_code == 3 and "models import" in weightless.stderr
    monkeypatch.setitem(sys.modules, "ray", None)
    rayless = call_batch(root, "-o", root.parent / "other", "--ray", "auto")
    assert rayless.exit_code == 3 and "pip install 'crowd3d[ray]'" in rayless.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--shard", "0/4"], "0/4"),
        (["--fov", "190"], "between 0 and 180"),
        (["--config", "defalt"], "did you mean 'default'"),
        (["--model", "rootnet"], "no network for --model"),
        (["--keypoints", "nowhere.json"], "nowhere.json"),
        (["nowhere"], "nowhere"),
        (["--workers", "0"], "workers"),
        (["--fov", "60", "--focal-px", "500"], "only one of"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    root: Path, stub: Stub, options: list[str], says: str
) -> None:
    paint(root.parent / "other" / "c.png")
    run = call_batch(root.parent / "other", *options, "-o", root.parent / "out")
    assert run.exit_code == 2 and says in run.stderr
    assert stub.take() == [] and not (root.parent / "out").exists()


def nap(seconds: float) -> tuple[str, str]:
    """For a worker, which imports it from here."""
    time.sleep(seconds)
    return str(seconds), str(torch.get_num_threads())


def test_workers_come_as_they_finish_and_go_when_asked() -> None:
    start = time.monotonic()
    with closing(spread(nap, [(300.0,), (0.0,), (0.1,)], workers=2, threads=1)) as results:
        assert [next(results), next(results)] == [("0.0", "1"), ("0.1", "1")]
        assert multiprocessing.active_children()
    assert time.monotonic() - start < 200
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_told() -> None:
    with pytest.raises(EnvironmentProblem, match="fewer --workers"):
        list(spread(os._exit, [(1,)], threads=1))
    assert "VIPS_CONCURRENCY" not in os.environ


def crop(path: Path, x: int) -> None:
    """A piece of the demo with a few people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.asarray(cv2.imread(str(DEMO)))[420:820, x : x + 500])


@pytest.mark.skipif(not DEMO.exists(), reason="needs the demo picture of a checkout")
def test_two_workers_write_what_one_writes(tmp_path: Path) -> None:
    crop(tmp_path / "in" / "people.png", 500)
    paint(tmp_path / "in" / "far" / "noise.png")
    (tmp_path / "in" / "bad.jpg").write_text("this is not a picture")
    runs = {}
    for workers in (1, 2):
        command = ["batch", "in", "-o", f"out{workers}", "--config", "fast", "--threads", "1"]
        runs[workers] = subprocess.run(
            [sys.executable, "-m", "crowd3d", *command, "--workers", str(workers)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        assert runs[workers].returncode == 2, runs[workers].stderr
        assert "Traceback" not in runs[workers].stderr
        assert "3 pictures: 2 done, 0 done before, 1 failed" in runs[workers].stdout
    first, second = tmp_path / "out1", tmp_path / "out2"
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert len(files) == 2 * (len(FILES) + 1) + 2  # and the bad one's record, and the table
    for file in files:
        if file.name not in TIMED:
            assert (first / file).read_bytes() == (second / file).read_bytes(), file
    scenes = [json.loads((o / "people" / "scene.json").read_text()) for o in (first, second)]
    for scene in scenes:
        del scene["diagnostics"]["seconds"]
    assert scenes[0] == scenes[1] and scenes[0]["counts"]["people"] > 0
    assert timeless(first) == timeless(second) and "not a JPEG" in rows(first)[0]["error"]


@pytest.mark.slow
def test_ray(root: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(EnvironmentProblem, match="no Ray cluster"):
        list(spread(nap, [(0.0,)], ray="auto"))
    out = root.parent / "out"
    (root / "bad.png").write_text("no picture")
    tasks = plan([root], out)
    assert batch.run(tasks, JOB, out, ray="local", workers=2) == batch.Summary(4, 0, 3, 1)
    assert batch.run(tasks, JOB, out) == batch.Summary(4, 3, 0, 1)
