"""A rendered crowd, told by its true keypoints, is scored as nearly right."""

import numpy as np
import pytest
from helpers.scenes import without_place
from shared import stages, ways
from shared.rendered import Crowd, chosen, rendered
from shared.score import matched, score

CROWD = Crowd("small", "plaza", (1600, 800), 25, 5)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return rendered(CROWD, tmp_path_factory.mktemp("crowds"))


def test_the_true_ground_leaves_little_error(drawn):
    row = score(ways.true_keypoints_and_ground(*drawn), drawn[1])
    assert row["recall_60"] == 1.0 and row["precision"] == 1.0
    assert abs(row["focal"]) < 1e-9 and row["normal_deg"] < 1e-3
    assert row["scene"]["PPDS"] > 0.9 and row["position"] < 0.05


def test_true_keypoints_alone_have_to_find_the_camera(drawn):
    row = score(ways.true_keypoints(*drawn), drawn[1])
    assert row["recall_60"] == 1.0
    assert 1e-6 < abs(row["focal"]) < 1


def test_a_crowd_is_drawn_once(drawn):
    image, truth = drawn
    before = image.stat().st_mtime_ns
    again, same = rendered(CROWD, image.parents[1])
    assert again.stat().st_mtime_ns == before and len(same) == len(truth)


def test_crowds_are_chosen_by_name():
    others = (CROWD, Crowd("other", "park", (800, 400), 5, 1))
    assert [c.name for c in chosen(others, "all")] == ["small", "other"]
    assert [c.name for c in chosen(others, " other")] == ["other"]
    with pytest.raises(Exception, match="no such scene: nobody"):
        chosen(others, "nobody")


@pytest.mark.filterwarnings("error")
def test_people_without_a_place_are_found_and_no_more(drawn):
    image, truth = drawn
    seen = stages.seen_before(ways._true_people(truth), ways._true_fit(truth))
    scene = stages.scene_of(image.name, seen, ways._size_px(truth))
    whole = score(ways.answer_of(scene), truth)
    some = ways.answer_of(without_place(scene, {"on a poster": [0, 2]}))
    row = score(some, truth)
    for name in ("answers", "recall_60", "precision"):
        assert row[name] == whole[name], name
    assert row["scene"]["recall"] == 1 and row["scene"]["PPDS"] > 0.9
    assert np.isfinite(row["pa_mpjpe_mm"]) and row["pa_mpjpe_mm"] != whole["pa_mpjpe_mm"]
    true, pred = matched(some.keypoints_px, truth).T
    others = ~np.isin(pred, [0, 2])
    assert others.sum() == len(pred) - 2
    away_m = np.linalg.norm(scene.people.torso_m[pred] - truth.torso_m[true], axis=1)
    assert row["position_m"] == np.median(away_m[others])
    nobody = ways.answer_of(without_place(scene, {"": list(range(len(scene.people)))}))
    row = score(nobody, truth)
    assert row["precision"] == 1 and "position" not in row
