"""People without a place are kept in the scene, with the reason and where they are."""

import numpy as np
import pytest
from helpers.crowds_seen import crowd_on, shifted

from crowd3d import Camera, Plane, Scene
from crowd3d.config import Config
from crowd3d.pipeline.assemble import to_scene
from crowd3d.pipeline.find import Seen
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.people import ABOVE

CAMERA = Camera.from_fov(4000, 2000, 60)
SIZE = (CAMERA.width, CAMERA.height)
GROUND = Plane(np.array([0.0, -np.cos(0.2), -np.sin(0.2)]), 8.0)
FITTED = Fitted(CAMERA, [GROUND], 0.01 * np.eye(4), {})
CROWD = crowd_on(CAMERA, GROUND, 20, 1, away_m=(20, 40))
SCREEN = shifted(crowd_on(CAMERA, GROUND, 4, 2, away_m=(20, 30), across=(-0.1, 0.1)), 900, -500)


@pytest.fixture(scope="module")
def scene():
    lost = CROWD.filter(np.array([0, 1]))
    lost.keypoints_px[..., 2] = 0.0  # nothing says where they stand
    people = Detections.cat([CROWD, lost])
    seen = Seen(people, FITTED, 9, 50, 1, others=SCREEN)
    return to_scene("picture.jpg", seen, KnownCamera(SIZE), Config())


def test_everybody_is_kept_and_only_the_crowd_has_a_place(scene):
    people = scene.people
    assert len(people) == len(CROWD) + len(SCREEN) + 2
    assert people.placed.sum() == len(CROWD)
    assert people.placed[: len(CROWD)].all()
    assert (np.diff(people.id) > 0).all()
    assert np.isfinite(people.pose).all() and np.isfinite(people.betas).all()


def test_the_reasons_name_who_and_where(scene):
    groups = scene.diagnostics["unplaced"]
    assert [len(group["ids"]) for group in groups] == [len(SCREEN), 2]
    named = [id_ for group in groups for id_ in group["ids"]]
    assert named == scene.people.id[~scene.people.placed].tolist()
    np.testing.assert_allclose(groups[0]["box_px"][:2], SCREEN.box_px[:, :2].min(axis=0))
    np.testing.assert_allclose(groups[0]["box_px"][2:], SCREEN.box_px[:, 2:].max(axis=0))
    first, second = scene.diagnostics["warnings"][-2:]
    left, top, right, bottom = (round(side) for side in groups[0]["box_px"])
    assert first.startswith(f"{len(SCREEN)} people have no place in the scene, ")
    assert f"the columns {left} to {right} and the rows {top} to {bottom}" in first
    assert second.startswith("2 people have no place") and "no ground" in second


def test_who_is_too_large_for_the_ground_but_not_for_a_platform_has_a_place_above_it():
    ground = Plane(GROUND.normal, 5.0)
    fitted = Fitted(CAMERA, [ground], 1e-5 * np.eye(4), {})
    crowd = crowd_on(CAMERA, ground, 40, 1, away_m=(15, 40))
    platform = crowd_on(CAMERA, Plane(GROUND.normal, 3.0), 8, 2, away_m=(12, 16))
    few, many = platform.filter(np.arange(2)), platform
    seen = Seen(crowd, fitted, 9, 50, 1, others=few)
    people = to_scene("picture.jpg", seen, KnownCamera(SIZE), Config()).people
    above = people.footing == ABOVE
    assert above.sum() == 2 and people.placed.all() and (np.diff(people.id) > 0).all()
    assert people.above_m[above] == pytest.approx(2.0, abs=0.6)
    np.testing.assert_array_equal(people.box_px[above], few.box_px)
    seen = Seen(crowd, fitted, 9, 50, 1, others=many)
    people = to_scene("picture.jpg", seen, KnownCamera(SIZE), Config()).people
    assert not people.placed[len(crowd) :].any()  # they have a ground of their own


def test_an_unknown_lens_that_looks_steeply_down_is_doubted():
    seen = Seen(CROWD, FITTED, 9, 50, 1, is_unrolled=True)
    unknown = to_scene("picture.jpg", seen, KnownCamera(SIZE), Config())
    assert any("looks steeply down" in said and "--fov" in said for said in _warnings(unknown))
    known = to_scene("picture.jpg", seen, KnownCamera(SIZE, CAMERA), Config())
    assert not any("looks steeply down" in said for said in _warnings(known))


def _warnings(scene: Scene) -> list[str]:
    return scene.diagnostics["warnings"]


def test_such_a_scene_is_saved_and_loaded(scene, tmp_path):
    scene.save(tmp_path)
    again = Scene.load(tmp_path)
    np.testing.assert_array_equal(again.people.plane, scene.people.plane)
    assert again.diagnostics["unplaced"] == scene.diagnostics["unplaced"]


def test_a_scene_of_people_with_places_names_nobody():
    seen = Seen(CROWD, FITTED, 9, 50, 1)
    scene = to_scene("picture.jpg", seen, KnownCamera(SIZE), Config())
    assert scene.people.placed.all() and scene.diagnostics["unplaced"] == []
    assert not any("no place" in warning for warning in scene.diagnostics["warnings"])
