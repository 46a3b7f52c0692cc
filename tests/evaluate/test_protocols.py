"""MuPoTS, 3DPW-Crowd, depth relations and average precision: cases worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crowd3d.evaluate.check import by_kind
from crowd3d.evaluate.metrics import mupots, threedpw
from crowd3d.evaluate.metrics.matching import greedy, hungarian
from crowd3d.evaluate.metrics.oks import ApFrame, average_precision, oks_matrix
from crowd3d.evaluate.metrics.pairwise import binned_error, depth_relations, pair_table
from crowd3d.evaluate.metrics.ranges import by_range

Array = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)

# --- matching -------------------------------------------------------------------------------------


def test_greedy_gives_the_loser_nobody() -> None:
    similarity = np.array([[0.8, 0.7], [0.9, 0.1]])  # both prefer the first prediction
    assert greedy(similarity).tolist() == [[1, 0]]
    assert hungarian(similarity).tolist() == [[0, 1], [1, 0]]


def test_greedy_drops_what_is_like_nobody() -> None:
    assert greedy(np.array([[1e-6], [0.0]])).tolist() == []
    assert greedy(np.array([[2e-6], [0.0]])).tolist() == [[0, 0]]


def test_of_equals_the_first() -> None:
    assert greedy(np.array([[0.5, 0.5], [0.5, 0.5]])).tolist() == [[0, 0]]


@pytest.mark.parametrize("match", [greedy, hungarian])
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_matching_of_nobody(match, shape) -> None:  # type: ignore[no-untyped-def]
    assert match(np.zeros(shape)).shape == (0, 2)


@given(n=st.integers(1, 7), m=st.integers(1, 7), seed=seeds)
@settings(max_examples=50, deadline=None)
def test_greedy_as_it_is_told(n: int, m: int, seed: int) -> None:
    similarity = np.random.default_rng(seed).integers(0, 5, (n, m)) / 4
    best = [max(range(m), key=lambda j: (row[j], -j)) for row in similarity]
    used: set[int] = set()
    pairs = []
    for i in sorted(range(n), key=lambda i: 1 - similarity[i, best[i]]):
        if similarity[i, best[i]] > 1e-6 and best[i] not in used:
            used.add(best[i])
            pairs.append([i, best[i]])
    assert greedy(similarity).tolist() == sorted(pairs)


# --- MuPoTS ---------------------------------------------------------------------------------------


def skeleton(z: float = 3.0, spread: float = 0.3) -> Array:
    """(17, 3) joints in MuPoTS's order, every bone of another length."""
    rng = np.random.default_rng(0)
    return rng.normal(scale=spread, size=(17, 3)) + np.array([0, 0, z])


def flat(u: float) -> Array:
    return np.stack([u + np.arange(17.0), 10 * np.arange(17.0)], axis=1)


def picture(
    pred: list[Array],
    gt: list[Array],
    at: list[float],
    true_at: list[float],
    sequence: str = "TS1",
) -> mupots.MupotsFrame:
    return mupots.MupotsFrame(
        sequence,
        np.array([flat(u) for u in at]).reshape(-1, 17, 2),
        np.array(pred).reshape(-1, 17, 3),
        np.array([flat(u) for u in true_at]).reshape(-1, 17, 2),
        np.array(gt).reshape(-1, 17, 3),
    )


def test_3dpck_counts_the_unmatched_as_wrong_only_in_all() -> None:
    body = skeleton()
    found = mupots.pck3d([picture([body], [body, body + 1], [0], [0, 500])])
    assert found["3DPCK_rel_matched"] == 1 and found["3DPCK_rel"] == 0.5
    assert found["3DPCK_abs_matched"] == 1 and found["3DPCK_abs"] == 0.5


def test_3dpck_absolute_knows_where_people_stand() -> None:
    body = skeleton()
    found = mupots.pck3d([picture([body + np.array([0, 0, 0.2])], [body], [0], [0])])
    assert found["3DPCK_rel"] == 1 and found["3DPCK_abs"] == 0


def test_3dpck_judges_fourteen_joints() -> None:
    body, pred = skeleton(), skeleton()
    pred[0] += [0.5, 0, 0]  # the top of the head is judged, the head is not
    pred[16] += [0, 0.5, 0]
    found = mupots.pck3d([picture([pred], [body], [0], [0])], rescale=False)
    assert found["3DPCK_rel"] == pytest.approx(13 / 14)


def test_3dpck_forgives_the_size_if_bones_are_rescaled() -> None:
    body = skeleton()
    small = body[14] + 0.4 * (body - body[14])
    frames = [picture([small], [body], [0], [0])]
    assert mupots.pck3d(frames)["3DPCK_rel"] == 1
    assert mupots.pck3d(frames, rescale=False)["3DPCK_rel"] < 1


def test_3dpck_is_a_mean_over_sequences() -> None:
    body, bad = skeleton(), skeleton() + np.array([0, 0, 1])
    good = picture([body], [body], [0], [0], "TS1")
    frames = [good, good, good, picture([bad], [body], [0], [0], "TS2")]
    assert mupots.pck3d(frames)["3DPCK_abs"] == 0.5
    assert math.isnan(mupots.pck3d([])["3DPCK_rel"])


def test_bones_take_the_true_lengths_and_keep_their_directions() -> None:
    pred = np.random.default_rng(1).normal(size=(2, 17, 3))
    gt = np.random.default_rng(2).normal(size=(2, 17, 3))
    out = mupots.rescaled(pred, gt)
    assert np.array_equal(out[:, 14], pred[:, 14])
    for child, parent in enumerate(mupots.PARENTS):
        if parent < 0:
            continue
        bones = [a[:, child] - a[:, parent] for a in (out, pred, gt)]
        lengths = [np.linalg.norm(b, axis=1) for b in bones]
        assert np.allclose(lengths[0], lengths[2])
        assert np.allclose((bones[0] * bones[1]).sum(1), lengths[0] * lengths[1])


def test_mupots_matches_by_joints_within_40_px() -> None:
    gt = np.array([flat(0), flat(200)])
    pred = np.array([flat(239), flat(39), flat(600)])
    assert mupots.match(pred, gt).tolist() == [1, 0]
    assert mupots.match(np.array([flat(40)]), gt).tolist() == [-1, -1]
    assert mupots.match(np.zeros((0, 17, 2)), gt).tolist() == [-1, -1]


def test_mupots_gives_a_prediction_away_once() -> None:
    gt = np.array([flat(0), flat(10)])
    assert mupots.match(np.array([flat(5)]), gt).tolist() == [0, -1]


# --- 3DPW-Crowd -----------------------------------------------------------------------------------


def test_crowd_index_by_hand() -> None:
    own = np.array([[i, i] for i in range(8)], float)  # eight joints in the box 0..10
    other = own + np.array([5, 5])  # of which 0..5 reach into it: six
    keypoints, valid = np.array([own, other]), np.ones((2, 8), bool)
    boxes = np.array([[0, 0, 10, 10], [5, 5, 15, 15]], float)
    assert threedpw.crowd_index(keypoints, valid, boxes).tolist() == [6 / 8, 3 / 8]


def test_crowd_index_of_fewer_than_four_own_joints_is_zero() -> None:
    keypoints, valid = np.zeros((2, 8, 2)), np.ones((2, 8), bool)
    boxes = np.array([[-1, -1, 1, 1], [-1, -1, 1, 1]], float)
    valid[0, 3:] = False
    assert threedpw.crowd_index(keypoints, valid, boxes).tolist() == [0, 3 / 8]


def test_3dpw_matches_below_a_fifteenth_of_the_box() -> None:
    gt = np.zeros((1, 4, 2))
    valid, boxes = np.ones((1, 4), bool), np.array([[0.0, 0, 150, 300]])
    for away, owner in ((9.9, 0), (10.0, -1)):
        assert threedpw.match(np.full((1, 4, 2), [away, 0.0]), gt, valid, boxes)[0] == owner
    far_joint = np.zeros((1, 4, 2))
    far_joint[0, 3] = 1000
    valid[0, 3] = False
    assert threedpw.match(far_joint, gt, valid, boxes)[0] == 0


def test_3dpw_match_is_not_blinded_by_somebody_behind_the_camera() -> None:
    pred = np.stack([np.full((4, 2), np.nan), np.zeros((4, 2))])
    valid, boxes = np.ones((1, 4), bool), np.array([[0.0, 0, 150, 300]])
    assert threedpw.match(pred, np.zeros((1, 4, 2)), valid, boxes)[0] == 1


def test_3dpw_errors_of_one_found_and_one_missed() -> None:
    joints = np.random.default_rng(0).normal(scale=0.3, size=(2, 17, 3))
    px = np.array([[[0.0, 0]] * 4, [[500.0, 0]] * 4])
    valid, boxes = np.ones((2, 4), bool), np.array([[0, 0, 90, 90], [500, 0, 590, 90]], float)
    shifted = joints[:1] + np.array([1, 0, 0])
    frame = threedpw.PwFrame(px[:1], px, valid, boxes, shifted, joints)
    found = threedpw.errors([frame])
    assert found["MPJPE"] == pytest.approx(0, abs=1e-9) and found["matched"] == 0.5


# --- depth relations ------------------------------------------------------------------------------


def test_pcdr_by_hand() -> None:
    # Layers 0 0 1 and one unknown: two ties... the first pair is level, the others nearer.
    assert depth_relations([10.0, 10.1, 12.0, 3.0], [0, 0, 1, -1]) == (3, 3)
    assert depth_relations([10.0, 10.3, 12.0], [0, 0, 1]) == (2, 3)  # level people 0.3 m apart
    assert depth_relations([10.0, 10.1, 10.15], [0, 0, 1]) == (1, 3)  # nearer people level
    assert depth_relations([], []) == (0, 0)


def test_relative_errors_by_true_distance() -> None:
    true = np.array([[0.0, 0, 0], [1, 0, 0], [8, 0, 0]])
    pred = np.array([[0.0, 0, 0], [1.5, 0, 0], [8, 0, 0]])
    rows = binned_error([pair_table(pred, true, true[:, 2], None)])
    by_start = {row["from_m"]: row for row in rows}
    assert by_start[0.0]["pairs"] == 1 and by_start[0.0]["median"] == pytest.approx(0.5)
    assert by_start[5.0]["pairs"] == 2  # 7 m that became 6.5, and 8 m
    assert by_start[5.0]["mean"] == pytest.approx((0.5 / 7 + 0) / 2)
    assert by_start[2.0]["pairs"] == 0 and by_start[2.0]["median"] is None
    assert rows[-1]["to_m"] is None


# --- average precision ----------------------------------------------------------------------------


def ap_frame(
    pred_at: list[float], score: list[float], gt_at: list[float], ignored: list[int] | None = None
) -> ApFrame:
    n = len(gt_at)
    is_ignored = np.zeros(n, bool)
    is_ignored[ignored or []] = True
    return ApFrame(
        np.array([flat(u) for u in pred_at]).reshape(-1, 17, 2),
        np.array(score, float),
        np.array([flat(u) for u in gt_at]).reshape(-1, 17, 2),
        np.ones((n, 17), bool),
        np.full(n, 4000.0),
        is_ignored,
        crowd=is_ignored,
    )


def test_ap_of_perfect_people_is_one() -> None:
    found = average_precision([ap_frame([0, 500], [0.4, 0.9], [500, 0])])
    assert found == {"AP": 1, "AP50": 1, "AP75": 1, "AR": 1}


def test_ap_of_one_found_of_two() -> None:
    # Precision 1 up to a recall of 1/2: 51 of the 101 recalls.
    found = average_precision([ap_frame([0], [0.5], [0, 500])])
    assert found["AP"] == pytest.approx(51 / 101) and found["AR"] == 0.5


def test_ap_of_a_false_person_before_the_true_one() -> None:
    frame = ap_frame([900, 0], [0.9, 0.5], [0])
    assert average_precision([frame])["AP"] == pytest.approx(0.5)
    assert average_precision([ap_frame([900, 0], [0.1, 0.5], [0])])["AP"] == 1


def test_ap_of_a_duplicate() -> None:
    assert average_precision([ap_frame([0, 0, 500], [0.9, 0.8, 0.7], [0, 500])])["AP"] == (
        pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    )


def test_ap_forgets_predictions_of_the_ignored() -> None:
    frame = ap_frame([500, 500, 0], [0.9, 0.8, 0.5], [0, 500], ignored=[1])
    assert average_precision([frame])["AP"] == 1
    alone = replace(frame, crowd=None)  # one person, of whom the second prediction is a duplicate
    assert average_precision([alone])["AP"] == pytest.approx(0.5)


def test_ap_of_nobody() -> None:
    assert average_precision([ap_frame([], [], [0])])["AP"] == 0
    assert math.isnan(average_precision([ap_frame([0], [1], [])])["AP"])
    assert math.isnan(average_precision([])["AP"])


def test_ap_counts_only_so_many_people_if_told() -> None:
    frame = ap_frame([0, 500], [0.5, 0.9], [0, 500])
    assert average_precision([frame], max_detections=1)["AR"] == 0.5


@given(n=st.integers(0, 5), m=st.integers(0, 6), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_ap_is_what_a_sweep_over_thresholds_gives(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Whole pixels, so that predictions are often equally good; the second half of the truth is a crowd.
    frames = [
        ap_frame(
            [float(u) for u in rng.integers(0, 60, m)],
            [float(s) for s in rng.permutation(m) / 10 + t / 100],
            [float(u) for u in rng.integers(0, 60, n)],
            ignored=list(range((n + 1) // 2, n)),
        )
        for t in range(2)
    ]
    found = average_precision(frames)
    expected = [naive_ap(frames, t) for t in np.linspace(0.5, 0.95, 10)]
    if not n:
        assert math.isnan(found["AP"])
    else:
        assert found["AP"] == pytest.approx(np.mean(expected))
        assert found["AP50"] == pytest.approx(expected[0])


def naive_ap(frames: list[ApFrame], threshold: float) -> float:
    """COCO's loops, one threshold."""
    marks = []
    for frame in frames:
        similarity = oks_matrix(frame.pred_px, frame.gt_px, frame.area_px2)
        taken: set[int] = set()
        for j in np.argsort(-frame.score):
            best, match = threshold, -1
            for ignored in (False, True):
                for i in np.flatnonzero(frame.ignored == ignored):
                    if ignored and match >= 0 and not frame.ignored[match]:
                        continue
                    if (i not in taken or ignored) and similarity[i, j] >= best:
                        best, match = similarity[i, j], i
            if match >= 0:
                taken.add(match)
            if match < 0 or not frame.ignored[match]:
                marks.append((frame.score[j], match >= 0))
    total = sum(int((~frame.ignored).sum()) for frame in frames)
    marks.sort(key=lambda mark: -mark[0])
    curve, right = [], 0
    for k, (_, good) in enumerate(marks):
        right += good
        curve.append((right / total, right / (k + 1)) if total else (0.0, 0.0))
    levels = [max([p for r, p in curve if r >= at], default=0.0) for at in np.linspace(0, 1, 101)]
    return float(np.mean(levels))


def test_ranges_by_hand() -> None:
    rows = by_range([5, 8, 15, 15, np.nan], [0.5, 0.4, np.nan, 0.3, 1], [1, 1, 0, 1, 1])
    first, second = rows[:2]
    assert (first["people"], first["recall"]) == (2, 1.0)
    assert first["median"] == pytest.approx((0.1 + 0.05) / 2)
    assert (second["people"], second["recall"]) == (2, 0.5)
    assert second["median"] == second["p90"] == pytest.approx(0.02)
    assert rows[2]["people"] == 0 and rows[2]["recall"] is None and rows[2]["median"] is None
    assert sum(row["people"] or 0 for row in rows) == 4  # whose distance is unknown is left out


def test_warnings_of_the_same_words_are_one() -> None:
    warnings = ["a.jpg, person 0: odd: x", "a.jpg, person 1: old", "b.jpg, person 0: odd: x"]
    assert by_kind(warnings) == ["a.jpg, person 0 and 1 more: odd: x", "a.jpg, person 1: old"]
    assert by_kind([]) == []
