"""From files to scores: our own formats read back, the check of predict.json, the command and its page."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.scenes import level_scene, without_place

import crowd3d.evaluate as ev
from crowd3d.cli import main
from crowd3d.data.truth import FrameTruth
from crowd3d.errors import BodyError, DataError
from crowd3d.evaluate import points, report_html
from crowd3d.evaluate.check import check_predict
from crowd3d.evaluate.dataset import pair_names
from crowd3d.export import predict_json


def truth_of(scene, joints=False):
    """What a perfect annotator would say of a scene."""
    people, n = scene.people, len(scene.people)
    frame = FrameTruth.unknown(scene.image_name, "place", n)
    frame.boxes_px, frame.torso_m, frame.hvip_m = people.box_px, people.torso_m, people.hvip_m
    frame.hvip_px, frame.K = people.hvip_px, scene.camera.K
    frame.keypoints_px = people.keypoints_px.copy()
    frame.keypoints_px[..., 2] = 2
    if joints:
        frame.pose, frame.betas, frame.transl_m = people.pose, people.betas, people.transl_m
        frame.body = "open"
    return frame


def save_truth(scene, path):
    """The arrays of `crowd3d synth` that scorers need."""
    people = scene.people
    model_points = ev.read_predictions(scene)[scene.image_name]
    np.savez(
        path,
        keypoints_px=truth_of(scene).keypoints_px,
        boxes_px=people.box_px,
        torso_m=people.torso_m,
        hvip_m=people.hvip_m,
        hvip_px=people.hvip_px,
        pose=people.pose,
        betas=people.betas,
        transl_m=people.transl_m,
        joints_m=model_points.joints_m,
        image_size=np.array([4000, 2000]),
        visibility=np.ones(len(people)),
    )


def noisy(scene):
    rng = np.random.default_rng(9)
    moved = scene.people.filter(np.arange(len(scene.people)))
    moved.transl_m = moved.transl_m + rng.normal(0, 0.1, moved.transl_m.shape)
    return replace(scene, people=moved)


def test_points_of_a_body_are_those_of_its_whole_mesh():
    import torch

    from crowd3d import body

    scene = level_scene()
    model, people = body.load("open"), scene.people
    place = points.posed(model, people.pose, people.betas, people.transl_m)
    raw = model(
        *(torch.from_numpy(a).float() for a in (people.pose, people.betas, people.transl_m))
    )
    np.testing.assert_allclose(place.keypoints_m, model.keypoints(raw.vertices), atol=2e-5)
    np.testing.assert_allclose(place.joints_m, raw.joints, atol=2e-5)
    np.testing.assert_allclose(place.h36m_m, model.h36m(raw.vertices), atol=2e-5)
    whole = points.vertices_of(model, people.pose, people.betas, people.transl_m, np.ones(6))
    np.testing.assert_allclose(whole, raw.vertices, atol=2e-5)


def test_predict_json_scores_as_the_scene_in_memory(tmp_path):
    truth, guess = truth_of(level_scene()), noisy(level_scene())
    predict_json.write(guess, tmp_path / "predict.json")
    guess.save(tmp_path / "run")
    memory = ev.largecrowd(guess, truth)
    for source in (tmp_path / "predict.json", tmp_path / "run"):
        assert ev.largecrowd(source, truth) == pytest.approx(memory, abs=1e-9)
    assert 0.5 < memory["score"] < 1


def test_a_perfect_scene_scores_one(tmp_path):
    scene = level_scene()
    predict_json.write(scene, tmp_path / "predict.json")
    for flavour in ("scene", "largecrowd"):
        result = ev.evaluate(
            tmp_path / "predict.json", truth_of(scene, True), flavour, with_vertices=True
        )
        for name in ("PPDS", "PA-PPDS", "PCOD", "OKS", "recall", "SS", "score"):
            assert result.metrics[name] == pytest.approx(1, abs=1e-12), name
        assert result.bodies["joints"] == "H36M-14"
        assert result.bodies["PVE"] == pytest.approx(0, abs=1e-9)
        assert result.bodies["MPJPE_all"] == pytest.approx(0, abs=1e-9)
        assert result.bodies["AP_root_25"] == 1.0 and result.ap["AP"] == 1.0


def test_bodies_land_on_their_keypoints(tmp_path):
    scene = level_scene(20)
    predict_json.write(scene, tmp_path / "predict.json")
    frame = ev.read_predictions(tmp_path / "predict.json")["image.jpg"]
    people = scene.people
    away = np.linalg.norm(frame.keypoints_px - people.keypoints_px[..., :2], axis=2)
    height = people.box_px[:, 3] - people.box_px[:, 1]
    assert np.median(away / height[:, None]) < 1e-6


def test_vertices_of_different_bodies_are_refused(tmp_path):
    scene = level_scene()
    truth = truth_of(scene, joints=True)
    truth.body = "smpl"
    with pytest.raises(BodyError, match=r"'open'.*'smpl'"):
        ev.evaluate(scene, truth, with_vertices=True)
    notes = ev.evaluate(scene, truth).notes
    assert any("vertices are not compared" in note for note in notes)
    predict_json.write(scene, tmp_path / "predict.json")
    text = (tmp_path / "predict.json").read_text().replace('"body":"open"', '"body":"smpl"')
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(BodyError, match="give its file with --body"):
        ev.read_predictions(tmp_path / "other.json")


def test_people_who_do_not_count_are_set_aside():
    scene = level_scene(5)
    truth = truth_of(scene)
    truth.kind[4], truth.is_ignored[3] = "ghost", True
    result = ev.evaluate(scene, truth)
    assert result.metrics["precision"] == result.metrics["recall"] == 1.0
    assert result.counts["people"] == 3 and result.counts["set_aside"] == 2
    # A control: who is at no such place is a mistake.
    truth.boxes_px[3:] = 0
    assert ev.evaluate(scene, truth).metrics["precision"] == pytest.approx(3 / 5)


def test_pictures_of_one_side_only():
    one, two = level_scene(name="a.jpg"), level_scene(seed=1, name="b.jpg")
    truth = {"a.jpg": truth_of(one), "b.jpg": truth_of(two)}
    result = ev.evaluate(one, truth, "largecrowd")
    assert result.metrics["recall"] == 0.5 and result.metrics["score"] == pytest.approx(0.5)
    assert any("1 of 2 pictures" in note for note in result.notes)
    assert ev.evaluate(one, truth, "scene").metrics["PPDS"] == pytest.approx(1)


def test_names_of_pictures():
    assert pair_names(["x.png"], ["anything.jpg"]) == ["x.png"]
    assert pair_names(["x.png", "y.jpg"], ["s/x.jpg", "s/y.jpg", "z.jpg"]) == [
        "x.png",
        "y.jpg",
        None,
    ]
    with pytest.raises(DataError, match="no picture in common"):
        pair_names(["a.jpg", "b.jpg"], ["c.jpg"])
    with pytest.raises(DataError, match="several"):
        pair_names(["p/a.jpg", "q/a.jpg"], ["r/a.jpg"])


def _write(path, change):
    scene = level_scene(2)
    values = predict_json.to_predict(scene)
    change(values["image.jpg"], values["image.jpg"]["person_list"][1])
    path.write_text(json.dumps(values, indent=1))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, p: p.pop("shape"), r"person_list\[1\].*'shape'"),
        (lambda f, p: p["pose"].pop(), r"person_list\[1\]\.pose.*71.*72"),
        (lambda f, p: p.update(trans_cam=[0, "1", None]), r"person_list\[1\]\.trans_cam"),
        (lambda f, p: p.update(gender="other"), r"\.gender.*'other'"),
        (lambda f, p: p.update(scale_smpl=0), r"\.scale_smpl"),
        (lambda f, p: p.update(betas=[0]), r"\.betas.*no member"),
        (lambda f, p: p.pop("hvip3d"), r"person_list\[1\].*together"),
        (lambda f, p: f.pop("Intrinsic_matrix"), r"Intrinsic_matrix"),
        (lambda f, p: f["Intrinsic_matrix"][0].__setitem__(1, 5.0), r"Intrinsic_matrix"),
        (lambda f, p: f.update(person_list={}), r"person_list"),
    ],
)
def test_the_check_names_file_person_and_key(tmp_path, change, message):
    path = _write(tmp_path / "predict.json", change)
    with pytest.raises(DataError, match=message) as caught:
        check_predict(path)
    assert re.match(rf"{re.escape(str(path))}, line \d+: ", str(caught.value))


def test_the_check_accepts_what_we_write(tmp_path):
    path = _write(tmp_path / "predict.json", lambda f, p: None)
    found = check_predict(path)
    assert (found.pictures, found.people, found.bodies) == (1, 2, ["open"])
    assert all("hands" in warning for warning in found.warnings)
    moved = _write(tmp_path / "moved.json", lambda f, p: p.update(hvip2d=[0, 0]))
    assert any("person 1: hvip2d is" in w for w in check_predict(moved).warnings)


def _run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_the_command_on_a_run_and_a_synthetic_truth(tmp_path):
    scene = level_scene()
    (tmp_path / "truth").mkdir()
    save_truth(scene, tmp_path / "truth" / "truth.npz")
    noisy(scene).save(tmp_path / "run")
    out = ["--json", tmp_path / "s.json", "--html", tmp_path / "s.html"]
    done = _run("evaluate", tmp_path / "run", tmp_path / "truth", *out)
    assert done.exit_code == 0, done.output
    assert "PA-PPDS" in done.output and "MPJPE" in done.output
    values = json.loads((tmp_path / "s.json").read_text())
    assert values["metrics"]["recall"] == 1.0 and values["interval"]["PPDS"][0] > 0.5
    again = _run("evaluate", tmp_path / "run", tmp_path / "truth" / "truth.npz")
    assert again.output == done.output
    page = (tmp_path / "s.html").read_text()
    assert page.count("<svg") >= 4 and "<script" not in page
    assert not re.search(r"(src|href)=|https?://", page)


def test_the_command_and_mistakes(tmp_path):
    path = _write(tmp_path / "predict.json", lambda f, p: p.pop("shape"))
    checked = _run("evaluate", "--check", path)
    assert checked.exit_code == 2 and "'shape'" in checked.output
    good = _write(tmp_path / "good.json", lambda f, p: None)
    assert "2 people in 1 pictures" in _run("evaluate", "--check", good).output
    assert _run("evaluate", good).exit_code == 2
    assert _run("evaluate", good, tmp_path / "nowhere").exit_code == 2
    assert _run("evaluate", tmp_path / "nowhere", good).exit_code == 2
    (tmp_path / "empty").mkdir()
    assert "no scene.json" in _run("evaluate", tmp_path / "empty", good).output


def test_flat_poses_have_average_precision_only(tmp_path):
    scene = level_scene(3)
    people = scene.people
    poses = [
        {"image_id": 1, "category_id": 1, "score": 0.9, "keypoints": k.ravel().tolist()}
        for k in people.keypoints_px
    ]
    (tmp_path / "poses.json").write_text(json.dumps(poses))
    result = ev.evaluate(tmp_path / "poses.json", truth_of(scene))
    assert result.ap["AP"] == 1.0 and result.metrics["OKS"] == 1.0
    assert np.isnan(result.metrics["PPDS"]) and np.isnan(result.bodies["MRPE"])
    assert "<svg" in report_html.page(result, "poses")


def test_names_on_the_page_are_escaped():
    scene = level_scene(2, name="<b>.jpg")
    page = report_html.page(ev.evaluate(scene, truth_of(scene)), "a <script> & b")
    assert "<script>" not in page and "<b>.jpg" not in page and "&lt;b&gt;.jpg" in page


@pytest.mark.parametrize("flavour", ["scene", "largecrowd"])
def test_nobody_on_either_side(flavour):
    nobody, someone = level_scene(0), level_scene(3)
    assert ev.evaluate(nobody, truth_of(someone), flavour).metrics["score"] == 0.0
    empty = ev.evaluate(someone, truth_of(nobody), flavour)
    assert np.isnan(empty.metrics["recall"])
    report_html.page(empty, "nobody")


def test_people_without_a_place_are_found_in_pixels_only(tmp_path):
    scene = level_scene()
    truth = truth_of(scene, joints=True)
    lost = [1, 4]
    partly = without_place(scene, {"on a poster": lost})
    partly.people.keypoints_px[1, :3, 2] = 0  # not seen
    partly.save(tmp_path / "run")
    frame = ev.read_predictions(tmp_path / "run")["image.jpg"]
    assert len(frame) == 6 and np.isnan(frame.keypoints_px[1, :3]).all()
    for values in (frame.torso_m, frame.keypoints_m, frame.joints_m, frame.h36m_m):
        known = np.isfinite(values).reshape(6, -1)
        assert np.flatnonzero(~known.all(axis=1)).tolist() == lost
        assert np.flatnonzero(~known.any(axis=1)).tolist() == lost
    for flavour in ("scene", "largecrowd"):
        result = ev.evaluate(tmp_path / "run", truth, flavour, with_vertices=True)
        for name in ("PPDS", "PA-PPDS", "PCOD", "recall", "precision", "SS"):
            assert result.metrics[name] == pytest.approx(1, abs=1e-12), (flavour, name)
        assert result.bodies["MPJPE"] == pytest.approx(0, abs=1e-9)
        assert result.bodies["PVE"] == pytest.approx(0, abs=1e-9)
        assert result.bodies["MPJPE_all"] == pytest.approx(2 / 6 * 150)
        assert result.bodies["AP_root_25"] == pytest.approx(4 / 6)
        assert [p["error_m"] is None for p in result.people] == [i in lost for i in range(6)]


@pytest.mark.parametrize("flavour", ["scene", "largecrowd"])
def test_nobody_at_all_has_a_place(flavour):
    scene = level_scene(3)
    result = ev.evaluate(without_place(scene, {"": [0, 1, 2]}), truth_of(scene, True), flavour)
    assert result.metrics["recall"] == result.metrics["precision"] == 1
    assert result.bodies["AP_root_25"] == 0 and np.isnan(result.bodies["MPJPE"])


def test_3dpck_takes_people_without_a_place_as_not_found():
    scene = level_scene(4)
    partly = without_place(scene, {"": [2]})
    frame = ev.read_predictions(partly)["image.jpg"]
    truth = FrameTruth.unknown("image.jpg", "TS1", 4)
    truth.joint_set = "mupots17"
    truth.keypoints_px = np.concatenate(
        [scene.people.keypoints_px[..., :2], np.full((4, 17, 1), 2)], axis=2
    )
    truth.boxes_px = scene.people.box_px
    h36m = ev.read_predictions(scene)["image.jpg"].h36m_m
    truth.joints_m = np.zeros((4, 17, 3))
    truth.joints_m[:] = h36m[:, [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]]
    bodies = ev.evaluate({"image.jpg": frame}, truth).bodies
    assert bodies["3DPCK_abs_matched"] == 1 and bodies["3DPCK_abs"] == pytest.approx(3 / 4)
