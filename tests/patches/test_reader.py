"""Crowd3DNet in the pipeline: an oracle in its place tells known people, and they must come back."""

from functools import partial

import numpy as np
import pytest
import roma
import torch
from helpers.crowd3dnet import (
    BODY,
    CAMERAS,
    SIZE,
    Oracle,
    Source,
    fitted_of,
    matched,
    read,
    standing,
)

from crowd3d import Camera
from crowd3d import body as bodies
from crowd3d.config import Config
from crowd3d.errors import CameraError, ConfigError
from crowd3d.models.crowd3dnet import PatchView
from crowd3d.models.crowd3dnet_decode import Parameters, place
from crowd3d.models.crowd3dnet_encode import encode, project
from crowd3d.patches import people as patch_people
from crowd3d.patches.bodies import patch_bodies
from crowd3d.patches.people import ground_covariance
from crowd3d.patches.plan import plan_patches
from crowd3d.patches.reader import PatchReader
from crowd3d.picture.reading import Reading
from crowd3d.pipeline import assemble, networks
from crowd3d.pipeline.assemble import read_scene
from crowd3d.pipeline.find import Seen
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.plane import Plane
from optim.geometry import normal_from_pitch_roll
from tiling import Journal, merge_detections


@pytest.mark.parametrize("pitch_deg, roll_deg", CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize("trained_for", ["open", "smpl"])
def test_known_people_come_back(pitch_deg, roll_deg, trained_for):
    fitted = fitted_of(pitch_deg, roll_deg, height_m=8.0 if pitch_deg > 0 else 3.0)
    told, torso, stature = standing(fitted)
    network = Oracle(told, torso)
    people = matched(read(fitted, network, trained_for=trained_for), torso)
    assert network.looks > len(torso)  # patches overlap
    gap = np.linalg.norm(people.torso_m - torso.numpy(), axis=1)
    assert (
        gap < 2e-6 * np.linalg.norm(people.torso_m, axis=1)
    ).all()  # the network's floats are single
    turned = roma.rotvec_to_rotmat(torch.from_numpy(people.pose))
    assert roma.rotmat_geodesic_distance(turned, told.rotations).max() < 1e-3
    np.testing.assert_allclose(people.stature_m, stature.numpy(), atol=5e-3)
    plane = fitted.planes[0]
    np.testing.assert_allclose(people.hvip_m, plane.foot_m(people.torso_m), atol=1e-9)
    out = BODY(torch.from_numpy(people.pose).float(), torch.from_numpy(people.betas).float())
    vertices = out.vertices.numpy() + people.transl_m[:, None]
    assert np.abs(plane.signed_height_m(vertices).min(axis=1)).max() < 0.01
    inside = (people.keypoints_px[..., :2] > 0) & (people.keypoints_px[..., :2] < SIZE)
    assert inside.all()
    assert (np.linalg.eigvalsh(people.position_cov_m2)[:, -1] > 0).all()


def test_who_stands_behind_somebody_stays_and_who_is_seen_twice_does_not(monkeypatch):
    fitted = fitted_of(12, height_m=5.0)
    told, torso, _ = standing(fitted, 15)
    up = torch.from_numpy(fitted.planes[0].normal)
    away = torso - (torso @ up)[:, None] * up
    away = away / away.norm(dim=1, keepdim=True)
    behind = torso + 0.6 * away + 0.2 * torch.linalg.cross(away, up.expand_as(away))
    both = Parameters(*(torch.cat([part, part]) for part in told))
    network = Oracle(both, torch.cat([torso, behind]))
    assert len(read(fitted, network)) == 30 < network.looks
    apart = {"min_similarity": 2.0, "min_similarity_aligned": 2.0}  # nobody is like anybody
    monkeypatch.setattr(patch_people, "merge_detections", partial(merge_detections, **apart))
    monkeypatch.setattr(patch_people, "_is_twin", lambda people, _: np.zeros(len(people), bool))
    assert len(read(fitted, network)) > 40


def test_a_wrong_plane_gives_wrong_places():
    fitted, wrong = fitted_of(20), fitted_of(23)
    told, torso, _ = standing(fitted)
    plane = torch.tensor([*fitted.planes[0].normal, 8.0]).double()
    people = read(wrong, Oracle(told, torso, plane))
    gaps = np.linalg.norm(people.torso_m[None] - torso.numpy()[:, None], axis=2).min(1)
    assert np.median(gaps) > 0.5


def test_nobody_is_an_answer():
    fitted = fitted_of(20)
    told, torso, _ = standing(fitted, 3)
    nobody = Parameters(*(part[:0] for part in told))
    assert len(read(fitted, Oracle(nobody, torso[:0]))) == 0
    assert len(read(fitted, Oracle(told, torso), near_px=np.zeros((0, 4)))) == 0


def test_a_network_that_sees_few_of_those_found_is_doubted():
    fitted = fitted_of(20)
    told, torso, _ = standing(fitted, 10)
    people = read(fitted, Oracle(told, torso))
    none = np.zeros(len(people), np.int64)
    found = Detections(
        people.score, people.score, people.box_px, people.keypoints_px, none > 0, none
    )
    known, reading = KnownCamera.of(fitted.camera), Reading(Source())
    for count, doubted in ((3, True), (8, False)):
        few = Oracle(Parameters(*(part[:count] for part in told)), torso[:count])
        reader = PatchReader(few, trained_for="open")
        seen = Seen(found, fitted, 1, len(found), 1, is_fixed=True)
        scene = read_scene("a.jpg", seen, known, Config(), reading, reader)
        assert len(scene.people) == count
        assert any("crowd3dnet sees" in w for w in scene.diagnostics["warnings"]) == doubted
    nobody = Seen(Detections.empty(), None, 1, 0, 0)
    empty = read_scene("a.jpg", nobody, known, Config(), reading, reader)
    assert len(empty.people) == 0 and empty.diagnostics["versions"]["network"] == "crowd3dnet"


def test_nobody_is_lifted_who_is_read(monkeypatch):
    """Poses come from Crowd3DNet alone, and what would refine lifted poses is refused."""

    def never(*_, **__):
        raise AssertionError("somebody was lifted")

    monkeypatch.setattr(assemble, "lift_people", never)
    fitted = fitted_of(20)
    told, torso, _ = standing(fitted, 4)
    people = read(fitted, Oracle(told, torso))
    none = np.zeros(len(people), np.int64)
    found = Detections(
        people.score, people.score, people.box_px, people.keypoints_px, none > 0, none
    )
    seen = Seen(found, fitted, 1, 4, 1, is_fixed=True)
    known, reader = KnownCamera.of(fitted.camera), PatchReader(Oracle(told, torso))
    scene = read_scene("a.jpg", seen, known, Config(), Reading(Source()), reader)
    assert len(scene.people) == 4
    for setting in ({"refine_crops": "crowdnet-s"}, {"pose_expert": "propose"}):
        with pytest.raises(ConfigError, match="poses of its own"):
            networks.build_reader("embedded", "cpu", Config().replace(**setting))


def test_only_patches_near_people_are_read():
    fitted = fitted_of(20)
    told, torso, _ = standing(fitted)
    everywhere, near = Oracle(told, torso), Oracle(told, torso)
    found = read(fitted, everywhere)
    alone = read(fitted, near, near_px=found.box_px[:1])
    assert 0 < near.looks < everywhere.looks
    gap = np.linalg.norm(alone.torso_m - found.torso_m[0], axis=1)
    assert gap.min() < 1e-6 and len(alone) < len(found)


def test_the_same_body_from_the_same_torso_height():
    """The official network's betas are another body's; a network told to be of this one keeps its own."""
    fitted = fitted_of(20)
    told, torso, stature = standing(fitted)
    odd = told._replace(betas=torch.full_like(told.betas, 0.4))
    kept = matched(read(fitted, Oracle(odd, torso)), torso)
    np.testing.assert_allclose(kept.betas, 0.4, atol=1e-6)
    other = matched(read(fitted, Oracle(odd, torso), trained_for="smpl"), torso)
    np.testing.assert_allclose(other.stature_m, stature.numpy(), atol=5e-3)


def test_a_second_run_takes_patches_from_the_journal(tmp_path):
    fitted = fitted_of(20)
    told, torso, _ = standing(fitted, 8)
    first = Oracle(told, torso)
    with Journal(tmp_path / "j", sync=False) as journal:
        people = read(fitted, first, journal=journal)
    again = Oracle(told, torso)
    with Journal(tmp_path / "j", sync=False) as journal:
        same = read(fitted, again, journal=journal)
        moved = read(fitted_of(21), again, journal=journal)
    assert first.looks > 0 and again.looks > 0
    np.testing.assert_array_equal(people.torso_m, same.torso_m)
    assert len(moved) and not np.allclose(moved.torso_m[0], people.torso_m[0])


def test_panoramas_and_distorted_pictures_are_refused():
    fitted = fitted_of(20)
    told, torso, _ = standing(fitted, 3)
    for camera in (
        Camera.from_fov(*SIZE, 180, "cylindrical"),
        Camera(*SIZE, 2000.0, (1500, 800), (-0.1, 0.0)),
    ):
        other = Fitted(camera, fitted.planes, fitted.covariance, {})
        with pytest.raises(CameraError, match="crowd3dnet"):
            read(other, Oracle(told, torso))


def test_patches_show_people_about_half_as_tall():
    fitted = fitted_of(20)
    _, torso, _ = standing(fitted)
    tiles = plan_patches(Source(), fitted.camera, fitted.planes[0], Config())
    assert {(t.out_w, t.out_h) for t in tiles} == {(512, 512)}
    pixels = fitted.camera.project(torso.numpy())
    feet = fitted.planes[0].foot_m(torso.numpy())
    heads = fitted.camera.project(feet + 1.7 * fitted.planes[0].normal)
    tall = np.linalg.norm(heads - fitted.camera.project(feet), axis=1)
    large = tall > 0.36 * 512 / Config().max_upscale  # the picture is not enlarged any further
    assert large.sum() > 5
    for (u, v), height in zip(pixels[large], tall[large], strict=True):
        shares = [
            height / t.side_w
            for t in tiles
            if t.x < u < t.x + t.side_w and t.y < v < t.y + t.side_h
        ]
        assert any(0.35 <= share <= 0.71 for share in shares)


def test_from_the_maps_to_the_vertices_by_gradients():
    """Through place and stand in double precision, for a camera that looks up and is rolled."""
    fitted = fitted_of(-3, 8, height_m=3.0)
    told, torso, _ = standing(fitted, 2)
    plane = torch.tensor([*fitted.planes[0].normal, 3.0]).double()
    view = PatchView(
        torch.from_numpy(fitted.camera.K).expand(2, 3, 3),
        plane.expand(2, 4),
        project(torso, torch.from_numpy(fitted.camera.K).expand(2, 3, 3)) - 200,
        torch.full((2,), 500.0).double(),
        torch.tensor(SIZE).double().expand(2, 2),
    )
    encoded = encode(torso, told.rotations, told.betas, view)
    body = bodies.load("open", "crowd").double()

    def keypoints(hvip, offset, delta, rotvec, betas):
        turned = roma.rotvec_to_rotmat(rotvec)
        said = Parameters(hvip, offset, delta, turned, betas)
        placed = place(encoded.cell, said, view)
        made = patch_bodies(body, said, placed, view.plane[:, :3], view.plane[:, 3], own_betas=True)
        return project(made.keypoints, view.intrinsics) / 500

    p = encoded.parameters
    inputs = [p.hvip, p.torso, p.delta, roma.rotmat_to_rotvec(p.rotations), p.betas]
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(keypoints, inputs, atol=1e-4, fast_mode=True)


def test_the_covariance_is_that_of_sampled_pixels_and_cameras():
    fitted = fitted_of(15)
    rng = np.random.default_rng(0)
    pixel = np.array([[1200.0, 1100.0]])
    analytic = ground_covariance(pixel, np.array([3.0]), fitted)[0]
    samples = []
    for _ in range(4000):
        focal, pitch, roll, height = rng.multivariate_normal(np.zeros(4), fitted.covariance)
        camera = Camera(*SIZE, fitted.camera.focal_px * np.exp(focal), fitted.camera.center_px)
        normal = normal_from_pitch_roll(np.deg2rad(15) + pitch, roll)
        plane = Plane(normal, 8.0 * np.exp(height))
        samples.append(plane.intersect_m(camera.rays(pixel[0] + rng.normal(0, 3, 2))))
    sampled = np.cov(np.array(samples).T)
    np.testing.assert_allclose(np.sqrt(np.diag(analytic)), np.sqrt(np.diag(sampled)), rtol=0.1)
