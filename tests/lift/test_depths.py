"""Depth from the body that fills a box: posture and stature count, and so do places weighed by it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from helpers.ground import World
from hypothesis import given
from hypothesis import strategies as st

from crowd3d import body as bodies
from crowd3d import lift
from crowd3d.config import Config
from crowd3d.errors import DataError, ModelError
from crowd3d.ground.fit import Evidence, fit_again, fit_camera
from crowd3d.lift import depths as depth_module
from crowd3d.lift.box_depth import gamma_of_extent, k_m
from crowd3d.lift.depths import (
    Depths,
    depths_of_bodies,
    depths_of_rootnet,
    extents_m,
    weighed_places,
)
from crowd3d.lift.people import estimated_depths, lift_people
from crowd3d.maths.box import Box
from crowd3d.models.rootnet import Root
from crowd3d.picture.crops import Crops, boxes_of_people
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.plane import Plane
from crowd3d.synth import PRESETS, Truth
from crowd3d.synth.draw.render import sample_setting
from crowd3d.synth.truth import truth_of
from optim.anthropometry import ADULT_STATURE_M, ANKLE_FRACTION, HIP_FRACTION

SIZE = (4000, 2250)


def people_at(box_px) -> Detections:
    box = np.atleast_2d(np.asarray(box_px, float))
    one = np.ones(len(box))
    none = np.zeros(len(box), np.int64)
    return Detections(one, one, box, np.zeros((len(box), 17, 3)), none > 0, none)


def bodies_at(depth_m, scale):
    """Rectangles of 0.4 m x 1.7 m x 0.3 m, times `scale`, and their boxes before a plain camera."""
    camera = Camera.from_fov(*SIZE, 60)
    corners = np.array(
        [[x, y, z] for x in (-0.2, 0.2) for y in (-0.85, 0.85) for z in (-0.15, 0.15)]
    )
    scale, depth_m = np.asarray(scale), np.asarray(depth_m)
    center = np.stack([0.3 * depth_m, 0.1 * depth_m, depth_m], axis=1)
    vertices = scale[:, None, None] * corners
    pixels = camera.project(vertices + center[:, None])
    return vertices, np.concatenate([pixels.min(1), pixels.max(1)], axis=1), camera


def test_the_extent_of_a_body_gives_its_depth():
    depth_m = np.array([10.0, 40.0, 150.0])
    vertices, box, camera = bodies_at(depth_m, [1.0, 0.6, 1.1])
    people = people_at(box)
    found = depths_of_bodies(vertices, people, camera)
    np.testing.assert_allclose(found.over_focal * camera.focal_px, depth_m, rtol=0.01)
    assert not found.is_new
    # A body of another size would be elsewhere: the extent counts, and nothing else of the shape.
    larger = depths_of_bodies(1.3 * vertices, people, camera)
    np.testing.assert_allclose(larger.over_focal, 1.3 * found.over_focal)
    assert (extents_m(vertices, box, camera) > 1.7 * np.array([1.0, 0.6, 1.1])).all()


def test_whom_the_border_cuts_is_unknown_and_so_is_who_is_not_in_the_picture():
    vertices, box, camera = bodies_at([10.0, 10.0, 10.0], [1.0, 1.0, 1.0])
    box[1, 2] = SIZE[0]
    box[2, [0, 2]] += 2 * SIZE[0]
    found = depths_of_bodies(vertices, people_at(box), camera)
    assert np.isfinite(found.over_focal).tolist() == [True, False, False]
    boxes, rows = boxes_of_people(box, SIZE)
    assert rows.tolist() == [0, 1] and boxes.extended
    nobody, none = boxes_of_people(np.zeros((0, 4)), SIZE)
    assert len(nobody) == 0 and len(none) == 0


@cache
def mixed_crowd(seed: int) -> Truth:
    """Standing, seated and small people on flat ground; nothing is drawn."""
    mixed = replace(PRESETS["plaza"], activities=(0.3, 0.1, 0.1, 0.0, 0.5), children=0.3)
    return truth_of(sample_setting(seed, SIZE, 100, mixed, None, None))


def seen_in(truth: Truth, seed: int) -> tuple[Detections, np.ndarray]:
    """Everybody as a good detector sees them: noise of 2 % of the height, hidden joints with low scores."""
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero((truth.visibility > 0.5) & (truth.inside > 0.99))
    box, keypoints = truth.boxes_px[rows], truth.keypoints_px[rows].copy()
    height = (box[:, 3] - box[:, 1])[:, None]
    keypoints[..., :2] += 0.02 * height[..., None] * rng.normal(size=keypoints[..., :2].shape)
    keypoints[..., 2] = np.where(keypoints[..., 2] == 2, 0.7, 0.2)
    box = box + 0.02 * height * rng.normal(size=box.shape)
    one = np.ones(len(rows))
    none = np.zeros(len(rows), np.int64)
    return Detections(one, one, box, keypoints, none > 0, none), rows


def fitted_of(truth: Truth) -> Fitted:
    camera = Camera(*SIZE, float(truth.focal_px), tuple(float(c) for c in truth.center_px))
    return Fitted(
        camera, [Plane(truth.normals[0], float(truth.offsets_m[0]))], np.eye(4) * 1e-8, {}
    )


@pytest.mark.parametrize("seed", [21, 22])
def test_bodies_beat_a_constant_gamma_by_a_third_where_people_sit_and_are_small(seed):
    """Acceptance of the learned gamma, met by the body fit; its control is the posture of somebody else."""
    truth = mixed_crowd(seed)
    people, rows = seen_in(truth, seed)
    fitted, true_m = fitted_of(truth), truth.torso_m[rows, 2]
    assert truth.seated[rows].mean() > 0.2 and truth.child[rows].mean() > 0.1
    body = bodies.load("open", "crowd")
    found = estimated_depths(people, fitted, body, Config().replace(depth_prior="body"))
    assert found is not None
    boxes, _ = boxes_of_people(people.box_px, SIZE)
    constant_m = k_m(boxes, fitted.camera.focal_px) * gamma_of_extent(ADULT_STATURE_M)
    judged_m = found.over_focal * fitted.camera.focal_px

    def error(depth_m):
        return np.nanmean(np.abs(np.log(depth_m / true_m)))

    assert error(judged_m) < 0.7 * error(constant_m)
    gamma = judged_m / constant_m
    strangers = np.random.default_rng(seed).permutation(gamma) * constant_m
    assert error(strangers) > 0.7 * error(constant_m)
    z = np.log(judged_m / true_m) / found.log_sd
    assert np.nanmean(np.abs(z) < 2.5) > 0.8


def depths_of(over_focal, log_sd=0.1, is_new=True) -> Depths:
    over_focal = np.asarray(over_focal, float)
    return Depths(over_focal, np.full(len(over_focal), log_sd), is_new)


@given(st.floats(5, 200), st.floats(-0.2, 0.2), st.floats(0.001, 0.5), st.floats(0.02, 0.5))
def test_places_are_weighed_by_information(depth_m, log_error, ground_sd, judged_sd):
    """Along the optical axis it is the mean of two logarithms, weighed by their inverse variances."""
    feet = np.array([[1.0, 1.5, depth_m]])
    covariance = np.zeros((1, 3, 3))
    covariance[0, 2, 2] = (ground_sd * depth_m) ** 2
    judged = depths_of([depth_m * np.exp(log_error) / 1000.0], judged_sd)
    move, after = weighed_places(feet, covariance, feet, judged, 1000.0)
    total = np.hypot(ground_sd, judged_sd)
    clipped = np.clip(log_error, -3 * total, 3 * total)
    share = ground_sd**2 / total**2
    np.testing.assert_allclose(move[0], [0, 0, depth_m * share * clipped], atol=1e-9 * depth_m)
    assert 0 <= after[0, 2, 2] <= covariance[0, 2, 2]


def test_ground_that_is_sure_keeps_people_and_gross_errors_move_them_little():
    feet = np.array([[0.0, 1.5, 50.0]] * 4)
    covariance = np.tile(np.diag([0.01, 0.0, 4.0]), (4, 1, 1))
    covariance[0] *= 1e-8
    judged = depths_of([0.06, np.nan, 0.06, 0.5])
    move, after = weighed_places(feet, covariance, feet, judged, 1000.0)
    assert np.abs(move[0]).max() < 1e-4 and (move[1] == 0).all()
    assert 0.5 < move[2, 2] < 2.0 and move[3, 2] < 3.0
    np.testing.assert_array_equal(after[1], covariance[1])
    assert (np.linalg.eigvalsh(after) > -1e-12).all()


def detections_of(keypoints) -> Detections:
    points, n = keypoints[..., :2], len(keypoints)
    box = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    none = np.zeros(n, np.int64)
    return Detections(np.ones(n), np.ones(n), box, keypoints, none > 0, none)


def hip_depths(world, keypoints):
    """(N,) true depths over focal length of those who stand."""
    ray = np.ones((len(keypoints), 3))
    ray[:, :2] = (keypoints[:, 15:, :2].mean(axis=1) - world.center_px) / world.focal_px
    ankle = 1.7 * ANKLE_FRACTION
    depth = (world.height - ankle) / -(ray @ world.normal)
    return (depth + (1.7 * HIP_FRACTION - ankle) * world.normal[2]) / world.focal_px


def test_judged_depths_make_a_camera_of_people_who_do_not_stand_surer():
    world = World(pitch=10, height=5.0)
    known = KnownCamera.of(Camera(*world.size, world.focal_px, tuple(world.center_px)))
    for outliers, least, most in ((1.0, 0.0, 0.9), (0.0, 0.9, 1.02)):
        keypoints = world.crowd(24, 3, outliers=outliers)
        people = detections_of(keypoints)
        fitted = fit_camera(people, known, Config())
        judged = Evidence(depths=(hip_depths(world, keypoints), np.full(24, 0.03)))
        better = fit_again(fitted, people, known, Config(), judged)
        assert least < better.covariance[3, 3] / fitted.covariance[3, 3] < most
        assert abs(better.planes[0].offset_m - 5.0) < max(abs(fitted.planes[0].offset_m - 5.0), 0.1)


def test_unknown_depths_and_panoramas_leave_the_camera():
    world = World(pitch=10, height=5.0)
    people = detections_of(world.crowd(12, 3))
    known = KnownCamera.of(Camera(*world.size, world.focal_px, tuple(world.center_px)))
    fitted = fit_camera(people, known, Config())
    unknown = Evidence(depths=(np.full(12, np.nan), np.full(12, 0.1)))
    ignorant = fit_again(fitted, people, known, Config(), unknown)
    assert ignorant.planes[0].offset_m == pytest.approx(fitted.planes[0].offset_m)
    panorama = replace(fitted, camera=replace(fitted.camera, projection="cylindrical"))
    told = Evidence(depths=(np.full(12, 0.01), np.full(12, 0.1)))
    assert fit_again(panorama, people, known, Config(), told) is panorama


def test_what_the_camera_does_to_everybody_is_not_mended_person_by_person():
    """An unsure camera must not make people follow depths that are judged one by one."""
    truth = mixed_crowd(21)
    people, rows = seen_in(truth, 21)
    body, lifter = bodies.load("open", "crowd"), lift.load()
    rng = np.random.default_rng(0)
    noisy = truth.torso_m[rows, 2] / float(truth.focal_px) * np.exp(rng.normal(0, 0.1, len(rows)))
    sure = fitted_of(truth)
    unsure = replace(sure, covariance=np.diag([0.15, 0.01, 0.01, 0.15]) ** 2)
    told = [
        lift_people(people, fitted, body, lifter, Config(), depths=depths_of(noisy))
        for fitted in (sure, unsure)
    ]
    np.testing.assert_allclose(told[0].torso_m, told[1].torso_m, atol=1e-9)
    moved = lift_people(people, sure, body, lifter, Config()).torso_m - told[0].torso_m
    assert np.abs(moved).max() > 0.01
    wider = [np.trace(t.position_cov_m2, axis1=1, axis2=2) for t in told]
    assert (wider[1] > wider[0]).all()


class Picture:
    """Grey, of a size, with a white column in the middle."""

    width, height = SIZE

    def read(self, x, y, w, h, out_size):
        columns = x + w * (np.arange(out_size[0]) + 0.5) / out_size[0]
        row = np.where(np.abs(columns - SIZE[0] / 2) < 20, 255, 100).astype(np.uint8)
        return np.broadcast_to(row[None, :, None], (out_size[1], out_size[0], 3)).copy()


def test_crops_are_black_beyond_the_picture_and_never_of_tight_boxes():
    crops = Crops(Picture())
    box = Box(np.array([[SIZE[0] - 50.0, 100.0, 100.0, 100.0]]), "xywh", extended=True)
    pixels = crops.read(box, 64)
    assert (pixels[0, :, :32] == 100).all() and (pixels[0, :, 32:] == 0).all()
    with pytest.raises(DataError, match="extend"):
        crops.read(replace(box, extended=False), 64)


class Sizer(torch.nn.Module):
    """In RootNet's place: gamma by the brightness of the crop."""

    def forward(self, image):
        gamma = 1.0 + 0.1 * (image.mean((1, 2, 3)) > -0.2).to(image)
        return Root(torch.zeros(len(image), 2), gamma, torch.zeros(len(image), 1, 64, 64))


def test_rootnet_tells_gamma_from_crops(monkeypatch):
    monkeypatch.setattr(depth_module.models, "shared", lambda name: Sizer())
    box = [[100.0, 100, 150, 300], [1970.0, 100, 2030, 300], [-90.0, 0, -20, 99]]
    found = depths_of_rootnet(people_at(box), Crops(Picture()))
    assert found.is_new
    # k = 2 m * f / (1.25 * 200 px)
    np.testing.assert_allclose(found.over_focal, [2 / 250, 1.1 * 2 / 250, np.nan])


def test_rootnet_without_weights_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("CROWD3D_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="crowd3d models import rootnet"):
        depths_of_rootnet(people_at([[100.0, 100, 150, 300]]), Crops(Picture()))


def test_only_new_evidence_moves_people_and_they_stay_on_the_ground():
    truth = mixed_crowd(21)
    people, _ = seen_in(truth, 21)
    people = people.filter(np.arange(12))
    fitted = replace(fitted_of(truth), covariance=np.diag([0.05, 0.02, 0.01, 0.05]) ** 2)
    body, lifter, config = bodies.load("open", "crowd"), lift.load(), Config()
    plain = lift_people(people, fitted, body, lifter, config)
    farther = 1.2 * plain.torso_m[:, 2] / fitted.camera.focal_px
    same = lift_people(
        people, fitted, body, lifter, config, depths=depths_of(farther, is_new=False)
    )
    np.testing.assert_array_equal(same.torso_m, plain.torso_m)
    moved = lift_people(people, fitted, body, lifter, config, depths=depths_of(farther))
    assert (moved.torso_m[:, 2] > plain.torso_m[:, 2]).all()
    assert (moved.torso_m[:, 2] < 1.2 * plain.torso_m[:, 2]).all()
    plane = fitted.planes[0]
    np.testing.assert_allclose(
        plane.signed_height_m(moved.torso_m), plane.signed_height_m(plain.torso_m), atol=1e-9
    )
    np.testing.assert_allclose(plane.signed_height_m(moved.hvip_m), 0, atol=1e-9)
