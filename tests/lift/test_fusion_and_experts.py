"""Looks and experts added up: worth what they are worth together, in one frame, calibrated; and samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import roma
import torch
from click.testing import CliRunner
from helpers.poses import CAMERA, SIZE, UP, standing
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd3d import api, lift
from crowd3d import body as bodies
from crowd3d.cli import main
from crowd3d.config import Config
from crowd3d.detect.joining import gather_looks
from crowd3d.errors import ConfigError, ModelError
from crowd3d.lift import fusion, propose
from crowd3d.lift.fusion import fusion_weights
from crowd3d.maths.posterior import angle_between, credible_angle, mode, sample
from crowd3d.maths.upright import to_camera, to_upright
from crowd3d.models.propose import Prediction
from crowd3d.models.propose_posterior import PARENTS
from crowd3d.picture.crops import Crops
from crowd3d.pipeline import assemble
from crowd3d.pipeline.find import Seen
from crowd3d.scene.detections import MOST_LOOKS, Detections, PeopleSeen
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from crowd3d.scene.samples import sample_people

TRUSTS = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6)


# ---- how much looks are worth


@given(TRUSTS, st.floats(0, 1))
def test_looks_are_worth_one_to_all_of_them(trust, correlation):
    padded = np.zeros((1, 8))
    padded[0, : len(trust)] = trust
    weights = fusion_weights(padded, correlation)[0]
    assert (weights[len(trust) :] == 0).all()
    assert 1 - 1e-9 <= weights.sum() <= len(trust) + 1e-9
    # By the naive formula.
    t = np.array(trust) / np.sum(trust)
    rho = np.full((len(t), len(t)), correlation)
    np.fill_diagonal(rho, 1.0)
    assert weights.sum() == pytest.approx(1 / (t @ rho @ t))
    np.testing.assert_allclose(weights[: len(t)] / weights.sum(), t)


def test_the_same_look_twice_is_one_and_independent_ones_add_up():
    trust = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert fusion_weights(trust, 1.0)[0].sum() == pytest.approx(1)
    assert fusion_weights(trust, 0.0)[0].sum() == pytest.approx(2)
    assert (fusion_weights(trust, 0.5)[1] == 0).all()


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_gathering_keeps_the_best_looks_of_everybody(seed):
    rng = np.random.default_rng(seed)
    n, m = 5, 40
    person = np.concatenate([np.arange(n), rng.integers(0, n, m - n)])
    trust = rng.uniform(0.1, 1, m)
    found = standing(m)
    looks, kept = gather_looks(found, trust, person, n)
    for i in range(n):
        best = sorted(np.flatnonzero(person == i), key=lambda k: -trust[k])[:MOST_LOOKS]
        np.testing.assert_array_equal(kept[i, : len(best)], trust[best])
        np.testing.assert_array_equal(looks[i, : len(best)], found.keypoints_px[best])
        assert (kept[i, len(best) :] == 0).all()


def seen_people(n: int = 12, looks: int = 3, noise: float = 0.0, seed: int = 0) -> PeopleSeen:
    found = standing(n)
    rng = np.random.default_rng(seed)
    several = np.zeros((n, MOST_LOOKS, 17, 3))
    several[:, :looks] = found.keypoints_px[:, None]
    several[:, :looks, :, :2] += noise * rng.normal(size=(n, looks, 17, 2))
    trust = np.zeros((n, MOST_LOOKS))
    trust[:, :looks] = 0.5
    heading = np.zeros((len(found), 2))
    return PeopleSeen(**vars(found), looks_px=several, look_trust=trust, heading=heading)


def test_filters_and_shifts_take_the_looks_along():
    people = seen_people()
    some = people.filter(np.array([3, 1]))
    assert isinstance(some, PeopleSeen)
    np.testing.assert_array_equal(some.looks_px, people.looks_px[[3, 1]])
    moved = people.shifted(np.full(12, 7.0))
    np.testing.assert_allclose(moved.looks_px[:, :3, :, 0], people.looks_px[:, :3, :, 0] + 7)
    assert type(Detections.cat([people, people])) is Detections


# ---- looks, fused


@pytest.fixture(scope="module")
def lifter() -> lift.Lift:
    return lift.load()


def lifted_of(people: Detections, lifter: lift.Lift):
    rays = CAMERA.rays(people.keypoints_px[..., :2])
    keypoints, elevation_rad, R = to_upright(rays, people.keypoints_px[..., 2], UP)
    return lifter(keypoints, elevation_rad), R


def test_looks_that_agree_say_the_same_and_those_who_have_none_stay(lifter):
    people = seen_people()
    lifted, R = lifted_of(people, lifter)
    fused = fusion.fuse_looks(lifted, people, CAMERA, UP, R, lifter, correlation=1.0)
    torch.testing.assert_close(fused.fisher, lifted.fisher, rtol=1e-3, atol=1e-2)
    sharper = fusion.fuse_looks(lifted, people, CAMERA, UP, R, lifter, correlation=0.0)
    torch.testing.assert_close(sharper.fisher, 3 * fused.fisher, rtol=1e-4, atol=1e-3)
    plain = standing(12)
    assert fusion.fuse_looks(lifted, plain, CAMERA, UP, R, lifter) is lifted


def test_looks_are_added_in_the_cameras_frame(lifter):
    """A naive sum over people and looks, each turned by its own upright frame."""
    people = seen_people(n=4, looks=2, noise=6.0)
    people.look_trust[:, 1] = 0.2
    lifted, R = lifted_of(people, lifter)
    fused = fusion.fuse_looks(lifted, people, CAMERA, UP, R, lifter, correlation=0.5)
    weights = fusion_weights(people.look_trust, 0.5)
    for i in range(4):
        total = torch.zeros(24, 3, 3)
        for k in range(2):
            look = replace(standing(4), keypoints_px=people.looks_px[:, k]).filter(np.array([i]))
            alone, R_look = lifted_of(look, lifter)
            _, fisher = to_camera(alone.rotations, alone.fisher, R_look)
            total += float(weights[i, k]) * fisher[0].float()
        root = R[i].float() @ total[0]
        torch.testing.assert_close(fused.fisher[i, 0], root, rtol=1e-3, atol=1e-2)
        torch.testing.assert_close(fused.fisher[i, 1:], total[1:], rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(fused.rotations, mode(fused.fisher))


def test_a_heading_that_was_read_turns_people_towards_it(lifter):
    people = seen_people(n=3)
    lifted, _ = lifted_of(people, lifter)
    for unread in (people, standing(3)):
        unchanged = fusion.told_heading(lifted, unread).rotations
        torch.testing.assert_close(unchanged, lifted.rotations)

    def heading(rotations):
        forward = rotations[:, 0, :, 2].double().numpy()
        return np.arctan2(forward[:, 0], -forward[:, 2])

    before = heading(lifted.rotations)
    for angle in (before + 0.5, before - 0.5):
        read = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        gone = []
        for length in (4.0, 20.0, 1e5):
            told = fusion.told_heading(lifted, replace(people, heading=length * read))
            torch.testing.assert_close(told.fisher[:, 1:], lifted.fisher[:, 1:])
            gone.append((heading(told.rotations) - before) / (angle - before))
        assert (gone[0] > 0).all() and (gone[0] < gone[1]).all()
        np.testing.assert_allclose(gone[2], 1.0, atol=0.01)


def test_the_lift_and_the_heading_add_up(lifter):
    people = seen_people(n=3)
    lifted, _ = lifted_of(people, lifter)
    read = replace(people, heading=np.array([[3.0, 4.0], [0, 0], [0, 0]]))
    told = fusion.told_heading(lifted, read)
    expected = fusion.ROOT_TRUST * lifted.fisher[:, 0]
    torch.testing.assert_close(told.fisher[1:, 0], expected[1:])
    expected = expected[0].clone()
    expected[:, 2] += torch.tensor([3.0, 0, -4.0])
    torch.testing.assert_close(told.fisher[0, 0], expected)


def looks_with_common_errors(correlation: float, n: int = 1500, looks: int = 4, s: float = 60.0):
    """Truth, and parameters of looks whose errors of equal size are correlated."""
    generator = torch.Generator().manual_seed(4)
    truth = roma.random_rotmat(n).double()

    def turn(variance: float, *shape: int) -> torch.Tensor:
        vector = torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
        return roma.rotvec_to_rotmat(vector * variance**0.5)

    one = 1 / (2 * s)  # variance about each axis of MF(s I)
    common = turn(correlation * one, n)
    seen = turn((1 - correlation) * one, n, looks) @ (common @ truth)[:, None]
    return truth, s * seen


@pytest.mark.parametrize("correlation", [0.3, 0.75, 0.95])
def test_fused_looks_are_calibrated_and_counting_pixels_again_is_not(correlation):
    truth, fisher = looks_with_common_errors(correlation)
    trust = np.full((len(truth), 4), 0.5)

    def coverage(assumed: float) -> float:
        weights = torch.from_numpy(fusion_weights(trust, assumed))[..., None, None]
        fused = (weights * fisher).sum(1)
        error = angle_between(mode(fused), truth)
        return float((error < credible_angle(fused)).double().mean())

    assert 0.87 < coverage(correlation) < 0.93
    assert coverage(0.0) < 0.85


def test_experts_are_pooled_and_the_silent_ones_change_nothing(lifter):
    lifted, _ = lifted_of(standing(3), lifter)
    expert = 2 * lifted.fisher.clone()
    expert[1] = 0
    pooled = fusion.pool_expert(lifted, expert, 0.5)
    torch.testing.assert_close(pooled.fisher[0], 1.5 * lifted.fisher[0])
    torch.testing.assert_close(pooled.fisher[1], lifted.fisher[1])
    torch.testing.assert_close(pooled.rotations, lifted.rotations, atol=1e-4, rtol=0)


# ---- ProPose's crops


class Picture:
    width, height = SIZE

    def read(self, x, y, w, h, out_size):
        return np.full((out_size[1], out_size[0], 3), 90, np.uint8)


class Posed(torch.nn.Module):
    """In ProPose's place: everybody in one pose, told by sharp volumes and a weak prior."""

    def __init__(self, pose: torch.Tensor) -> None:
        super().__init__()
        rest = propose.rest_joints(bodies.load("open", "crowd"))[0]
        orientation, joints = [pose[0]], [torch.zeros(3).double()]
        for j, p in enumerate(PARENTS[1:], start=1):
            joints.append(joints[p] + orientation[p] @ (rest[j] - rest[p]))
            if j < 24:
                orientation.append(orientation[p] @ pose[j])
        turned = torch.stack(orientation)
        self.joints = torch.stack(joints)[1:] / 2.0
        self.prior = 5.0 * torch.cat([turned[:1], turned[1:] @ turned[0].T])

    def forward(self, image):
        n = len(image)
        return Prediction(
            self.joints.expand(n, -1, -1),
            torch.full((n, 34), 0.01),
            torch.zeros(n, 10),
            self.prior.expand(n, -1, -1, -1),
            torch.zeros(n, 3),
            torch.zeros(n, 1),
            torch.zeros(n, 1),
        )


def test_an_experts_pose_comes_into_the_scenes_camera(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    vector = 0.4 * torch.randn(24, 3, generator=generator, dtype=torch.float64)
    pose = roma.rotvec_to_rotmat(vector)
    pose[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0])).double() @ pose[0]
    monkeypatch.setattr(propose.models, "shared", lambda name: Posed(pose))
    people = standing(3)
    middle = np.array([[SIZE[0] / 2, SIZE[1] / 2], [SIZE[0] - 60.0, SIZE[1] / 2], [-500.0, 0]])
    people.box_px = np.concatenate([middle - 50, middle + 50], axis=1)
    body = bodies.load("open", "crowd")
    found = propose.posterior_of_crops(people, CAMERA, Crops(Picture()), body)
    assert (found[2] == 0).all()
    rotations = mode(found[:2].double())
    assert angle_between(rotations[0], pose).max() < 1e-3
    assert angle_between(rotations[1, 1:], pose[1:]).max() < 1e-3
    # At the picture's edge the whole body turns with the ray.
    seen = rotations[1, 0] @ pose[0].T @ torch.tensor([0.0, 0, 1]).double()
    ray = torch.from_numpy(CAMERA.rays(middle[1]))
    torch.testing.assert_close(seen, ray, atol=1e-3, rtol=0)
    flat = replace(CAMERA, projection="cylindrical")
    assert (propose.posterior_of_crops(people, flat, Crops(Picture()), body) == 0).all()


# ---- the pipeline


KNOWN = KnownCamera.of(CAMERA)


def seen_and_fitted() -> Seen:
    people = seen_people(n=20, looks=3, noise=3.0)
    fitted = Fitted(CAMERA, [Plane(UP, 8.0)], np.diag([0.02, 0.01, 0.01, 0.02]) ** 2, {})
    return Seen(people, fitted, 0, 60, 1, is_fixed=True)


ALONE = Config().replace(fuse_looks=False, depth_prior="none", refine_crops="none")


def test_fusion_can_be_turned_off_and_changes_poses_only_a_little():
    seen = seen_and_fitted()
    plain = assemble.to_scene("a.jpg", seen, KNOWN, ALONE).people
    joined = replace(seen, people=standing(20))
    np.testing.assert_array_equal(
        plain.pose, assemble.to_scene("a.jpg", joined, KNOWN, ALONE).people.pose
    )
    fused = assemble.to_scene("a.jpg", seen, KNOWN, ALONE.replace(fuse_looks=True)).people
    turn = angle_between(*(roma.rotvec_to_rotmat(torch.from_numpy(p.pose)) for p in (plain, fused)))
    assert 0 < np.degrees(float(turn.median())) < 10
    assert len(fused) == len(plain)


def test_bodies_speak_for_the_camera_where_it_is_not_fixed():
    seen = replace(seen_and_fitted(), is_fixed=False)
    config = Config().replace(depth_prior="body")
    scene = assemble.to_scene("a.jpg", seen, KNOWN, config)
    assert scene.camera.focal_px == CAMERA.focal_px
    assert scene.planes[0].offset_m != 8.0
    assert scene.planes[0].offset_m == pytest.approx(8.0, rel=0.15)
    kept = assemble.to_scene("a.jpg", seen_and_fitted(), KNOWN, config)
    assert kept.planes[0].offset_m == 8.0


def test_the_refiner_gets_the_picture_and_everybody(monkeypatch):
    asked = {}

    def refine(people, source, fitted, body, config, network_name):
        asked.update(source=source, n=len(people), focal=fitted.camera.focal_px, name=network_name)
        return people.filter(np.arange(len(people)) > 0)

    monkeypatch.setattr(assemble, "refine_crops", refine)
    picture = Picture()
    config = ALONE.replace(refine_crops="crowdnet-s")
    scene = assemble.to_scene("a.jpg", seen_and_fitted(), KNOWN, config, crops=Crops(picture))
    assert asked == {
        "source": picture,
        "n": 20,
        "focal": CAMERA.focal_px,
        "name": "crowdnet-s",
    }
    assert len(scene.people) == 19


@pytest.mark.parametrize(
    "setting",
    [{"refine_crops": "3dcrowdnet"}, {"depth_prior": "rootnet"}],
    ids=["refiner", "rootnet"],
)
def test_components_that_look_at_the_picture_need_one_and_their_weights(
    setting, monkeypatch, tmp_path
):
    monkeypatch.setenv("CROWD3D_HOME", str(tmp_path))
    config = Config().replace(**setting)
    with pytest.raises(ConfigError, match="not at hand"):
        assemble.to_scene("a.jpg", seen_and_fitted(), KNOWN, config)
    # Before anything is looked at: there is no such picture.
    with pytest.raises(ModelError, match="crowd3d models import"):
        api.reconstruct(tmp_path / "none.jpg", config=config)


@pytest.mark.parametrize(
    "values", [{"refine_crops": "4dcrowdnet"}, {"depth_prior": "yes"}, {"fuse_looks": "body"}]
)
def test_settings_that_do_not_exist_are_named(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        Config().replace(**values)


def test_the_command_knows_the_components():
    result = CliRunner().invoke(main, ["reconstruct", "x.jpg", "-o", "y", "--depth-prior", "no"])
    assert result.exit_code == 2 and "rootnet" in result.output
    result = CliRunner().invoke(main, ["reconstruct", "x.jpg", "-o", "y", "--refine-crops", "no"])
    assert result.exit_code == 2 and "crowdnet-s" in result.output


# ---- samples


def people_with(fisher: torch.Tensor) -> People:
    n = len(fisher)
    empty = People.empty()
    rows = {name: np.zeros((n, *getattr(empty, name).shape[1:])) for name in vars(empty)}
    rows["fisher"] = fisher.numpy()
    return People(**rows)


def test_samples_follow_everybodys_posterior():
    generator = torch.Generator().manual_seed(2)
    strength = torch.tensor([5.0, 200.0]).double()[:, None, None, None]
    turns = roma.random_rotmat(48).double().reshape(2, 24, 3, 3)
    fisher = strength * turns
    draws = sample_people(people_with(fisher), 400, seed=3)
    assert draws.shape == (400, 2, 24, 3)
    np.testing.assert_array_equal(draws, sample_people(people_with(fisher), 400, seed=3))
    assert (draws != sample_people(people_with(fisher), 400, seed=4)).any()
    error = angle_between(roma.rotvec_to_rotmat(torch.from_numpy(draws)), turns)
    inside = (error < credible_angle(fisher)).double().mean((0, 2))
    assert ((inside > 0.88) & (inside < 0.92)).all()
    assert error[:, 0].mean() > 4 * error[:, 1].mean()
    assert sample(fisher, 1, generator).shape == (1, 2, 24, 3, 3)


def test_samples_of_nobody_and_of_the_unknown():
    assert sample_people(People.empty(), 5).shape == (5, 0, 24, 3)
    draws = sample_people(people_with(torch.zeros(1, 24, 3, 3).double()), 300)
    assert np.isfinite(draws).all()
    mean = roma.rotvec_to_rotmat(torch.from_numpy(draws)).mean((0, 1, 2))
    assert mean.abs().max() < 0.05
