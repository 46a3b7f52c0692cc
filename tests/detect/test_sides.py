"""Left and right from two witnesses: axioms of the decision, of the fusion, and of the readout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crowd3d import Camera, Plane
from crowd3d.config import Config
from crowd3d.detect import facing, sides
from crowd3d.errors import ModelError
from crowd3d.models.engine import torch_engine
from crowd3d.picture.reading import Reading
from crowd3d.scene.detections import PeopleSeen
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from tiling import Journal

HEIGHT = 100.0
# COCO keypoints of somebody frontal, in heights: across to the picture's right, and above the feet.
ACROSS = np.array(
    [0, 0.02, -0.02, 0.04, -0.04, 0.1, -0.1, 0.12, -0.12, 0.13, -0.13, 0.06, -0.06, 0.05, -0.05, 0.05, -0.05]
)  # fmt: skip
ABOVE = np.array(
    [.93, .95, .95, .94, .94, .82, .82, .63, .63, .48, .48, .52, .52, .29, .29, .04, .04]
)  # fmt: skip


def _look(opened: float = 1.0, u: float = 200.0, score: float = 0.5) -> np.ndarray:
    """(17, 3) of somebody who faces us, or turns away as `opened` falls to -1."""
    points = np.stack([u + opened * HEIGHT * ACROSS, 300 - HEIGHT * ABOVE], axis=-1)
    return np.concatenate([points, np.full((17, 1), score)], axis=-1)


def _people(looks: list[list[np.ndarray]], trust: list[list[float]] | None = None) -> PeopleSeen:
    stack = np.array(looks)
    weight = np.ones(stack.shape[:2]) if trust is None else np.array(trust)
    middle = stack[..., 0].mean(axis=(1, 2))
    box = np.stack(
        [middle - 20, np.full(len(stack), 200.0), middle + 20, np.full(len(stack), 300.0)], 1
    )
    ones = np.ones(len(stack))
    fused = sides.fused(stack, weight)
    none = np.zeros(len(stack), np.int64)
    heading = np.zeros((len(box), 2))
    return PeopleSeen(ones, ones, box, fused, none > 0, none, stack, weight, heading)


def _opened(people: PeopleSeen) -> np.ndarray:
    return sides.openness(people.keypoints_px, np.full(len(people), HEIGHT))


def test_exchanging_twice_is_the_identity():
    keypoints = np.random.default_rng(0).normal(size=(3, 5, 17, 3))
    twice = sides.exchanged(sides.exchanged(keypoints))
    np.testing.assert_array_equal(twice, keypoints)
    assert (sides.openness(sides.exchanged(keypoints), np.ones((3, 5))) != 0).all()


@given(st.floats(-1, 1), st.floats(1, 500))
def test_exchange_turns_the_openness_round(opened, height):
    look, tall = _look(opened), np.array(height)
    forth = sides.openness(look, tall)
    np.testing.assert_allclose(sides.openness(sides.exchanged(look), tall), -forth)


def test_looks_that_disagree_collapse_and_are_put_together_again():
    people = _people([[_look(-1), _look(-0.9), _look(1), _look(0.9)]])
    assert abs(_opened(people)[0]) < 0.01  # the negative control: their mean is a line
    for odds, sign in ((2.0, 1), (-2.0, -1)):
        settled = sides.settled(people, np.array([odds]))
        assert sign * _opened(settled)[0] > 0.07


def test_who_agrees_with_the_witnesses_stays_to_the_last_bit():
    people = _people([[_look(), _look(0.8)], [_look(-1), _look(-0.8)]])
    settled = sides.settled(people, np.array([1.0, -1.0]))
    np.testing.assert_array_equal(settled.keypoints_px, people.keypoints_px)


def test_unclear_witnesses_change_nothing():
    people = _people([[_look(), _look(-1)]])
    settled = sides.settled(people, np.array([0.05]))
    np.testing.assert_array_equal(settled.keypoints_px, people.keypoints_px)


def test_somebody_seen_from_the_side_is_left_alone():
    people = _people([[_look(0.1), _look(-0.1)]])
    settled = sides.settled(people, np.array([-3.0]))
    np.testing.assert_array_equal(settled.keypoints_px, people.keypoints_px)


def test_a_mirrored_person_gets_the_mirrored_answer():
    def mirrored(looks: np.ndarray) -> np.ndarray:
        return sides.exchanged(looks) * (-1, 1, 1) + (1000, 0, 0)

    rng = np.random.default_rng(1)
    looks = np.array([_look(1), _look(-1), _look(-0.7)]) + rng.normal(0, 1, (3, 17, 3)) * (1, 1, 0)
    people, other = _people([list(looks)]), _people([list(mirrored(looks))])
    votes = [
        sides.vote(sides.openness(p.looks_px, np.full((1, 1), HEIGHT)), p.look_trust)
        for p in (people, other)
    ]
    np.testing.assert_allclose(votes[0], votes[1])
    for odds in (-1.0, 1.0):
        ours = sides.settled(people, np.array([odds])).keypoints_px
        theirs = sides.settled(other, np.array([odds])).keypoints_px
        np.testing.assert_allclose(theirs, mirrored(ours), atol=1e-9)


def test_the_order_of_people_and_of_looks_does_not_matter():
    people = _people(
        [[_look(-1), _look(1)], [_look(1, 600), _look(0.9, 600)], [_look(-1, 900)] * 2]
    )
    odds = np.array([-1.0, -2.0, 1.5])
    settled = sides.settled(people, odds).keypoints_px
    order = np.array([2, 0, 1])
    shuffled = sides.settled(people.filter(order), odds[order]).keypoints_px
    np.testing.assert_array_equal(shuffled, settled[order])
    reverse = replace(
        people, looks_px=people.looks_px[:, ::-1], look_trust=people.look_trust[:, ::-1]
    )
    np.testing.assert_allclose(sides.settled(reverse, odds).keypoints_px, settled, atol=1e-9)


def test_fusion_is_the_weighted_mean_and_ignores_empty_places():
    looks = np.random.default_rng(2).uniform(0.1, 1, (4, 3, 17, 3))
    trust = np.array([[3.0, 2, 0], [1, 0, 0], [1, 1, 1], [0.2, 0.1, 0.7]])
    weight = trust[..., None] * looks[..., 2]
    naive = np.empty((4, 17, 3))
    for i in range(4):
        for j in range(17):
            naive[i, j, :2] = np.average(looks[i, :, j, :2], axis=0, weights=weight[i, :, j])
            naive[i, j, 2] = np.average(looks[i, :, j, 2], weights=trust[i])
    np.testing.assert_allclose(sides.fused(looks, trust), naive, rtol=1e-9)


def test_votes():
    opened = np.array([[0.2, 0.2, 0.2], [-0.2, -0.2, 0.0], [0.2, -0.2, 0.0], [0.0, 0.0, 0.0]])
    trust = np.array([[1.0, 1, 1], [1, 1, 0], [2, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(sides.vote(opened, trust), [1, -1, 1 / 3, 0], atol=1e-9)


def test_witnesses_are_heard_together():
    trust = np.ones((1, 2))

    def odds(opened: list[float], towards: float) -> float:
        heading = np.array([[3.0, towards]])
        return float(sides.log_odds_front(np.array([opened]), trust, heading)[0])

    front, mixed, narrow = [0.15, 0.15], [0.15, -0.15], [0.001, -0.001]
    assert odds(front, 2) > odds(front, 0) > 0 > odds(front, -4)
    assert odds(mixed, -4) < 0 == odds(mixed, 0) < odds(mixed, 4)
    assert abs(odds(narrow, -4)) < 0.1  # from the side: nothing to be told


def test_the_odds_are_those_of_the_two_headings():
    """Exchanging left and right turns a heading into its mirror image behind; their densities are compared."""
    rng = np.random.default_rng(5)
    for angle, (right, towards) in zip(
        rng.uniform(0, 1.5, 20), rng.normal(0, 10, (20, 2)), strict=True
    ):
        log_density = [right * np.sin(a) + towards * np.cos(a) for a in (angle, np.pi - angle)]
        openness = np.full((1, 1), 0.12 * np.cos(angle))
        heading = np.array([[right, towards]])
        found = sides.log_odds_front(openness, np.ones((1, 1)), heading)
        looks = np.cos(angle)  # what the looks say
        np.testing.assert_allclose(found[0] - looks, log_density[0] - log_density[1], atol=1e-9)


def test_the_window_holds_the_person_at_one_size():
    for box in ((100.0, 50, 140, 150), (0.0, 0, 300, 900)):
        window = facing.person_window(np.array(box))
        corners = window.to_tile(np.array(box).reshape(2, 2))
        np.testing.assert_allclose(corners[1, 1] - corners[0, 1], facing.PERSON_PX)
        np.testing.assert_allclose(corners.mean(axis=0), np.array(facing.WINDOW_PX) / 2)


def test_bands_lie_where_the_body_is():
    rows = torch.arange(16.0)[None, None, :, None].expand(1, 1, 16, 10)
    bands = facing.body_features(rows).reshape(4, 3) * 16 + 8  # window pixels
    shares = (bands - (256 - facing.PERSON_PX) / 2) / facing.PERSON_PX
    middles = (np.array(facing.BANDS[1:]) + np.array(facing.BANDS[:-1])) / 2
    np.testing.assert_allclose(shares.numpy(), np.stack([middles] * 3, axis=1), atol=0.02)


def test_a_mirror_turns_the_heading_round():
    network = facing.network(torch_engine())
    readout = facing.load()
    pixels = np.random.default_rng(3).integers(0, 255, (2, 256, 160, 3), np.uint8)
    with torch.inference_mode():
        straight = readout(facing.both_ways(network, pixels))
        flipped = readout(facing.both_ways(network, np.ascontiguousarray(pixels[:, :, ::-1])))
    mirrored = flipped * torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(straight, mirrored, atol=1e-2, rtol=1e-3)
    assert straight.norm(dim=1).min() > 0.1


def test_the_embedded_readout_is_good_on_people_it_never_saw():
    told = facing.load().facts["held_out"]
    assert told["sharp median_deg"] < 8 and told["poor median_deg"] < 15
    assert min(told[f"{q} {side}"] for q in ("sharp", "poor") for side in ("front", "back")) > 0.8
    for quality in ("sharp", "poor"):
        assert 0.85 < told[f"{quality} holds_90"] < 0.95


class _Picture:
    """Grey noise instead of a photograph."""

    width, height, identity = 400, 400, "noise"
    reads = 0

    def check_unchanged(self):
        pass

    def read(self, x, y, w, h, out_size):
        self.reads += 1
        rng = np.random.default_rng(int(x + 7 * y + 13 * w))
        return rng.integers(0, 255, (out_size[1], out_size[0], 3), np.uint8)


CAMERA = Camera.from_fov(400, 400, 60)
PLANE = Plane(np.array([0.0, -1, 0]), 1.5)


FITTED = Fitted(CAMERA, [PLANE], np.eye(4), {})


def _settle(people, picture, journal=None, fitted=FITTED):
    reading, known = Reading(picture, journal=journal), KnownCamera((400, 400))
    return sides.settle_sides(people, reading, known, fitted, Config(), torch_engine())


def _standing() -> PeopleSeen:
    """Three people whose box is that of somebody 1.7 m tall on the ground, one who is far too small."""
    people = _people([[_look(1, u), _look(-1, u)] for u in (100.0, 200, 300, 350)])
    ground = 200 + CAMERA.focal_px * 1.5 / 8
    top = 200 - CAMERA.focal_px * 0.2 / 8
    people.box_px[:, 1], people.box_px[:, 3] = top, ground
    people.box_px[3, 1] = ground - 20
    return people


def test_same_input_same_bytes_and_the_journal_is_used(tmp_path):
    people, picture = _standing(), _Picture()
    plain = _settle(people, picture)
    assert (
        picture.reads == 4
    )  # the one who is too small overlaps nobody: only the heading is not read
    with Journal(tmp_path) as journal:
        first = _settle(people, picture, journal)
        picture.reads = 0
        again = _settle(people, picture, journal)
    assert picture.reads == 0
    for other in (first, again):
        assert other.keypoints_px.tobytes() == plain.keypoints_px.tobytes()
        assert other.heading.tobytes() == plain.heading.tobytes()
    assert plain.heading[:3].any(axis=1).all() and not plain.heading[3].any()


def test_who_is_not_seen_whole_has_the_looks_alone():
    people = _people([[_look(1), _look(1), _look(-1)]] * 2)  # one before the other
    people.box_px[:, 1] += 70  # far too small for the ground
    picture = _Picture()
    settled = _settle(people, picture)
    assert picture.reads == 0
    assert _opened(settled)[0] > 0.07 > _opened(people)[0]


def test_of_few_people_those_who_show_their_feet_are_read():
    """The ground that few people leave says nothing; with many it decides, whatever the ankles' scores."""
    for copies, expected in ((1, [True, True, False, False]), (4, [True, True, True, False])):
        some = _standing()
        some.keypoints_px[2, 15, 2] = 0.1  # an ankle is hidden
        people = some.filter(np.tile(np.arange(4), copies))
        picture = _Picture()
        read = _settle(people, picture).heading.any(axis=1)
        assert read.tolist() == expected * copies


def _keypoints(u: float, score: float) -> np.ndarray:
    return np.concatenate([np.full((1, 17, 2), u), np.full((1, 17, 1), score)], axis=2)


def test_a_closer_look_is_trusted_as_far_as_it_sees():
    people = _people([[_look(1, u)] * 3 for u in (100.0, 300.0)])
    row = np.array([0])
    sure, unsure = (
        sides.sharpened(people, row, _keypoints(150.0, score)).keypoints_px for score in (0.9, 0.01)
    )
    np.testing.assert_array_equal(sure[1], people.keypoints_px[1])
    np.testing.assert_array_equal(
        sure[0, :5], people.keypoints_px[0, :5]
    )  # of the face, nothing is learned
    before = people.keypoints_px[0, 5:, 0]
    assert (np.abs(sure[0, 5:, 0] - 150) < 0.35 * np.abs(before - 150)).all()
    assert (np.abs(unsure[0, 5:, 0] - before) < 1.0).all()


def test_guessed_keypoints_are_forgotten_after_a_closer_look():
    people = replace(_people([[_look(1, 100.0)]]), by_box=np.ones(1, bool))
    closer = sides.sharpened(people, np.array([0]), _keypoints(150.0, 0.3))
    np.testing.assert_allclose(closer.keypoints_px[0], _keypoints(150.0, 0.3)[0])
    assert (closer.look_trust[0] > 0).sum() == 1


def test_who_overlaps_somebody_is_known():
    boxes = np.array([[0, 0, 10, 30], [4, 0, 14, 30], [40, 0, 50, 30], [49.5, 0, 60, 30.0]])
    assert sides.overlaps_somebody(boxes).tolist() == [True, True, False, False]


def test_people_without_a_camera_are_read_too():
    settled = _settle(_standing(), _Picture(), fitted=None)
    assert settled.heading[:3].any(axis=1).all()


def test_nobody():
    nobody = _people([[_look()]]).filter(np.zeros(1, bool))
    assert len(_settle(nobody, _Picture())) == 0


def test_a_damaged_readout_is_named(tmp_path):
    path = tmp_path / "facing.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"facing\.safetensors"):
        facing.load(path)
