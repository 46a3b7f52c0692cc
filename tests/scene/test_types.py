"""People, planes, configuration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd3d import Camera, People, Plane
from crowd3d import config as configs
from crowd3d.config import Config
from crowd3d.errors import ConfigError
from crowd3d.scene.people import ABOVE, SEATED, UNKNOWN
from crowd3d.scene.standing import foot_below_px, person_height_px
from crowd3d.scene.summary import footing_in_words, headcount


def test_people_select_and_join():
    people = People.empty(5)
    people.id[:] = np.arange(5)
    odd = people.filter(people.id % 2 == 1)
    assert odd.id.tolist() == [1, 3]
    both = People.cat([odd, people.filter(np.array([4, 0]))])
    assert both.id.tolist() == [1, 3, 4, 0]
    assert both.fisher.shape == (4, 24, 3, 3)
    assert len(People.cat([])) == 0


def test_people_of_unequal_length_are_refused():
    fields = People.empty(3).__dict__ | {"pose": np.zeros((2, 24, 3))}
    with pytest.raises(ValueError, match=r"People\.pose has shape"):
        People(**fields)


normals = st.tuples(st.floats(-0.6, 0.6), st.floats(-0.9, 0.3)).map(
    lambda t: np.array([t[0], -1.0, t[1]]) / np.linalg.norm([t[0], -1.0, t[1]])
)


@given(normals, st.floats(0.5, 50), st.lists(st.floats(-50, 50), min_size=3, max_size=3))
def test_the_foot_of_a_point_is_on_the_plane_below_it(normal, offset_m, point):
    plane = Plane(normal, offset_m)
    foot = plane.foot_m(point)
    assert plane.signed_height_m(foot) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(foot + plane.signed_height_m(point) * normal, point, atol=1e-9)


def test_rays_above_the_horizon_miss_the_ground():
    plane = Plane(np.array([0.0, -1.0, 0.0]), 2.0)
    hit = plane.intersect_m([[0.0, 0.5, 1.0], [0.0, -0.1, 1.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(hit[0], [0, 2, 4])
    assert np.isnan(hit[1:]).all()


@given(st.floats(1.75, 30.0), st.floats(0.0, 0.7), st.floats(0.3, 1.69))
def test_feet_are_found_below_any_height_of_a_person(camera_height_m, pitch_rad, height_m):
    camera = Camera.from_fov(4000, 2000, 60)
    normal = np.array([0.0, -np.cos(pitch_rad), -np.sin(pitch_rad)])
    plane = Plane(normal, camera_height_m)
    foot_m = plane.foot_m(np.array([[1.0, 0.0, 20.0]]))
    point_px = camera.project(foot_m + height_m * normal)
    np.testing.assert_allclose(
        foot_below_px(camera, plane, point_px, height_m),
        camera.project(foot_m),
        rtol=1e-6,
        atol=1e-4,
    )


def test_person_height_by_hand():
    camera = Camera(1000, 1000, 1000.0, (500.0, 500.0))
    plane = Plane(np.array([0.0, -1.0, 0.0]), 5.0)
    # A level camera 5 m up sees the feet of somebody 10 m ahead 500 px below the horizon, a head at 3.3 m: 330.
    height = person_height_px(camera, plane, np.array([[500.0, 1000.0]]), 1.70)
    assert height[0] == pytest.approx(170.0)


def test_presets_load_and_the_default_is_the_default():
    assert set(configs.preset_names()) >= {"default", "fast", "accurate", "largecrowd"}
    assert configs.load("default") == Config()
    for name in configs.preset_names():
        assert isinstance(configs.load(name), Config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tile_pix: 512", "did you mean 'tile_px'"),
        ("tile_px: 500", "multiple of 32"),
        ("tile_px: big", "must be int"),
        ("rounds: 0", "must be positive"),
        ("rounds: true", "must be int"),
        ("person_fill_min: 0.9", "below person_fill_max"),
        ("- a", "key: value"),
        ("a: [", "not valid YAML"),
    ],
)
def test_malformed_configs(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        configs.load(path)


def test_unknown_presets_name_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'accurate'"):
        configs.load("acurate")
    with pytest.raises(ConfigError, match="no config file"):
        configs.load(tmp_path / "missing.yaml")


def some_without_a_place(n=3):
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 100, (n, 17, 3))
    return People.unplaced_rows(
        score=rng.uniform(0, 1, n),
        box_px=rng.uniform(0, 100, (n, 4)),
        keypoints_px=keypoints,
        pose=rng.normal(0, 1, (n, 24, 3)),
        betas=rng.normal(0, 1, (n, 10)),
        fisher=rng.normal(0, 1, (n, 24, 3, 3)),
        seen=rng.integers(0, 3, n),
        support=rng.integers(1, 5, n),
    )


@pytest.mark.parametrize("n", [0, 3])
def test_people_without_a_place_join_the_others(n):
    lost = some_without_a_place(n)
    both = People.cat([People.empty(2), lost])
    assert both.placed.tolist() == [True] * 2 + [False] * n
    assert lost.id.tolist() == list(range(n)) and set(lost.plane) <= {-1}
    of_place = ("transl_m", "torso_m", "hvip_px", "hvip_m", "stature_m", "position_cov_m2")
    for name in (*of_place, "above_m", "above_sd_m"):
        assert np.isnan(getattr(lost, name)).all(), name
    for name in ("score", "box_px", "keypoints_px", "pose", "betas", "fisher", "torso_px"):
        assert np.isfinite(getattr(lost, name)).all(), name
    assert (lost.footing == UNKNOWN).all()
    middle = lost.keypoints_px[:, [5, 6, 11, 12], :2].mean(axis=1)
    np.testing.assert_array_equal(lost.torso_px, middle)


def test_rows_are_replaced_in_a_copy():
    people = People.empty(4)
    new = People.empty(2)
    new.stature_m[:] = 1.8
    changed = people.with_rows(np.array([3, 1]), new)
    assert changed.stature_m.tolist() == [0, 1.8, 0, 1.8] and not people.stature_m.any()


def test_who_is_not_on_the_feet_is_counted_in_words():
    people = People.empty(6)
    assert footing_in_words(people) == ""
    people.footing[:3] = SEATED
    assert footing_in_words(people) == "3 seated"
    people.footing[3] = ABOVE
    assert footing_in_words(people) == "1 above the ground, 3 seated"


def test_people_are_counted_in_words():
    assert headcount(People.empty(2)) == "2 people"
    both = People.cat([People.empty(2), some_without_a_place()])
    assert headcount(both) == "5 people (3 of them without a place)"
