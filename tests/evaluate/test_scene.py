"""Scores of one picture: cases worked out by hand, twins in loops, what must and must not change them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from crowd3d.errors import DataError
from crowd3d.evaluate.metrics import bootstrap, matching
from crowd3d.evaluate.metrics.oks import ApFrame, average_precision, oks_matrix
from crowd3d.evaluate.metrics.pairwise import (
    binned_error,
    depth_relations,
    mean_of_pairs,
    pair_table,
)
from crowd3d.evaluate.metrics.scene import FLAVOURS, score_scene
from crowd3d.evaluate.metrics.scene import scene_metrics as metrics
from tiling import COCO_SIGMAS

AREA = 10_000.0
_SHAPE = np.stack([np.arange(17) % 4, np.arange(17) // 4], axis=1) * 20.0  # 17 points in 60 x 80 px
SEEDS = st.integers(0, 10_000)
COCO_REFERENCE = {
    "AP": 0.16336422103748838,
    "AP50": 0.2823686214775324,
    "AP75": 0.17301345519167302,
    "AR": 0.2875,
}


def at(*columns_px):
    """People whose keypoints begin in these columns."""
    return np.array([_SHAPE + np.array([u, 0.0]) for u in columns_px]).reshape(-1, 17, 2)


def score(pred_px, pred_m, gt_px, gt_m, flavour="scene", hvip_m=None, **options):
    area = np.full(len(gt_px), AREA)
    return metrics(
        pred_px,
        np.reshape(pred_m, (-1, 3)),
        gt_px,
        area,
        np.reshape(gt_m, (-1, 3)),
        np.reshape(gt_m if hvip_m is None else hvip_m, (-1, 3)),
        flavour,
        **options,
    )


def random_scene(seed, n=8):
    rng = np.random.default_rng(seed)
    torso = np.column_stack([rng.uniform(-20, 20, (n, 2)), rng.uniform(10, 90, n)])
    return at(*(1000.0 * np.arange(n))), torso, rng


TRIANGLE = np.array([[0, 0, 10], [0, 0, 14], [3, 0, 10]], float)  # distances 4, 3 and 5


def test_three_people_one_a_metre_too_near():
    pred = TRIANGLE - [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    ppds = (0.75 + 1 + (1 - (5 - math.sqrt(18)) / 5)) / 3
    published = score(at(0, 500, 900), pred, at(0, 500, 900), TRIANGLE, "largecrowd")
    assert published["PPDS"] == pytest.approx(ppds, abs=1e-12)
    assert published["PCOD"] == pytest.approx(2 / 3)  # a tie is always wrong
    repaired = score(at(0, 500, 900), pred, at(0, 500, 900), TRIANGLE)
    assert repaired["PPDS"] == pytest.approx(ppds, abs=1e-12)
    assert repaired["PCOD"] == 1.0  # a tie predicted as a tie is right


def test_a_missed_person_is_folded_into_the_published_numbers_only():
    pred = [[0, 0, 10], [0, 0, 13]]
    published = score(at(0, 500), pred, at(0, 500, 900), TRIANGLE, "largecrowd")
    # Two of three found, 3 m apart instead of 4; a similarity transform makes that exact.
    expected = {
        "recall": 2 / 3,
        "PPDS": 0.5,
        "PA-PPDS": 2 / 3,
        "PCOD": 2 / 3,
        "OKS": 2 / 3,
        "SS": 0.75,
        "RP": 0.0,
        "score": 0.3 * 2 / 3 + 0.2 * 0.75 + 0.1 * 2 / 3 + 0.4 * 2 / 3,
    }
    assert {k: published[k] for k in expected} == pytest.approx(expected, abs=1e-12)
    repaired = score(at(0, 500), pred, at(0, 500, 900), TRIANGLE)
    assert repaired["PPDS"] == pytest.approx(0.75)
    assert (repaired["recall"], repaired["precision"]) == (2 / 3, 1.0)
    assert repaired["F1"] == pytest.approx(0.8)
    assert repaired["score"] == pytest.approx(0.8 * (0.3 + 0.2 * 0.75 + 0.1 + 0.4))


def test_a_duplicate_costs_redundancy_or_precision():
    gt = [[0, 0, 10], [0, 0, 14]]
    args = at(0, 2, 500), [*gt[:1], *gt[:1], *gt[1:]], at(0, 500), gt
    published = score(*args, "largecrowd")
    assert published["RP"] == pytest.approx(0.48)
    assert published["score"] == pytest.approx(1 - 0.5 * 0.48)
    assert published["PPDS"] == 1.0
    repaired = score(*args)
    assert (repaired["precision"], repaired["recall"]) == (pytest.approx(2 / 3), 1.0)
    assert repaired["score"] == pytest.approx(0.8)


def test_of_two_equal_predictions_the_first_counts():
    gt = [[0, 0, 10], [0, 0, 14]]
    pred = [[0, 0, 10], [0, 0, 99], [0, 0, 14]]
    for flavour in FLAVOURS:
        assert score(at(0, 0, 500), pred, at(0, 500), gt, flavour)["PPDS"] == 1.0


def test_four_people_nobody_found_twice_and_an_exact_half():
    # Two true people 4 m apart are predicted 2 m apart, the other pairs are right.
    gt = np.array([[0, 0, 10], [4, 0, 20], [0, 100, 30], [4, 100, 40]], float)
    pred = gt.copy()
    result = score(at(0, 500, 900, 1300), pred, at(0, 500, 900, 1300), gt)
    assert [result[k] for k in ("PPDS", "PA-PPDS", "PCOD", "OKS", "SS", "score")] == [1.0] * 6
    pred[:, 2] = [10, 20, 40, 30]  # one pair of six in the wrong order
    wrong = score(at(0, 500, 900, 1300), pred, at(0, 500, 900, 1300), gt)
    assert wrong["PCOD"] == pytest.approx(5 / 6)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nobody_is_predicted(flavour):
    result = score(at(), [], at(0, 500), TRIANGLE[:2], flavour)
    assert (result["recall"], result["score"], result["n_matched"]) == (0.0, 0.0, 0)
    assert math.isnan(result["precision"])
    if flavour == "largecrowd":
        assert [result[k] for k in ("PPDS", "PA-PPDS", "PCOD", "OKS", "RP")] == [0.0] * 5
    else:
        assert math.isnan(result["PPDS"]) and math.isnan(result["OKS"])


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nobody_is_there(flavour):
    result = score(at(0), TRIANGLE[:1], at(), [], flavour)
    assert math.isnan(result["recall"]) and math.isnan(result["PPDS"])
    assert (result["precision"], result["RP"], result["F1"]) == (0.0, 1.0, 0.0)
    empty = score(at(), [], at(), [], flavour)
    assert empty["RP"] == 0.0 and math.isnan(empty["F1"])


def test_one_person_has_no_pairs():
    args = at(0), TRIANGLE[:1], at(0), TRIANGLE[:1]
    assert score(*args, "largecrowd")["PPDS"] == 0.0  # as published
    repaired = score(*args)
    assert math.isnan(repaired["PPDS"]) and math.isnan(repaired["SS"])
    assert repaired["score"] == 1.0


def test_published_order_of_depth_takes_the_ground_point():
    """A known defect: a perfect prediction loses where torso and feet are in different order of depth."""
    torso = [[0, 0, 10.0], [0, 0, 10.4]]
    hvip = [[0, 1, 10.6], [0, 1, 10.4]]
    args = at(0, 500), torso, at(0, 500), torso
    assert score(*args, "largecrowd", hvip)["PCOD"] == 0.0
    assert score(*args, "scene", hvip)["PCOD"] == 1.0


def test_keypoint_similarity_by_hand():
    moved = at(0) + np.stack([np.sqrt(2 * AREA) * 2 * COCO_SIGMAS, np.zeros(17)], axis=1)
    assert oks_matrix(moved, at(0), [AREA])[0, 0] == pytest.approx(math.exp(-1))
    half = at(0)
    half[0, :8] = np.nan  # unknown to the prediction: as far as can be
    assert oks_matrix(half, at(0), [AREA])[0, 0] == pytest.approx(9 / 17)
    visible = np.arange(17)[None] >= 8
    assert oks_matrix(half, at(0), [AREA], visible)[0, 0] == 1.0
    assert oks_matrix(at(0), at(0), [AREA], np.zeros((1, 17)))[0, 0] == 0.0


def test_only_the_repaired_flavour_looks_at_visibility():
    pred = at(0)
    pred[0, 0] += 500
    visible = np.ones((1, 17))
    visible[0, 0] = 0
    args = pred, TRIANGLE[:1], at(0), TRIANGLE[:1]
    assert score(*args, "scene", gt_visible=visible)["OKS"] == 1.0
    assert score(*args, "largecrowd", gt_visible=visible)["OKS"] == pytest.approx(16 / 17)


def test_a_loser_of_the_greedy_matching_gets_nobody():
    similarity = np.array([[0.9, 0.2], [0.8, 0.5]])
    assert matching.greedy(similarity).tolist() == [[0, 0]]
    assert matching.hungarian(similarity).tolist() == [[0, 0], [1, 1]]
    tied = np.array([[0.7, 0.7], [0.7, 0.1]])
    assert matching.greedy(tied).tolist() == [[0, 0]]
    assert matching.greedy(np.array([[1e-7]])).tolist() == []
    assert matching.hungarian(np.array([[0.05]])).tolist() == []


@given(SEEDS)
def test_hungarian_is_the_best_of_all_assignments(seed):
    similarity = np.random.default_rng(seed).random((4, 4))
    pairs = matching.hungarian(similarity, minimum=0.0)
    best = max(sum(similarity[i, p[i]] for i in range(4)) for p in itertools.permutations(range(4)))
    assert similarity[pairs[:, 0], pairs[:, 1]].sum() == pytest.approx(best)


@given(SEEDS)
def test_greedy_against_a_loop(seed):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 4, (6, 5)) / 4  # many ties
    order = sorted(range(6), key=lambda i: 1 - similarity[i].max())
    used, expected = set(), []
    for i in order:
        j = int(similarity[i].argmax())
        if similarity[i, j] > matching.GREEDY_MIN_OKS and j not in used:
            used.add(j)
            expected.append([i, j])
    assert matching.greedy(similarity).tolist() == sorted(expected)


@given(SEEDS)
@settings(max_examples=30)
def test_similarities_against_a_loop(seed):
    rng = np.random.default_rng(seed)
    pred, gt = rng.normal(0, 60, (5, 17, 2)), rng.normal(0, 60, (4, 17, 2))
    pred[:, :, 0] += 300 * rng.integers(0, 3, 5)[:, None]
    area, visible = rng.uniform(100, 4000, 4), rng.random((4, 17)) > 0.3
    pred[rng.random((5, 17)) > 0.9] = np.nan
    expected = np.zeros((4, 5))
    for i, j in np.ndindex(4, 5):
        terms = []
        for k in np.flatnonzero(visible[i]):
            d2 = ((pred[j, k] - gt[i, k]) ** 2).sum()
            terms.append(
                0 if np.isnan(d2) else math.exp(-d2 / (2 * area[i] * (2 * COCO_SIGMAS[k]) ** 2))
            )
        expected[i, j] = np.mean(terms) if terms else 0
    np.testing.assert_allclose(oks_matrix(pred, gt, area, visible), expected, atol=1e-15)


@given(SEEDS)
@settings(max_examples=30)
def test_pairs_against_a_loop(seed):
    rng = np.random.default_rng(seed)
    gt = np.round(rng.uniform(-5, 5, (6, 3)), 1)
    pred = gt + rng.normal(0, 0.5, (6, 3))
    similar, order = [], []
    for i, j in itertools.combinations(range(6), 2):
        true, found = np.linalg.norm(gt[i] - gt[j]), np.linalg.norm(pred[i] - pred[j])
        similar.append(max(0, 1 - abs(found - true) / true))

        def kind(a, b):
            return 0 if abs(a - b) <= 0.3 else math.copysign(1, a - b)

        order.append(kind(gt[i, 2], gt[j, 2]) == kind(pred[i, 2], pred[j, 2]))
    table = pair_table(pred, gt, gt[:, 2], 0.3)
    assert mean_of_pairs(table.distance) == pytest.approx(np.mean(similar), abs=1e-12)
    assert mean_of_pairs(table.order) == pytest.approx(np.mean(order), abs=1e-12)


@given(SEEDS, st.integers(2, 12))
def test_perfect_predictions_score_exactly_one(seed, n):
    px, torso, _ = random_scene(seed, n)
    for flavour in FLAVOURS:
        result = score(px, torso, px, torso, flavour)
        for name in ("PPDS", "PA-PPDS", "PCOD", "OKS", "recall", "precision", "F1", "SS", "score"):
            assert result[name] == 1.0, name
        assert result["RP"] == 0.0


@given(SEEDS)
def test_the_order_of_people_does_not_matter(seed):
    px, torso, rng = random_scene(seed)
    pred_px, pred = px + rng.normal(0, 8, px.shape), torso + rng.normal(0, 1, torso.shape)
    p, g = rng.permutation(8)[:6], rng.permutation(8)
    for flavour in FLAVOURS:
        one = score(pred_px[np.sort(p)], pred[np.sort(p)], px, torso, flavour)
        other = score(pred_px[p], pred[p], px[g], torso[g], flavour)
        assert other == pytest.approx(one, abs=1e-12)


@given(SEEDS)
def test_what_a_rigid_motion_changes(seed):
    px, torso, rng = random_scene(seed)
    pred = torso + rng.normal(0, 1, torso.shape)
    turn = Rotation.random(random_state=seed).as_matrix()
    before = score(px, pred, px, torso)
    moved = score(px, pred @ turn.T + [3, -2, 50], px, torso)
    for name in ("PPDS", "PA-PPDS", "SS", "OKS", "recall"):
        assert moved[name] == pytest.approx(before[name], abs=1e-9)
    scaled = score(px, 1.5 * pred, px, torso)
    assert scaled["PA-PPDS"] == pytest.approx(before["PA-PPDS"], abs=1e-9)
    # Controls: the order of depth does not survive a half turn, nor the distances another scale.
    behind = pred * [-1, 1, -1] + [0, 0, 200]
    assert score(px, behind, px, torso)["PCOD"] < 0.5 < before["PCOD"]
    assert scaled["PPDS"] < before["PPDS"] - 0.2
    mirrored = score(px, pred * [-1, 1, 1], px, torso)
    assert mirrored["PPDS"] == pytest.approx(before["PPDS"], abs=1e-9)


@given(SEEDS)
@settings(max_examples=20)
def test_more_noise_is_never_better(seed):
    px, torso, rng = random_scene(seed, 20)
    drift = rng.normal(0, 1, (1, 1, 2))
    drift /= np.linalg.norm(drift)  # px; ten of them still match
    pixels = [score(px + k * drift, torso, px, torso)["OKS"] for k in (0, 2, 5, 10)]
    assert all(a > b for a, b in itertools.pairwise(pixels))
    scales = [score(px, s * torso, px, torso)["PPDS"] for s in (1, 1.05, 1.2, 1.6)]
    assert scales == pytest.approx([1, 0.95, 0.8, 0.4])
    draws = rng.normal(0, 1, (6, *torso.shape))
    for name in ("PPDS", "PA-PPDS", "PCOD"):
        values = [
            np.mean([score(px, torso + s * d, px, torso)[name] for d in draws]) for s in (0, 2, 12)
        ]
        assert all(a > b for a, b in itertools.pairwise(values)), name


def test_intervals_are_seeded_and_hold_the_value():
    px, torso, rng = random_scene(3, 60)
    pred = torso + rng.normal(0, 1, torso.shape)
    first = score(px[:50], pred[:50], px, torso, seed=1)
    assert first["interval"] == score(px[:50], pred[:50], px, torso, seed=1)["interval"]
    assert first["interval"] != score(px[:50], pred[:50], px, torso, seed=2)["interval"]
    for name in ("PPDS", "PA-PPDS", "PCOD", "recall", "F1"):
        low, high = first["interval"][name]
        assert low <= first[name] <= high and high - low < 0.3
    assert "interval" not in score(px, torso, px, torso, "largecrowd", seed=1)


def test_weighted_means_of_pairs_are_means_over_the_drawn_people():
    table = pair_table(
        TRIANGLE + np.array([[0.0, 0, 1], [0, 0, 0], [1, 0, 0]]), TRIANGLE, TRIANGLE[:, 2], 0.3
    )
    weight = np.array([[1.0, 1, 1], [2, 1, 0], [3, 0, 0]])
    means = mean_of_pairs(table.distance, weight)
    assert means[0] == pytest.approx(mean_of_pairs(table.distance))
    assert means[1] == pytest.approx(table.distance[0, 1])
    assert math.isnan(means[2])
    assert bootstrap.draws(3, 0, 10).sum(axis=1).tolist() == [3.0] * 10


def test_distances_are_binned_by_the_true_one():
    gt = np.array([[0, 0, 10], [1, 0, 10], [11, 0, 10]], float)
    rows = binned_error([pair_table(gt * [2, 1, 1], gt, gt[:, 2], 0.3)])
    assert [row["pairs"] for row in rows] == [1, 0, 1, 1, 0, 0]
    assert rows[0]["median"] == pytest.approx(1.0) and rows[1]["median"] is None


def test_people_without_a_place_count_only_as_found():
    gt = TRIANGLE.copy()
    gt[2] = np.nan
    result = score(at(0, 500, 900), TRIANGLE, at(0, 500, 900), gt)
    assert (result["recall"], result["PPDS"]) == (1.0, 1.0)
    two = score_scene(at(0, 500, 900), TRIANGLE, at(0, 500, 900), np.full(3, AREA), gt, gt, "scene")
    assert two.placed.tolist() == [True, True, False]


def test_two_people_in_one_place():
    spot = np.array([[0, 0, 10], [0, 0, 10]], float)
    assert score(at(0, 500), spot, at(0, 500), spot)["PPDS"] == 1.0
    apart = score(at(0, 500), TRIANGLE[:2], at(0, 500), spot)
    assert (apart["PPDS"], apart["SS"]) == (0.0, 0.0)


def test_layers_of_depth():
    assert depth_relations([1.0, 1.1, 2.0], [0, 0, 1]) == (3, 3)
    assert depth_relations([1.0, 1.5, 2.0], [0, 0, 1]) == (2, 3)
    assert depth_relations([2.0, 1.0], [0, 1]) == (0, 1)
    assert depth_relations([1.0, 1.0, 9.0], [0, 1, -1]) == (0, 1)
    assert depth_relations([], []) == (0, 0)


def test_wrong_shapes_are_refused():
    with pytest.raises(DataError, match="gt_area_px2 has the shape"):
        metrics(at(0), TRIANGLE[:1], at(0), [1.0, 2.0], TRIANGLE[:1], TRIANGLE[:1])
    with pytest.raises(DataError, match="flavour"):
        score(at(0), TRIANGLE[:1], at(0), TRIANGLE[:1], "sweet")


def ap_of(pred_px, scores, gt_px, ignored=None, crowd=None):
    n = len(gt_px)
    none = np.zeros(n, bool)
    frame = ApFrame(
        pred_px,
        np.array(scores, float),
        gt_px,
        np.ones((n, 17), bool),
        np.full(n, AREA),
        none if ignored is None else np.array(ignored),
        crowd=None if crowd is None else np.array(crowd),
    )
    return average_precision([frame])


def test_average_precision_by_hand():
    assert ap_of(at(0, 500), [0.9, 0.8], at(0, 500)) == dict.fromkeys(
        ("AP", "AP50", "AP75", "AR"), 1.0
    )
    # Right, wrong, right: precision 1 up to recall 1/2, then 2/3; 51 and 50 of 101 recalls.
    mixed = ap_of(at(0, 2000, 500), [0.9, 0.8, 0.7], at(0, 500))
    assert mixed["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert ap_of(at(), [], at(0))["AP"] == 0.0
    assert math.isnan(ap_of(at(0), [0.5], at())["AP"])
    # A duplicate is wrong, a prediction of somebody who does not count is forgotten.
    assert ap_of(at(0, 0, 500), [0.9, 0.8, 0.7], at(0, 500))["AP"] == mixed["AP"]
    assert ap_of(at(900, 0), [0.9, 0.8], at(0, 900), [False, True])["AP"] == 1.0
    # An ignored person excuses one prediction, a crowd any number.
    void = at(900, 900, 0), [0.9, 0.8, 0.7], at(0, 900), [False, True]
    assert ap_of(*void)["AP"] == pytest.approx(0.5)
    assert ap_of(*void, [False, True])["AP"] == 1.0


def test_average_precision_is_that_of_cocos_own_code():
    """Values of pycocotools 2.0.11 on the people below, of whom one is a crowd and one is not labelled."""
    rng = np.random.default_rng(11)
    frames = []
    for _ in range(4):
        gt = rng.uniform(100, 800, (6, 1, 2)) + rng.uniform(0, 120, (6, 17, 2))
        visible = rng.random((6, 17)) < 0.7
        visible[0] = False
        crowd = np.arange(6) == 1
        who = rng.integers(0, 6, 9)
        pred = gt[who] + rng.normal(0, 1, (9, 17, 2)) * rng.choice([2, 10, 25], (9, 1, 1))
        boxes = np.concatenate([gt.min(axis=1), gt.max(axis=1)], axis=1)
        ignored = crowd | ~visible.any(axis=1)
        area = rng.uniform(3000, 12000, 6)
        frames.append(ApFrame(pred, rng.random(9), gt, visible, area, ignored, boxes, crowd))
    assert average_precision(frames) == pytest.approx(COCO_REFERENCE, abs=1e-9)
