"""Synthetic crowds: the truth agrees with itself, and the same seed gives the same bytes."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from crowd3d import body
from crowd3d.errors import ConfigError
from crowd3d.scene.camera import Camera
from crowd3d.scene.plane import Plane
from crowd3d.synth import Truth, View, render_scene, synthesize, with_camera
from crowd3d.synth.draw.render import Renderer, Setting, sample_setting
from crowd3d.synth.figure.figures import tailor
from crowd3d.synth.place.boxes import Boxes
from crowd3d.synth.place.preset import Preset
from crowd3d.synth.place.presets import PRESETS, preset
from crowd3d.synth.truth import annotation, truth_of

SIZE = (320, 180)


PLACES = ("plaza", "stadium", "steep", "terrace", "slope", "stairs", "hillside", "split")


@pytest.fixture(scope="module", params=PLACES)
def truth(request: pytest.FixtureRequest) -> Truth:
    return truth_of(sample_setting(5, SIZE, 12, preset(request.param)))


def vertices_m(truth: Truth) -> np.ndarray:
    model = body.load("open", "full")
    rows = (
        torch.as_tensor(a, dtype=torch.float32) for a in (truth.pose, truth.betas, truth.transl_m)
    )
    with torch.inference_mode():
        return model(*rows).vertices.numpy().astype(np.float64)


def _only(setting: Setting, i: int) -> Setting:
    """The same scene with one person, and without boxes."""

    def one(rows):
        return replace(rows, **{f.name: getattr(rows, f.name)[i : i + 1] for f in fields(rows)})

    return replace(
        setting,
        world=replace(setting.world, boxes=Boxes.of([])),
        cast=one(setting.cast),
        bodies=one(setting.bodies),
        outfits=one(setting.outfits),
    )


def planes(truth: Truth) -> list[Plane]:
    return [Plane(n, float(d)) for n, d in zip(truth.normals, truth.offsets_m, strict=True)]


def test_pose_and_translation_reproduce_the_keypoints(truth: Truth) -> None:
    model = body.load("open", "full")
    again = model.keypoints(torch.as_tensor(vertices_m(truth), dtype=torch.float32)).numpy()
    assert np.abs(again - truth.keypoints_m).max() < 2e-3


def test_feet_are_on_their_plane(truth: Truth) -> None:
    for points, index in zip(vertices_m(truth), truth.plane, strict=True):
        lowest = planes(truth)[index].signed_height_m(points).min()
        assert -1e-3 <= lowest <= 0.03


def test_hvip_is_the_foot_of_the_torso(truth: Truth) -> None:
    for torso, hvip, index in zip(truth.torso_m, truth.hvip_m, truth.plane, strict=True):
        plane = planes(truth)[index]
        assert abs(plane.signed_height_m(hvip)) < 1e-9
        assert np.linalg.norm(np.cross(torso - hvip, truth.gravity)) < 1e-9
        assert plane.signed_height_m(torso) > 0.3


def test_keypoints_project_into_the_boxes(truth: Truth) -> None:
    camera = Camera(*SIZE, float(truth.focal_px), tuple(truth.center_px))
    assert np.allclose(camera.project(truth.keypoints_m), truth.keypoints_px[..., :2])
    low, high = truth.boxes_px[:, None, :2], truth.boxes_px[:, None, 2:]
    margin = 0.03 * (high - low).max(axis=2, keepdims=True)
    inside = np.all(
        (truth.keypoints_px[..., :2] >= low - margin)
        & (truth.keypoints_px[..., :2] <= high + margin),
        axis=2,
    )
    assert inside[truth.keypoints_px[..., 2] > 0].all()


def _least_gap_m(places_m: np.ndarray) -> float:
    gaps = np.linalg.norm(places_m[:, None] - places_m[None], axis=2) + 9 * np.eye(len(places_m))
    return float(gaps.min())


def test_nobody_stands_in_somebody_else() -> None:
    setting = sample_setting(2, SIZE, 150, preset("plaza"))
    places = setting.cast.position_m
    assert len(places) > 50
    assert _least_gap_m(places) >= Preset.clearance_m - 1e-9


def test_hidden_people_have_low_visibility() -> None:
    setting = sample_setting(2, SIZE, 6, preset("plaza"))
    alone = truth_of(setting).visibility
    # Everybody behind the first one, a metre farther from the camera each.
    shift = setting.bodies
    way = np.array([0.0, 0.0, -1.0])
    for i in range(1, 6):
        move = shift.joints_m[0, 0] + way * 0.7 * i - shift.joints_m[i, 0]
        move[1] = 0
        for name in ("joints_m", "keypoints_m", "crowd_vertices_m"):
            getattr(shift, name)[i] += move
    assert truth_of(setting).visibility[1:].mean() < alone[1:].mean()


@pytest.mark.parametrize("name", ["terrace", "stairs", "slope"])
def test_people_are_on_several_planes(name: str) -> None:
    setting = sample_setting(5, SIZE, 40, preset(name))
    truth = truth_of(setting)
    levels = setting.world.levels_m
    assert len(truth.normals) == len(levels) and len(np.unique(truth.plane)) > 1
    for index, z in zip(setting.cast.level, setting.cast.position_m[:, 1], strict=True):
        assert index == 0 or levels[index].back_z <= z <= levels[index].front_z
    # A level's points are on its plane, wherever it is seen from.
    view = setting.world.view
    for level, plane in zip(levels[1:], planes(truth)[1:], strict=True):
        z = level.front_z - np.array([0.1, 0.2, 0.3])
        points = np.stack([np.array([-3.0, 0.0, 5.0]), level.height_m(0.0, z), z], axis=1)
        assert np.allclose(plane.signed_height_m(view.to_camera(points)), 0, atol=1e-9)
        assert float(plane.normal @ truth.normals[0]) > 0.98


def test_a_slope_leans_towards_the_viewer() -> None:
    truth = truth_of(sample_setting(5, SIZE, 5, preset("slope")))
    assert truth.normals[1][2] < truth.normals[0][2]  # z is away from the camera


def test_a_camera_can_be_asked_for() -> None:
    chosen = with_camera(preset("plaza"), fov_deg=15.0, height_m=40.0, pitch_deg=60.0, roll_deg=3.0)
    truth = truth_of(sample_setting(1, SIZE, 4, chosen))
    fov = 2 * np.degrees(np.arctan(SIZE[0] / 2 / float(truth.focal_px)))
    assert fov == pytest.approx(15.0) and truth.offsets_m[0] == pytest.approx(40.0)
    assert with_camera(preset("plaza")) == preset("plaza")


@pytest.mark.parametrize("bad", [{"fov_deg": 9.0}, {"height_m": 90.0}, {"pitch_deg": -20.0}])
def test_impossible_cameras_are_named(bad: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        with_camera(preset("plaza"), **bad)


@pytest.mark.parametrize(
    ("fov", "height", "pitch"), [(15.0, 60.0, 60.0), (110.0, 1.2, -5.0), (110.0, 60.0, 60.0)]
)
def test_extreme_cameras_draw(fov: float, height: float, pitch: float) -> None:
    chosen = with_camera(preset("plaza"), fov_deg=fov, height_m=height, pitch_deg=pitch)
    picture, truth = render_scene(2, size=(160, 90), n_people=4, preset_name=chosen)
    assert picture.std() > 2 and len(truth) > 0
    assert np.isfinite(truth.keypoints_px).all()


def test_statures_are_those_of_the_cast() -> None:
    setting = sample_setting(4, SIZE, 10, preset("plaza"))
    assert np.abs(truth_of(setting).stature_m - setting.cast.stature_m).max() < 5e-3


def test_given_view_is_used() -> None:
    view = View.of_angles(Camera.from_fov(*SIZE, 50.0), 7.0, 20.0, 3.0)
    truth = truth_of(sample_setting(1, SIZE, 4, preset("plaza"), view))
    assert truth.focal_px == view.camera.focal_px
    assert truth.offsets_m[0] == 7.0
    normal = truth.normals[0]
    assert np.degrees(np.arcsin(-normal[2])) == pytest.approx(20.0)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(15, 110),
    st.floats(1.2, 40),
    st.floats(-5, 60),
    st.floats(-10, 10),
    st.integers(0, 99),
)
def test_view_rays_invert_projection(
    fov: float, height: float, pitch: float, roll: float, seed: int
) -> None:
    view = View.of_angles(Camera.from_fov(*SIZE, fov), height, pitch, roll)
    assert np.allclose(view.rotation @ view.rotation.T, np.eye(3))
    assert np.linalg.det(view.rotation) == pytest.approx(1.0)
    pixels = np.random.default_rng(seed).uniform(0, 1, (20, 2)) * SIZE
    points = view.eye_m + 10 * view.rays(pixels)
    assert np.allclose(view.project(points), pixels, atol=1e-6)
    assert np.allclose(view.plane().signed_height_m(view.to_camera(points)), points[:, 1])


def test_same_seed_same_bytes(tmp_path) -> None:
    for name in ("a", "b"):
        synthesize(tmp_path / name, seed=9, size=SIZE, n_people=5)
    for name in ("image.jpg", "truth.npz", "annotation.json", "camera.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "annotation.json",
        "camera.json",
        "image.jpg",
        "truth.npz",
    ]
    again = Truth.load(tmp_path / "a" / "truth.npz")
    assert len(again) == 5
    assert Camera.from_json(tmp_path / "a" / "camera.json").focal_px == float(again.focal_px)


def test_segmentation_and_visibility_are_those_of_the_picture(tmp_path) -> None:
    size = (480, 270)
    truth = synthesize(
        tmp_path / "a", seed=4, size=size, n_people=12, segmentation=True, preset_name="phone"
    )
    seen = cv2.imread(str(tmp_path / "a" / "segmentation.png"), cv2.IMREAD_UNCHANGED)
    assert seen.dtype == np.uint16 and seen.shape == (270, 480)
    pixels = np.bincount(seen.ravel(), minlength=len(truth) + 1)[1:]
    assert ((pixels == 0) == (truth.visibility == 0)).all()
    assert (truth.visibility >= 0).all() and truth.visibility.max() == 1.0
    assert np.array_equal(Truth.load(tmp_path / "a" / "truth.npz").visibility, truth.visibility)
    # Drawn alone, each person fills the outline of which the picture shows a share.
    setting = sample_setting(4, size, 12, preset("phone"))
    whole = np.flatnonzero(truth.inside == 1)
    hidden = whole[np.argsort(truth.visibility[whole])[:2]]
    assert truth.visibility[hidden].max() < 1
    for i in hidden:
        alone = sum(int((who >= 0).sum()) for _, _, who in Renderer(_only(setting, int(i))).tiles())
        assert truth.visibility[i] == pytest.approx(pixels[i] / alone)


def test_another_seed_another_picture() -> None:
    first, second = (render_scene(seed, size=SIZE, n_people=3)[0] for seed in (1, 2))
    assert np.abs(first.astype(int) - second).mean() > 2


def test_annotation_has_the_layout_of_largecrowd(truth: Truth) -> None:
    values = json.loads(json.dumps(annotation(truth, "x.jpg")))
    assert values["image_shape"] == {"height": SIZE[1], "width": SIZE[0]}
    people = values["frame_info"]["x.jpg"]
    assert len(people) == len(truth)
    for row in people:
        published = {"bbox", "keypoints", "type", "hvip2d", "hvip3d", "torso_center"}
        assert set(row) == published | {"visibility"}
        assert len(row["visibility"]) == 17 and set(row["visibility"]) <= {0, 1, 2}
        assert row["type"] in {"normal", "severe_occlusion", "truncation", "ghost"}
        left, top, right, bottom = row["bbox"]
        assert 0 <= left <= right <= 1 and 0 <= top <= bottom <= 1
        assert len(row["keypoints"]) == 34 and len(row["hvip3d"]) == 3


@pytest.mark.parametrize(
    "bad",
    [
        {"preset_name": "plazza"},
        {"size": (8, 180)},
        {"size": (320, 65_501)},
        {"n_people": -1},
        {"seed": -1},
        {"view": View.of_angles(Camera.from_fov(100, 100, 50.0), 7.0, 20.0)},
    ],
)
def test_bad_requests_are_named(bad: dict) -> None:
    with pytest.raises(ConfigError):
        render_scene(**{"seed": 0, "size": SIZE, "n_people": 2, **bad})


def test_empty_scene_has_no_people() -> None:
    picture, truth = render_scene(0, size=SIZE, n_people=0)
    assert len(truth) == 0 and truth.keypoints_px.shape == (0, 17, 3)
    assert picture.std() > 5


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_finds_room(name: str) -> None:
    assert len(sample_setting(3, SIZE, 20, preset(name)).cast) >= 15


@pytest.mark.parametrize("name", ["festival", "parade", "platform", "far"])
def test_a_crowd_is_as_dense_as_its_preset_says(name: str) -> None:
    chosen = preset(name)
    assert chosen.density is not None
    low, high = chosen.density
    for seed in (1, 2, 3):
        places = sample_setting(seed, (1280, 832), 200, chosen).cast.position_m
        assert _least_gap_m(places) >= chosen.clearance_m - 1e-9
        hull = ConvexHull(places)  # its volume is an area
        # Queues and pairs reach beyond the crowd's edge, and the picture's border cuts some of it off.
        assert 0.4 * low <= len(places) / hull.volume <= 1.8 * high
        across, deep = np.ptp(places, axis=0)
        assert 1 / 3 < across / deep < 4  # a crowd, and no line


def test_a_dense_crowd_goes_on_beyond_the_picture() -> None:
    truths = [truth_of(sample_setting(s, (640, 416), 200, preset("festival"))) for s in range(4)]
    cut = [int(((t.inside > 0.05) & (t.inside < 0.9)).sum()) for t in truths]
    assert max(cut) > 10
    for truth in truths:
        assert (truth.visibility < 0.3).mean() > 0.5  # most are hidden by others


def test_most_of_a_crowd_face_one_way() -> None:
    cast = sample_setting(4, SIZE, 120, preset("festival")).cast
    mean = np.exp(1j * cast.yaw_rad).mean()
    assert abs(mean) > 0.5
    assert abs(np.exp(1j * sample_setting(4, SIZE, 60, preset("plaza")).cast.yaw_rad).mean()) < 0.5


def test_umbrellas_phones_and_prams_are_drawn() -> None:
    dry = preset("street")
    for gear, reach_m in (("umbrellas", 0.25), ("prams", 0.0), ("phones", 0.0)):
        held = replace(dry, **{gear: 1.0})
        before, after = (sample_setting(6, SIZE, 4, chosen) for chosen in (dry, held))
        np.testing.assert_array_equal(before.cast.position_m, after.cast.position_m)
        figures = [tailor("crowd").figure(s.bodies, s.outfits, 0) for s in (before, after)]
        assert len(figures[1].vertices_m) > len(figures[0].vertices_m)
        rise = figures[1].vertices_m[:, 1].max() - figures[0].vertices_m[:, 1].max()
        assert rise >= reach_m
        assert np.isfinite(figures[1].normals).all()


def test_raised_arms_are_above_the_head() -> None:
    chosen = replace(
        preset("plaza"), raised=1.0, activities=(1.0, 0.0, 0.0, 0.0, 0.0), children=0.0
    )
    bodies = sample_setting(7, SIZE, 12, chosen).bodies
    wrists, head = bodies.joints_m[:, [20, 21], 1].max(axis=1), bodies.joints_m[:, 15, 1]
    assert (wrists > head).mean() > 0.8
