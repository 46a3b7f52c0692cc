"""Crop networks in a scene: a right answer is taken, a wrong one is not, and the cameras agree."""

import dataclasses

import numpy as np
import pytest
import roma
import torch

from crowd3d import body as bodies
from crowd3d import lift, models
from crowd3d.body.rig import rig_of
from crowd3d.config import Config
from crowd3d.errors import ConfigError, ModelError
from crowd3d.lift.people import lift_people
from crowd3d.lift.standing import pose_bodies
from crowd3d.models.crowdnet3d import CrowdNet3D, PoseDecoder
from crowd3d.refine import crop_networks
from crowd3d.refine import crops as crop_refiner
from crowd3d.refine.crop_networks import Answer, expert, published_crops
from crowd3d.refine.crops import (
    Judged,
    candidates,
    is_better,
    judge,
    overlapping,
    refine_crops,
    refine_with,
)
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.training.crops import scene as scenes
from crowd3d.training.lift.metrics import JOINTS_14, procrustes

JUST_LIFTED = Config(refine_pose=False)
COUNT = 8


class Nothing:
    """A picture that must not be looked at."""

    width, height = 1600, 900

    def read(self, *_):
        raise AssertionError("the picture was read")


@pytest.fixture(scope="module")
def body():
    return bodies.load("open", "crowd")


@pytest.fixture(scope="module")
def scene(body):
    """Pairs of people in everyday poses, their true pose and what the lift makes of true keypoints."""
    camera = Camera.from_fov(1600, 900, 60.0)
    tilt = np.deg2rad(12.0)
    up = np.array([0.0, -np.cos(tilt), -np.sin(tilt)])
    fitted = Fitted(camera, [Plane(up, 3.0)], np.zeros((4, 4)), {})
    rng = np.random.default_rng(4)
    pose = scenes.rule_poses(400, 5)[:COUNT]
    to_camera = np.array(
        [[1, 0, 0], [0, -np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), -np.cos(tilt)]]
    )
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(pose))
    yaw = roma.rotvec_to_rotmat(torch.from_numpy(rng.uniform(-3, 3, (COUNT, 1)) * [0.0, 1.0, 0.0]))
    rotations[:, 0] = torch.from_numpy(to_camera) @ yaw @ rotations[:, 0]
    betas = body.betas_for_stature(torch.from_numpy(rng.normal(1.7, 0.05, COUNT)).float())
    posed = pose_bodies(body, rotations.float(), betas, up)
    row = np.arange(COUNT)
    foot = (
        -3.0 * up + np.array([[1.0, 0, 0]]) * (-2.5 + 1.5 * (row // 2) + 0.2 * (row % 2))[:, None]
    )
    ahead = np.array([0.0, -np.sin(tilt), np.cos(tilt)])
    foot = foot + ahead * (8.0 + 0.6 * (row % 2))[:, None]
    points = (
        posed.keypoints - posed.torso[:, None] + (foot + posed.torso_height[:, None] * up)[:, None]
    )
    keypoints = np.concatenate([camera.project(points), np.full((COUNT, 17, 1), 0.9)], axis=2)
    boxes = np.concatenate([keypoints[..., :2].min(1) - 8, keypoints[..., :2].max(1) + 8], axis=1)
    one, none = np.ones(COUNT), np.zeros(COUNT, np.int64)
    found = Detections(one, one, boxes, keypoints, none > 0, none)
    people = lift_people(found, fitted, body, lift.load(), JUST_LIFTED)
    assert len(people) == COUNT
    return people, fitted, rotations


def says(rotations):
    """A network that answers with given rotations (N, 24, 3, 3), by the ids of those it is shown."""

    def ask(people):
        return Answer(rotations[people.id], 50 * rotations[people.id])

    return ask


def pa_mm(body, people, rotations):
    """PA-MPJPE of each person against true rotations (N, 24, 3, 3)."""

    def joints(pose, betas):
        return body.joints_only(pose, betas)[:, list(JOINTS_14)]

    with torch.inference_mode():
        betas = torch.from_numpy(people.betas).float()
        truth = joints(rotations.float(), betas)
        found = joints(torch.from_numpy(people.pose).float(), betas)
        return 1000 * (procrustes(found, truth) - truth).norm(dim=-1).mean(1).numpy()


def test_the_truth_is_believed(scene, body):
    people, fitted, truth = scene
    assert candidates(people, fitted, body).sum() >= 6
    refined, accepted = refine_with(people, says(truth), fitted, body, JUST_LIFTED)
    assert accepted.sum() >= 6
    before, after = pa_mm(body, people, truth), pa_mm(body, refined, truth)
    assert before[accepted].mean() > 25 and after[accepted].max() < 1
    np.testing.assert_array_equal(refined.pose[~accepted], people.pose[~accepted])


def test_the_truth_is_believed_after_the_fit_to_keypoints_too(scene, body):
    people, fitted, truth = scene
    refined, accepted = refine_with(people, says(truth), fitted, body, Config())
    before, after = pa_mm(body, people, truth), pa_mm(body, refined, truth)
    assert accepted.sum() >= 6 and after[accepted].mean() < 0.4 * before[accepted].mean()


@pytest.mark.parametrize("lie", ["stranger", "mirror image", "upside down", "away"])
def test_a_lie_is_not_believed(scene, body, lie):
    """The negative control: answers that are wrong in the ways in which networks are."""
    people, fitted, truth = scene
    told = truth.clone()
    if lie == "stranger":
        told = truth[torch.roll(torch.arange(COUNT), 3)]
    elif lie == "mirror image":
        told = truth @ roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, 0.4]).double())
    elif lie == "upside down":
        told[:, 0] = told[:, 0] @ roma.rotvec_to_rotmat(torch.tensor([0.0, 0.0, np.pi]).double())
    else:
        told[:, 0] = told[:, 0] @ roma.rotvec_to_rotmat(torch.tensor([0.0, 2.0, 0.0]).double())
    refined, accepted = refine_with(people, says(told), fitted, body, JUST_LIFTED)
    assert accepted.sum() <= 1
    assert pa_mm(body, refined, truth).mean() <= pa_mm(body, people, truth).mean() + 2


def test_without_the_gate_a_lie_would_be_harmful(scene, body, monkeypatch):
    """What the gate is worth: the control of the control."""
    people, fitted, truth = scene
    told = says(truth[torch.roll(torch.arange(COUNT), 3)])
    monkeypatch.setattr(
        crop_refiner, "is_better", lambda before, after: np.ones(len(before.feet_m), bool)
    )
    refined, accepted = refine_with(people, told, fitted, body, JUST_LIFTED)
    assert accepted.sum() >= 6
    assert pa_mm(body, refined, truth).mean() > pa_mm(body, people, truth).mean() + 20


def test_both_the_picture_and_the_feet_have_a_say():
    def judged(px, feet):
        return Judged(np.array(px, float), np.array(feet, float))

    before = judged([0.5, 0.5, 0.5, np.inf, 0.5, 0.0], [0.01, 0.01, 0.3, 0.0, 0.0, 0.0])
    after = judged([0.4, 0.4, 0.4, np.inf, 0.6, 0.0], [0.02, 0.2, 0.1, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(is_better(before, after), [1, 0, 1, 0, 0, 1])


def test_unsure_keypoints_do_not_judge(scene, body):
    people, fitted, _ = scene
    rig = rig_of(body)

    def with_wrist(score):
        moved = dataclasses.replace(people, keypoints_px=people.keypoints_px.copy())
        moved.keypoints_px[:, 9, :2] += 500
        moved.keypoints_px[:, 9, 2] = score
        return judge(moved, fitted, rig).misfit

    plain = judge(people, fitted, rig).misfit
    assert (abs(with_wrist(0.1) - plain) < 0.05).all()
    assert (with_wrist(0.5) < plain + 0.05).all()  # unsure beside this person's own best
    assert (with_wrist(0.9) > plain + 0.05).all()
    lost = dataclasses.replace(people, keypoints_px=people.keypoints_px * [1, 1, 0.2])
    assert np.isinf(judge(lost, fitted, rig).misfit).all()


def test_scatter_of_keypoints_does_not_judge(scene, body):
    """The truth beside keypoints that are a little off is as good as a pose that was fitted to them."""
    people, fitted, truth = scene
    stood, _ = crop_refiner.stand_people(says(truth)(people), people, fitted, body, JUST_LIFTED)
    rig = rig_of(body)
    assert judge(stood, fitted, rig).misfit.max() < 1e-6
    rng = np.random.default_rng(2)
    size = np.sqrt((people.box_px[:, 2:] - people.box_px[:, :2]).prod(axis=1))[:, None, None]
    noisy = stood.keypoints_px.copy()
    noisy[..., :2] += size * 0.02 * rng.normal(size=(COUNT, 17, 2))
    assert judge(dataclasses.replace(stood, keypoints_px=noisy), fitted, rig).misfit.mean() < 0.02
    noisy[..., :2] += size * 0.3 * rng.normal(size=(COUNT, 17, 2))  # the control
    assert judge(dataclasses.replace(stood, keypoints_px=noisy), fitted, rig).misfit.min() > 0.2


def test_accepted_people_stand_on_the_ground_where_they_are_seen(scene, body):
    people, fitted, truth = scene
    refined, accepted = refine_with(people, says(truth), fitted, body, JUST_LIFTED)
    with torch.inference_mode():
        arrays = (
            torch.from_numpy(a).float() for a in (refined.pose, refined.betas, refined.transl_m)
        )
        vertices = body(*arrays).vertices.double().numpy()
        torso = body.torso(torch.from_numpy(vertices).float()).double().numpy()
    plane = fitted.planes[0]
    height = (vertices @ plane.normal + plane.offset_m).min(axis=1)
    np.testing.assert_allclose(height, 0, atol=5e-3)
    np.testing.assert_allclose(torso, refined.torso_m, atol=2e-3)
    np.testing.assert_allclose(fitted.camera.project(refined.torso_m), refined.torso_px, atol=1e-6)
    np.testing.assert_allclose(fitted.camera.project(refined.hvip_m), refined.hvip_px, atol=1e-6)
    stature = body.stature_m(torch.from_numpy(refined.betas).float()).numpy()
    np.testing.assert_allclose(stature, refined.stature_m, atol=1e-5)
    assert accepted.any()


def test_order_does_not_matter(scene, body):
    people, fitted, truth = scene
    order = np.random.default_rng(0).permutation(COUNT)
    straight, accepted = refine_with(people, says(truth), fitted, body, Config())
    shuffled, also = refine_with(people.filter(order), says(truth), fitted, body, Config())
    np.testing.assert_array_equal(accepted[order], also)
    np.testing.assert_allclose(shuffled.pose, straight.pose[order], atol=1e-4)
    np.testing.assert_allclose(shuffled.transl_m, straight.transl_m[order], atol=1e-4)


def test_every_plane_is_stood_on(scene, body):
    people, fitted, truth = scene
    two = dataclasses.replace(fitted, planes=[fitted.planes[0], fitted.planes[0]])
    split = dataclasses.replace(people, plane=np.arange(COUNT) % 2)
    one, _ = refine_with(people, says(truth), fitted, body, JUST_LIFTED)
    both, _ = refine_with(split, says(truth), two, body, JUST_LIFTED)
    np.testing.assert_allclose(both.transl_m, one.transl_m, atol=1e-5)


def test_nobody_and_nobody_worth_a_look(scene, body):
    people, fitted, _ = scene
    empty = refine_crops(People.empty(), Nothing(), fitted, body, Config(), "crowdnet-s")
    assert len(empty) == 0
    lone = people.filter(np.array([0]))
    assert not candidates(lone, fitted, body).any()
    assert refine_crops(lone, Nothing(), fitted, body, Config(), "crowdnet-s") is lone


def test_arguments_stay_as_they_were(scene, body):
    people, fitted, truth = scene
    before = {f.name: getattr(people, f.name).copy() for f in dataclasses.fields(people)}
    refine_with(people, says(truth), fitted, body, Config())
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(people, name), values)


def test_who_is_shown(scene, body):
    people, fitted, _ = scene
    lone = people.filter(np.array([0]))
    dim = dataclasses.replace(lone, keypoints_px=lone.keypoints_px * [1, 1, 0.2])
    assert candidates(dim, fitted, body).all()
    blind = dataclasses.replace(lone, keypoints_px=lone.keypoints_px * [1, 1, 0.0])
    assert not candidates(blind, fitted, body).any()  # without a pose there is nobody to point at
    off = dataclasses.replace(lone, transl_m=lone.transl_m + np.array([0.7, 0, 0]))
    assert candidates(off, fitted, body).all()


def test_overlap_matches_a_naive_count():
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 200, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (60, 2))], axis=1)
    naive = np.zeros(60, bool)
    for i in range(60):
        for j in range(60):
            w, h = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2])
            if i != j and w > 0 and h > 0:
                area = [(b[2:] - b[:2]).prod() for b in (boxes[i], boxes[j])]
                naive[i] |= w * h / (sum(area) - w * h) >= 0.1
    np.testing.assert_array_equal(overlapping(boxes), naive)
    assert 5 < naive.sum() < 55


def test_unknown_names_and_missing_weights_are_errors(scene, body, tmp_path, monkeypatch):
    people, fitted, _ = scene
    with pytest.raises(ConfigError, match="crowdnet-s"):
        refine_crops(people, Nothing(), fitted, body, Config(), "crowdnet")
    monkeypatch.setenv("CROWD3D_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="3DCrowdNet_RELEASE"):
        refine_crops(people, Nothing(), fitted, body, Config(), "3dcrowdnet")


def painted(width, height):
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    return scenes.PictureArray(np.stack([u % 256, v % 256, (u + v) % 256], -1).astype(np.uint8))


def somebody(camera, azimuth_rad):
    """Somebody 12 m away, with true keypoints."""
    people = People.empty(len(azimuth_rad))
    height = np.linspace(-0.2, 1.3, 17)[:, None] * [0, 1.0, 0]
    at = 12 * np.stack([np.sin(azimuth_rad), 0 * azimuth_rad, np.cos(azimuth_rad)], -1)
    people.keypoints_px[..., :2] = camera.project(at[:, None] + height)
    people.keypoints_px[..., 2] = 0.9
    return people


def test_camera_of_a_published_crop_in_the_middle_and_at_the_edge():
    """E1: in the middle nothing turns; at the edge the network's axis turns onto the ray of the box."""
    camera = Camera.from_fov(2400, 800, 80.0)
    fitted = Fitted(camera, [Plane(np.array([0, -1.0, 0]), 1.3)], np.zeros((4, 4)), {})
    people = somebody(camera, np.array([0.0, 0.62]))
    people.keypoints_px[0, :, 1] += 400 - people.keypoints_px[0, [0, 16], 1].mean()
    pixels, joints, amplitude, turn = published_crops(painted(2400, 800), people, fitted)
    assert pixels.shape == (2, 256, 256, 3) and joints.shape == (2, 30, 2)
    assert (amplitude.sum(1) == 19).all()
    torch.testing.assert_close(turn[0], torch.eye(3).double(), atol=1e-3, rtol=0)
    center = people.keypoints_px[1, [0, 16], :2].mean(axis=0)
    np.testing.assert_allclose(turn[1, :, 2], camera.rays(center), atol=1e-6)
    assert np.rad2deg(np.arccos(float((turn[1].trace() - 1) / 2))) > 30


@pytest.mark.parametrize("projection", ["cylindrical", "equirectangular"])
def test_camera_of_a_published_crop_in_a_panorama(projection):
    """Somebody far round, as if seen straight: the turn brings what the network sees back into the scene."""
    camera = Camera.from_fov(4000, 900, 220.0, projection=projection)
    fitted = Fitted(camera, [Plane(np.array([0, -1.0, 0]), 1.3)], np.zeros((4, 4)), {})
    azimuth = np.array([0.0, 1.7, -1.7])
    people = somebody(camera, azimuth)
    _, joints, amplitude, turn = published_crops(painted(4000, 900), people, fitted)
    forward = turn[:, :, 2].numpy()
    np.testing.assert_allclose(np.arctan2(forward[:, 0], forward[:, 2]), azimuth, atol=1e-3)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).double().expand(3, 3, 3))
    # The same person at the same distance gives the same prompt wherever they stand.
    torch.testing.assert_close(joints, joints[:1].expand_as(joints), atol=0.05, rtol=0)
    assert (amplitude.sum(1) == 19).all()


def test_the_published_network_is_asked_in_batches_and_turned(scene, body, monkeypatch):
    people, fitted, _ = scene
    torch.manual_seed(0)
    networks = {"3dcrowdnet": CrowdNet3D().eval(), "vposer": PoseDecoder().eval()}
    monkeypatch.setattr(models, "shared", networks.__getitem__)
    monkeypatch.setattr(crop_networks, "_BATCH", 3)
    answer = expert("3dcrowdnet", painted(1600, 900), fitted, body)(people.filter(np.arange(4)))
    assert answer.rotations.shape == (4, 24, 3, 3)
    torch.testing.assert_close(
        answer.rotations @ answer.rotations.mT, torch.eye(3).expand(4, 24, 3, 3), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(answer.rotations[:, 22:], torch.eye(3).expand(4, 2, 3, 3))
    alone = expert("3dcrowdnet", painted(1600, 900), fitted, body)(people.filter(np.array([3])))
    torch.testing.assert_close(alone.rotations[0], answer.rotations[3], atol=1e-3, rtol=1e-3)


def test_crowdnet_s_answers_in_the_camera_frame(scene, body):
    """A head that changes nothing gives the people's own parameters back, turned there and back again."""
    people, fitted, _ = scene
    source = painted(1600, 900)
    torch.manual_seed(0)
    fresh = models.build("crowdnet-s", None)
    shared = models.shared
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            models, "shared", lambda name, *a: fresh if name == "crowdnet-s" else shared(name, *a)
        )
        answer = expert("crowdnet-s", source, fitted, body)(people)
    torch.testing.assert_close(
        answer.fisher.double(), torch.from_numpy(people.fisher), rtol=1e-4, atol=1e-2
    )
    again = refine_crops(people, source, fitted, body, Config(), "crowdnet-s")
    assert len(again) == len(people) and np.isfinite(again.pose).all()
    twice = refine_crops(people, source, fitted, body, Config(), "crowdnet-s")
    np.testing.assert_array_equal(again.pose, twice.pose)
