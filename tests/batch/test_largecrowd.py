"""Folders of pictures to predict.json: one camera a scene, killed and resumed, the exact format."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crowd3d import body
from crowd3d import config as configs
from crowd3d.batch import largecrowd
from crowd3d.batch.largecrowd import Options, predict_folder
from crowd3d.cli import main
from crowd3d.config import Config
from crowd3d.data import largecrowd as annotations
from crowd3d.data.truth import FrameTruth
from crowd3d.errors import BodyError, Crowd3dError, DataError, OutputError, SceneError
from crowd3d.evaluate.metrics.scene import scene_metrics
from crowd3d.export import predict_json
from crowd3d.ground.fit import fit_camera
from crowd3d.picture.reading import Reading
from crowd3d.pipeline import assemble
from crowd3d.pipeline.find import Seen
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.people import People
from crowd3d.scene.scene import Scene
from crowd3d.synth import Truth, mini

MEMBERS = {"pose", "shape", "trans_cam", "gender", "scale_smpl", "body"}
CONFIG = configs.load("fast")


def painted(root: Path, frames: int, n_people: int) -> Path:
    """The miniature without its pixels: pictures are one colour, the truth is all there."""

    def paint(setting: Any, path: Path) -> None:
        # Frames differ by their colour, because equal pictures would count as one.
        color = int(path.stem[-1]) * 20 + 100 * ("square1" in path.name)
        cv2.imwrite(str(path), np.full((*setting.size[::-1], 3), color, np.uint8))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mini, "write_picture", paint)
        mini.synthesize_largecrowd(root, seed=1, frames=frames, n_people=n_people)
    return root


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted(tmp_path_factory.mktemp("mini"), frames=4, n_people=40)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted(tmp_path_factory.mktemp("small"), frames=2, n_people=9)


@pytest.fixture(scope="module")
def results(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs over the miniature that several tests look at."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(largecrowd, "find_people", Eyes())
        run(blank, folder / "static.json", static=True)
        run(blank, folder / "moving.json")
    return {name: folder / f"{name}.json" for name in ("static", "moving")}


def truth_of_picture(picture: Path) -> Truth:
    root = picture.parents[2]
    return Truth.load(root / "truth" / picture.parent.name / f"{picture.stem}.npz")


class Eyes:
    """Stands for the network: sees everybody, with 1 % of their height of noise, and counts its looks."""

    def __init__(self) -> None:
        self.looks: list[str] = []

    def __call__(
        self,
        reading: Reading,
        detector: Any,
        known: KnownCamera,
        config: Config,
        fixed: Fitted | None = None,
    ) -> Seen:
        source, report = reading.source, reading.report
        self.looks.append(source.path.name)
        report.start("scout", 1)
        truth = truth_of_picture(source.path)
        keypoints = truth.keypoints_px.copy()
        rng = np.random.default_rng(len(source.path.name) + int(source.path.stem[-1]))
        heights = np.ptp(truth.boxes_px[:, 1::2], axis=1)[:, None, None]
        keypoints[..., :2] += 0.01 * heights * rng.standard_normal(keypoints[..., :2].shape)
        keypoints[..., 2] = 0.8
        n = len(truth)
        one, none = np.ones(n), np.zeros(n, np.int64)
        people = Detections(one, one, truth.boxes_px, keypoints, none > 0, none)
        fitted = fixed or fit_camera(people, known, config, free_center=True)
        report.advance()
        return Seen(people, fitted, 1, n, 1, is_fixed=fixed is not None, as_found=people)


@pytest.fixture
def eyes(monkeypatch: pytest.MonkeyPatch) -> Eyes:
    seen = Eyes()
    monkeypatch.setattr(largecrowd, "find_people", seen)
    return seen


def run(root: Path, out: Path, static: bool = False, **options: Any) -> dict[str, Any]:
    chosen = {k: options.pop(k) for k in ("minimal", "ground", "body") if k in options}
    predict_folder(root, out, Options(static_camera=static, **chosen), config=CONFIG, **options)
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def distances(points_m: np.ndarray) -> np.ndarray:
    gaps = np.linalg.norm(points_m[:, None] - points_m[None], axis=2)
    return gaps[np.triu_indices(len(points_m), 1)]


def pairwise_similarity(root: Path, out: Path) -> float:
    """Mean over frames of PPDS: everybody is found, in the order of the truth."""
    model, truth = body.load("open", "crowd"), annotations.load(root).frames
    scores = []
    for name, predicted in predict_json.read(out).items():
        ours = distances(predict_json.posed(predicted, model).torso_m)
        theirs = distances(truth[name].torso_m)
        scores.append(np.maximum(0, 1 - np.abs(ours - theirs) / theirs).mean())
    return float(np.mean(scores))


# -- the miniature --------------------------------------------------------------------------------


def test_the_miniature_is_a_largecrowd(blank: Path) -> None:
    found = annotations.load(blank)
    assert len(found) == 8 and {f.scene for f in found.frames.values()} == {
        "square0_00",
        "square1_00",
    }
    for name, frame in found.frames.items():
        assert frame.K is not None and len(frame.planes) == 1
        foot = frame.planes[0].foot_m(frame.torso_m)
        np.testing.assert_allclose(foot, frame.hvip_m, atol=1e-9)
        picture = blank / "images" / frame.scene / name
        assert picture.is_file() and frame.size == (1280, 720)
        truth = truth_of_picture(picture)
        np.testing.assert_allclose(frame.keypoints_px, truth.keypoints_px, rtol=1e-12)


def test_people_move_a_little_and_the_camera_does_not(blank: Path) -> None:
    frames = [f for f in annotations.load(blank).frames.values() if f.scene == "square0_00"]
    steps = np.linalg.norm(np.diff([f.hvip_m for f in frames], axis=0), axis=2)
    assert steps.max() < 1.7 and (steps > 0.3).any() and (steps < 0.15).any()
    assert all((f.K == frames[0].K).all() for f in frames)


# -- one camera a scene ---------------------------------------------------------------------------


def test_frames_of_a_static_camera_share_it(results: dict[str, Path]) -> None:
    static, moving = (json.loads(results[name].read_text()) for name in ("static", "moving"))
    focal = {name: entry["Intrinsic_matrix"][0][0] for name, entry in static.items()}
    assert len({f for name, f in focal.items() if "square0" in name}) == 1
    assert len(set(focal.values())) == 2
    assert len({entry["Intrinsic_matrix"][0][0] for entry in moving.values()}) == 8


def test_a_static_camera_beats_one_a_frame(blank: Path, results: dict[str, Path]) -> None:
    static, moving = (pairwise_similarity(blank, results[name]) for name in ("static", "moving"))
    assert static > moving + 0.002 and static > 0.93


def test_given_ground_is_used_as_it_is(small: Path, tmp_path: Path, eyes: Eyes) -> None:
    given = run(small, tmp_path / "given.json", ground=small / "params")
    truth = annotations.load(small).frames
    for name, entry in given.items():
        np.testing.assert_array_equal(entry["Intrinsic_matrix"], truth[name].K)
    assert pairwise_similarity(small, tmp_path / "given.json") > 0.93
    with pytest.raises(DataError, match=r"there is no folder .*square0_00"):
        run(small, tmp_path / "x.json", ground=tmp_path)


def test_a_users_body_answers_in_its_own_betas(small: Path, tmp_path: Path, eyes: Eyes) -> None:
    """The embedded body under another name stands for a user's SMPL file."""
    mine = tmp_path / "SMPL_NEUTRAL.npz"
    mine.write_bytes(Path(body.__file__).with_name("open_full.npz").read_bytes())
    run(small, tmp_path / "open.json", static=True)
    run(small, tmp_path / "mine.json", static=True, body=mine)
    theirs = predict_json.read(tmp_path / "open.json")
    for name, ours in predict_json.read(tmp_path / "mine.json").items():
        assert ours.body == ["SMPL_NEUTRAL.npz"] * len(ours)
        np.testing.assert_array_equal(ours.pose, theirs[name].pose)
        places = [
            predict_json.posed(p, body.load(b)).torso_m
            for p, b in ((ours, mine), (theirs[name], "open"))
        ]
        np.testing.assert_allclose(*places, atol=0.05)
        with pytest.raises(BodyError, match="of the body 'SMPL_NEUTRAL"):
            predict_json.posed(ours, body.load("open", "crowd"))


def test_sizes_of_a_static_camera_must_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k, width in enumerate((64, 80)):
        cv2.imwrite(str(tmp_path / f"a_0{k}.png"), np.zeros((60, width, 3), np.uint8))
    nobody = Seen(Detections.empty(), None, 1, 0, 0)
    monkeypatch.setattr(largecrowd, "find_people", lambda *_, **__: nobody)
    with pytest.raises(DataError, match=r"64 x 60 px and .* 80 x 60"):
        run(tmp_path, tmp_path / "out.json", static=True)
    assert not (tmp_path / "out.json").exists()


def test_nobody_anywhere_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "a_0.png"), np.zeros((60, 64, 3), np.uint8))
    nobody = Seen(Detections.empty(), None, 1, 0, 0)
    monkeypatch.setattr(largecrowd, "find_people", lambda *_, **__: nobody)
    assert run(tmp_path, tmp_path / "out.json", static=True)["a_0.png"]["person_list"] == []


# -- the file -------------------------------------------------------------------------------------


def test_the_format_is_exact(blank: Path, results: dict[str, Path]) -> None:
    whole = json.loads(results["static"].read_text())
    pictures = [
        p.name
        for s in ("square0_00", "square1_00")
        for p in sorted((blank / "images" / s).iterdir())
    ]
    assert list(whole) == pictures
    for entry in whole.values():
        assert set(entry) == {"Intrinsic_matrix", "person_list"}
        K = np.array(entry["Intrinsic_matrix"])
        assert K.shape == (3, 3) and K[0, 0] == K[1, 1] and K[2].tolist() == [0, 0, 1]
        assert len(entry["person_list"]) >= 30
        for person in entry["person_list"]:
            assert set(person) == MEMBERS | {"hvip2d", "hvip3d"}
            sizes = {"pose": 72, "shape": 10, "trans_cam": 3, "hvip2d": 2, "hvip3d": 3}
            assert {key: len(person[key]) for key in sizes} == sizes
            assert person["pose"][66:] == [0] * 6
            assert (person["gender"], person["scale_smpl"], person["body"]) == (
                "neutral",
                1.0,
                "open",
            )
            at = K @ person["hvip3d"]
            np.testing.assert_allclose(at[:2] / at[2], person["hvip2d"], atol=1e-6)


def test_minimal_leaves_out_the_ground_points(small: Path, tmp_path: Path, eyes: Eyes) -> None:
    whole = run(small, tmp_path / "whole.json", static=True)
    minimal = run(small, tmp_path / "minimal.json", static=True, minimal=True)
    for name, entry in minimal.items():
        assert entry["Intrinsic_matrix"] == whole[name]["Intrinsic_matrix"]
        for person, full in zip(entry["person_list"], whole[name]["person_list"], strict=True):
            assert person == {key: full[key] for key in MEMBERS}


def test_bodies_land_on_the_keypoints(blank: Path, results: dict[str, Path]) -> None:
    model, truth, errors = body.load("open", "crowd"), annotations.load(blank).frames, []
    for name, predicted in predict_json.read(results["static"]).items():
        pixels = predict_json.posed(predicted, model).keypoints_px
        height = np.ptp(truth[name].boxes_px[:, 1::2], axis=1)[:, None]
        errors.append(np.linalg.norm(pixels - truth[name].keypoints_px[..., :2], axis=2) / height)
    assert np.median(np.concatenate(errors)) < 0.03


def test_what_is_read_back_scores_like_what_was_in_memory(
    small: Path, tmp_path: Path, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes: dict[str, Any] = {}
    make = largecrowd.to_scene

    def kept(name: str, *rest: Any, **more: Any) -> Any:
        return scenes.setdefault(name, make(name, *rest, **more))

    monkeypatch.setattr(largecrowd, "to_scene", kept)
    run(small, tmp_path / "predict.json")
    model, truth = body.load("open", "crowd"), annotations.load(small).frames
    for name, read in predict_json.read(tmp_path / "predict.json").items():
        memory = in_memory(scenes[name])
        for field in dataclasses.fields(memory):
            np.testing.assert_array_equal(getattr(read, field.name), getattr(memory, field.name))
        posed = predict_json.posed(read, model)
        np.testing.assert_allclose(posed.torso_m, scenes[name].people.torso_m, atol=1e-4)
        scores = [score(predict_json.posed(p, model), truth[name]) for p in (read, memory)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-9) and scores[0]["PPDS"] > 0.5


def in_memory(scene: Scene) -> predict_json.Predicted:
    """What the file of a scene should hold."""
    people = scene.people.filter(np.flatnonzero(predict_json.has_body(scene.people)))
    pose = people.pose.copy()
    pose[:, 22:] = 0.0  # the format has no word for hands
    n = len(people)
    return predict_json.Predicted(
        scene.camera.K,
        pose,
        people.betas,
        people.transl_m,
        np.ones(n),
        people.hvip_px,
        people.hvip_m,
        [scene.body] * n,
    )


def score(posed: predict_json.Posed, truth: FrameTruth) -> dict[str, float]:
    area = np.prod(truth.boxes_px[:, 2:] - truth.boxes_px[:, :2], axis=1)
    return scene_metrics(
        posed.keypoints_px,
        posed.torso_m,
        truth.keypoints_px[..., :2],
        area,
        truth.torso_m,
        truth.hvip_m,
    )


def test_bodies_of_another_kind_are_not_posed() -> None:
    nothing = np.zeros((1, 0))
    predicted = predict_json.Predicted(
        np.eye(3),
        np.zeros((1, 24, 3)),
        np.zeros((1, 10)),
        np.zeros((1, 3)),
        np.ones(1),
        nothing,
        nothing,
        ["smpl"],
    )
    with pytest.raises(BodyError, match="of the body 'smpl', not of 'open'"):
        predict_json.posed(predicted, body.load("open", "crowd"))


def test_scale_enlarges_before_the_body_is_moved() -> None:
    pose, betas = np.zeros((2, 24, 3)), np.zeros((2, 10))
    place, none = np.array([[1.0, 2, 9], [1, 2, 9]]), np.full((2, 3), np.nan)
    K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    predicted = predict_json.Predicted(
        K, pose, betas, place, np.array([1.0, 2.0]), none[:, :2], none, ["open"] * 2
    )
    model = body.load("open", "crowd")
    posed = predict_json.posed(predicted, model)
    raw = model(torch.zeros(1, 24, 3), torch.zeros(1, 10)).vertices[0].numpy()
    np.testing.assert_allclose(posed.vertices_m[1], 2 * raw + place[1], atol=1e-5)
    point = posed.keypoints_m[0, 0]
    np.testing.assert_allclose(
        posed.keypoints_px[0, 0], [50 + 100 * point[0] / point[2], 40 + 100 * point[1] / point[2]]
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pose": [0] * 71}, '["a.jpg"].person_list[0].pose: has the shape 71, expected 72'),
        ({"shape": None}, "person_list[0]: there is no 'shape'"),
        ({"trans_cam": [0, 0, "x"]}, "person_list[0].trans_cam: holds something else"),
        ({"scale_smpl": 0}, "person_list[0].scale_smpl: 0 is no scale"),
        ({"gender": "none"}, "person_list[0].gender: 'none' is none of"),
        ({"hvip3d": [1]}, "person_list[0].hvip3d: has the shape 1, expected 3"),
        ({"body": 3}, "person_list[0].body: int where a string belongs"),
    ],
)
def test_mistakes_in_predictions_are_named(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    person = {"pose": [0] * 72, "shape": [0] * 10, "trans_cam": [0, 0, 9]}
    K = [[100, 0, 50], [0, 100, 40], [0, 0, 1]]
    entry = {"Intrinsic_matrix": K, "person_list": [person | change]}
    (tmp_path / "p.json").write_text(json.dumps({"a.jpg": entry}, indent=1))
    with pytest.raises(SceneError) as error:
        predict_json.read(tmp_path / "p.json")
    assert says in str(error.value) and "p.json, line" in str(error.value)


# -- killed and resumed ---------------------------------------------------------------------------


class Killer:
    """Progress that kills the run at the so-manieth look."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def start(self, stage: str, total: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def advance(self, steps: int = 1) -> None:
        pass


@pytest.mark.parametrize("kill_at", [0, 2, 5, 7])
def test_killed_runs_resume_to_the_same_bytes(
    small: Path, tmp_path: Path, eyes: Eyes, kill_at: int
) -> None:
    whole, killed = tmp_path / "whole.json", tmp_path / "killed.json"
    run(small, whole, static=True)
    n_looks = len(eyes.looks)
    assert n_looks == 8  # each frame for the camera, and once more
    with pytest.raises(KeyboardInterrupt):
        run(small, killed, static=True, progress=Killer(kill_at))
    journal = tmp_path / "killed.json.journal"
    assert journal.is_dir() and not killed.exists()
    with pytest.raises(OutputError, match="--resume"):
        run(small, killed, static=True)
    eyes.looks.clear()
    run(small, killed, static=True, resume=True)
    assert killed.read_bytes() == whole.read_bytes()
    assert not journal.exists() and len(eyes.looks) <= n_looks
    if kill_at == 7:
        assert len(eyes.looks) == 2 + 1  # the second scene's camera, and its last frame


def test_other_settings_or_pictures_are_looked_at_again(
    small: Path, tmp_path: Path, eyes: Eyes
) -> None:
    out = tmp_path / "predict.json"
    with pytest.raises(KeyboardInterrupt):
        run(small, out, progress=Killer(3))
    eyes.looks.clear()
    run(small, out, resume=True, minimal=True)
    assert len(eyes.looks) == 4
    assert out.read_bytes() == json_bytes(small, tmp_path / "fresh.json", minimal=True)


def json_bytes(root: Path, out: Path, **options: Any) -> bytes:
    run(root, out, **options)
    return out.read_bytes()


def test_the_refiner_sees_every_picture(
    small: Path, tmp_path: Path, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def refined(people: People, source: Any, *rest: Any) -> People:
        seen.append(source.path.name)
        return people

    monkeypatch.setattr(assemble, "refine_crops", refined)
    config = CONFIG.replace(refine_crops="crowdnet-s")
    predict_folder(small, tmp_path / "p.json", Options(), config=config)
    assert sorted(seen) == sorted(eyes.looks)


def test_damaged_records_are_named(small: Path, tmp_path: Path, eyes: Eyes) -> None:
    out = tmp_path / "predict.json"
    with pytest.raises(KeyboardInterrupt):
        run(small, out, progress=Killer(3))
    record = next((tmp_path / "predict.json.journal" / "frames").iterdir())
    record.write_text("{")
    with pytest.raises(OutputError, match=r"square0_00_00000\d\.jpg\.json is damaged"):
        run(small, out, resume=True)


# -- the command line -----------------------------------------------------------------------------


def test_the_command(small: Path, tmp_path: Path, eyes: Eyes) -> None:
    out = tmp_path / "predict.json"
    arguments = ["largecrowd", str(small), "-o", str(out), "--static-camera", "--config", "fast"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert f"in 4 pictures of 2 scenes -> {out}" in result.output
    for wrong, says in [
        (["largecrowd", str(tmp_path / "none"), "-o", str(out)], "is not a folder"),
        ([*arguments, "--split", "test"], "no pictures of the test split"),
        ([*arguments, "--body", str(tmp_path / "none.npz")], "none.npz"),
        (["largecrowd", str(small), "-o", str(tmp_path)], "is a folder; give the name of a file"),
    ]:
        result = CliRunner().invoke(main, wrong)
        assert result.exit_code == 2 and says in result.output, result.output
        assert not isinstance(result.exception, Crowd3dError)


def test_synth_makes_the_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mini, "SCENES", mini.SCENES[:1])
    monkeypatch.setattr(mini, "write_picture", lambda setting, path: path.touch())
    arguments = ["synth", "--preset", "largecrowd-mini", "-o", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "6 pictures in the layout of LargeCrowd" in result.output
    assert len(annotations.load(tmp_path)) == 6


@pytest.mark.slow
def test_from_images_to_a_file_with_the_network(tmp_path: Path) -> None:
    mini.synthesize_largecrowd(tmp_path / "mini", frames=3)
    predict_folder(tmp_path / "mini", tmp_path / "static.json", Options(static_camera=True))
    found = predict_json.read(tmp_path / "static.json")
    assert len(found) == 6 and sum(len(p) for p in found.values()) > 0.7 * 6 * 40
