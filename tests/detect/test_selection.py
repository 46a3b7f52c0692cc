"""Who is a person: size against the ground, twins, fragments, slivers."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.crowds_seen import HEIGHTS, SIDES, with_heads

from crowd3d import Camera, Plane
from crowd3d.body.tree import COCO_MIRROR
from crowd3d.config import Config
from crowd3d.detect import selection
from crowd3d.detect.detector import BEST_HEIGHT_PX
from crowd3d.detect.in_tile import size_suitability
from crowd3d.detect.joining import _told_apart
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.ground import Ground
from crowd3d.scene.sizes import size_evidence

CAMERA = Camera.from_fov(4000, 2000, 60)
PITCH = 0.3
PLANE = Plane(np.array([0.0, -np.cos(PITCH), -np.sin(PITCH)]), 8.0)


def fitted_of(camera, plane):
    return Fitted(camera, [plane], np.eye(4), {})


def _standing(
    n: int, seed: int = 0, stature_m: float = 1.7, score: float = 0.8, tile: int = 0
) -> Detections:
    """n people on the ground, apart from each other, in one tile."""
    rng = np.random.default_rng(seed)
    forward = np.array([0.0, -np.sin(PITCH), np.cos(PITCH)])
    right = np.array([1.0, 0.0, 0.0])
    across = np.linspace(-9, 9, n) if n > 1 else np.zeros(1)
    foot = across[:, None] * right + rng.uniform(20, 30, n)[:, None] * forward - 8.0 * PLANE.normal
    stick = stature_m * (HEIGHTS[:, None] * PLANE.normal + SIDES[:, None] * right)
    pixels = CAMERA.project(foot[:, None] + stick)
    head, feet = CAMERA.project(foot + stature_m * PLANE.normal), CAMERA.project(foot)
    half = 0.18 * (feet[:, 1] - head[:, 1])
    box = np.stack([feet[:, 0] - half, head[:, 1], feet[:, 0] + half, feet[:, 1]], axis=1)
    keypoints = np.concatenate([pixels, np.full((n, 17, 1), 0.6)], axis=2)
    scores, is_cut = np.full(n, score), np.zeros(n, bool)
    return Detections(scores, scores.copy(), box, keypoints, is_cut, np.full(n, tile))


def _shrunk(people: Detections, factor: float) -> Detections:
    """The same people at another size, feet where they were: what fits no person there."""
    foot = np.stack([people.box_px[:, [0, 2]].mean(axis=1), people.box_px[:, 3]], axis=1)
    keypoints = people.keypoints_px.copy()
    keypoints[..., :2] = foot[:, None] + factor * (keypoints[..., :2] - foot[:, None])
    box = (foot[:, None] + factor * (people.box_px.reshape(-1, 2, 2) - foot[:, None])).reshape(
        -1, 4
    )
    return replace(people, box_px=box, keypoints_px=keypoints)


def _placed(found: Detections) -> Detections:
    return selection.placed_people(with_heads(found), fitted_of(CAMERA, PLANE), Config())


def test_people_of_the_right_size_are_kept_in_reading_order():
    people = _placed(_standing(12))
    assert len(people) == 12
    assert (np.diff(people.box_px[:, 1]) >= 0).all()


def test_size_evidence_is_one_for_a_standing_adult():
    evidence = size_evidence(_standing(5), CAMERA, Ground([PLANE]), 1.7)
    for ratio in (evidence.whole, evidence.visible, evidence.torso):
        np.testing.assert_allclose(ratio, 1.0, atol=0.06)


@pytest.mark.parametrize("factor", [0.3, 2.2])
def test_things_of_a_wrong_size_are_not_people(factor):
    assert len(_placed(_shrunk(_standing(12), factor))) == 0


def test_children_are_people():
    looks = [_standing(12, stature_m=1.2, tile=k) for k in range(2)]  # planned tiles overlap
    assert len(_placed(Detections.cat(looks))) == 12


def test_one_person_seen_many_times_is_one_person():
    rng = np.random.default_rng(1)
    looks = []
    for k in range(6):
        look = _standing(10, tile=k)
        shift = rng.normal(0, 1.0, (10, 1, 2))
        look.keypoints_px[..., :2] += shift
        look.box_px += np.tile(shift[:, 0], (1, 2))
        looks.append(look)
    people = _placed(Detections.cat(looks))
    assert len(people) == 10
    np.testing.assert_allclose(
        np.sort(people.box_px[:, 0]), np.sort(_standing(10).box_px[:, 0]), atol=2.5
    )


def test_what_a_tile_border_cuts_does_not_count():
    found = _standing(8)
    found.is_cut[:3] = True
    assert len(_placed(found)) == 5


def test_confused_keypoints_do_not_make_two_people_of_one():
    better, worse = _standing(6), _standing(6, score=0.5, tile=1)
    worse.keypoints_px[:, :, :2] = worse.keypoints_px[:, ::-1, :2]  # head where the feet are
    one_head = Detections.cat([with_heads(better), worse, replace(worse, tile=worse.tile + 1)])
    assert len(_placed_as_they_are(one_head)) == 6


def _two_deep(tiles: tuple[int, int]) -> Detections:
    """Six people, and behind each another one of whom only a little shows beside them."""
    front, back = _standing(6, tile=tiles[0]), _standing(6, score=0.6, tile=tiles[1])
    aside = 0.4 * (back.box_px[:, 2] - back.box_px[:, 0])
    turned = back.keypoints_px[:, COCO_MIRROR]  # seen from behind
    turned[..., 0] += aside[:, None]
    turned[..., 1] -= 0.2 * aside[:, None]
    box = back.box_px + 0.2 * aside[:, None] * np.array([1, -1, 1, -1])
    return Detections.cat([front, replace(back, keypoints_px=turned, box_px=box)])


def test_people_whom_one_tile_tells_apart_are_two_however_they_overlap():
    assert len(_placed(_two_deep((0, 0)))) == 12


def test_people_who_coincide_and_are_never_seen_together_are_one():
    found = _two_deep((0, 1))
    front, back = (found.filter(np.arange(6) + k) for k in (0, 6))
    one_head = Detections.cat(
        [with_heads(front), *(replace(back, tile=back.tile + k) for k in range(3))]
    )
    assert len(_placed_as_they_are(one_head)) == 6


def test_two_heads_are_two_people_however_they_overlap():
    assert len(_placed(_two_deep((0, 1)))) == 12


def test_a_doubtful_head_between_two_people_makes_no_third():
    found = with_heads(_two_deep((0, 1)))
    doubtful = np.where(found.by_head, 0.4, found.quality)
    assert len(_placed_as_they_are(replace(found, quality=doubtful))) == 6


def test_a_tile_tells_apart_whom_it_shows_well_from_whom_it_shows():
    person = np.array([0, 0, 1, 1, 2])
    tile = np.array([3, 5, 5, 7, 9])
    apart = _told_apart(person, tile, np.array([0.5, 0.1, 0.5, 0.75, 1.0]), 3).toarray()
    # In tile 5 the second person is seen well and the first one badly.
    assert apart.tolist() == [[True, False, False], [True, True, False], [False, False, True]]


def test_slivers_are_dropped():
    sliver = _standing(4)
    middle = sliver.box_px[:, [0, 2]].mean(axis=1)
    sliver.box_px[:, 0], sliver.box_px[:, 2] = middle - 2, middle + 2
    assert not len(selection.placed_people(sliver, fitted_of(CAMERA, PLANE), Config()))


def _scores(found: Detections) -> np.ndarray:
    settings = Config(min_probability=1e-6)
    return selection.placed_people(found, fitted_of(CAMERA, PLANE), settings).score


def test_the_score_of_a_person_is_a_probability_that_grows_with_what_is_seen():
    whole = _standing(6)
    boxes = replace(whole, by_box=np.ones(6, bool))
    scores = [
        _scores(whole),
        _scores(with_heads(whole)),
        _scores(Detections.cat([with_heads(whole), boxes])),
    ]
    assert [len(score) for score in scores] == [6, 6, 6]
    assert (scores[0] < scores[1]).all() and (scores[1] < scores[2]).all()
    assert (np.concatenate(scores) > 0).all() and (np.concatenate(scores) < 1).all()


def test_the_same_look_again_is_no_more_evidence():
    both = with_heads(_standing(6))
    again = Detections.cat([both, replace(both, tile=both.tile + 1)])
    np.testing.assert_allclose(_scores(again), _scores(both))


def test_the_more_people_are_clearly_seen_the_likelier_are_others():
    crowd, doubtful = with_heads(_standing(12)), _standing(1, seed=5, score=0.5, tile=1)
    alone = _scores(doubtful)[0]
    with_others = _scores(Detections.cat([crowd, doubtful]))
    assert len(with_others) == 13 and with_others.min() > alone


def test_people_of_whom_only_the_head_is_seen_are_people_in_a_crowd_on_a_known_ground():
    crowd = with_heads(_standing(40, score=0.98))
    hidden = np.arange(len(crowd)) % 40 < 6  # of whom only the head is seen
    found = crowd.filter(~hidden | crowd.by_head)
    people = _placed_as_they_are(found)
    assert len(people) == 40 and people.by_head.sum() == 6
    # A head twice as tall as anybody's there is nobody's.
    large = replace(
        found, head_px=np.where(hidden[~hidden | crowd.by_head], 2.2, 1.0) * found.head_px
    )
    assert len(_placed_as_they_are(large)) == 34


def test_who_is_seen_better_has_the_head():
    better, worse = _standing(6), _standing(6, score=0.2, tile=1)
    heads = with_heads(better)
    heads = replace(heads, tile=heads.tile + 2).filter(heads.by_head)
    found = Detections.cat([better, _shrunk(worse, 0.98), heads])
    joined, _ = selection.candidates(found, fitted_of(CAMERA, PLANE), Config())
    whole, head = joined.evidence[:, 0], joined.evidence[:, 2]
    assert (head > 0).sum() == 6 and (whole[head > 0] > 0.5).all()


def test_boxes_are_people_and_join_those_who_are_the_same():
    whole = with_heads(_standing(6))
    boxes = replace(_standing(6, tile=1), by_box=np.ones(6, bool), score=np.full(6, 0.9))
    boxes.quality[:] = 0.9
    joined = _placed_as_they_are(Detections.cat([whole, boxes]))
    assert len(joined) == 6 and not joined.by_box.any()
    alone = _placed_as_they_are(with_heads_of(boxes))
    assert len(alone) == 6 and alone.by_box.all()


def with_heads_of(people: Detections) -> Detections:
    """The people, and their heads, which no box tells."""
    both = with_heads(people)
    return replace(both, by_box=both.by_box & ~both.by_head)


def _placed_as_they_are(found: Detections) -> Detections:
    return selection.placed_people(found, fitted_of(CAMERA, PLANE), Config())


def test_order_of_detections_does_not_matter():
    found = Detections.cat([_standing(10), _standing(10, seed=1, tile=1)])
    order = np.random.default_rng(0).permutation(20)
    a, b = _placed(found), _placed(found.filter(order))
    np.testing.assert_array_equal(a.box_px, b.box_px)


def test_nobody():
    assert len(_placed(Detections.empty())) == 0
    assert len(selection.unplaced_people(Detections.empty(), Config())) == 0
    assert len(selection.scout_people(Detections.empty(), Config())) == 0


def test_suitability_is_highest_where_the_network_is_best():
    heights = np.array([10.0, 40.0, 70.0, 150.0, 220.0, 440.0])
    suitability = size_suitability(heights, BEST_HEIGHT_PX)
    assert suitability[2:5].tolist() == [1.0, 1.0, 1.0]
    assert suitability[0] < suitability[1] < 1 > suitability[5] > 0


def test_somebody_on_the_seam_exists_once():
    """Looks at one person from both ends of a whole turn, a few pixels apart, are one person."""
    sphere = Camera.from_fov(8000, 4000, 360, "equirectangular")
    plane = Plane(np.array([0.0, -1.0, 0.0]), 4.0)
    azimuth = np.radians([-180.0, -60.0, 0.0, 45.0, 179.0])
    foot = np.stack([12 * np.sin(azimuth), np.full(5, 4.0), 12 * np.cos(azimuth)], axis=1)
    aside = np.stack([np.cos(azimuth), np.zeros(5), -np.sin(azimuth)], axis=1)
    points = foot[:, None] + 1.7 * (
        HEIGHTS[:, None] * plane.normal + SIDES[:, None] * aside[:, None]
    )
    looks = []
    for k, shift in enumerate((-2.0, -1.0, 0.0, 1.0, 2.0)):
        pixels = sphere.unwrapped(sphere.project(points), sphere.project(foot)[:, None])
        pixels[..., 0] += shift + 8000 * (k % 2)
        box = np.concatenate([pixels.min(axis=1) - 8, pixels.max(axis=1) + 8], axis=1)
        keypoints = np.concatenate([pixels, np.full((5, 17, 1), 0.6)], axis=2)
        looks.append(
            Detections(
                np.full(5, 0.8),
                np.full(5, 0.8),
                box,
                keypoints,
                np.zeros(5, bool),
                np.full(5, k),
            )
        )
    people = selection.placed_people(
        with_heads(Detections.cat(looks)), fitted_of(sphere, plane), Config()
    )
    middle = np.sort(people.box_px[:, [0, 2]].mean(axis=1))
    assert ((middle >= 0) & (middle < 8000)).all()
    np.testing.assert_allclose(middle, np.sort((azimuth / (2 * np.pi) + 0.5) * 8000), atol=6.0)
