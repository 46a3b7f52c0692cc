"""Made-up errors of 2D poses: as frequent and as large as the table of the published training says."""

import numpy as np
import pytest

from crowd3d.body.tree import COCO_MIRROR
from crowd3d.training.common.pose_errors import Kind, disturb, probabilities, radius_px
from tiling import COCO_SIGMAS

MIRROR = np.array(COCO_MIRROR)
AREA = 100.0 * 240.0
# A person with joints far apart, so that every kind of error has a place.
JOINTS = np.array([[50.0 + 8 * (j % 3), 20.0 * j] for j in range(17)])
JOINTS[MIRROR > np.arange(17), 0] -= 170
JOINTS[MIRROR < np.arange(17), 0] += 170
ALL = np.ones(17, bool)


def stranger(shift: float = 450.0):
    return JOINTS[None] + [shift, 0.0], ALL[None]


def draws(count: int, others, others_valid, valid=ALL, **options):
    rng = np.random.default_rng(0)
    seen = [
        disturb(JOINTS, valid, AREA, others, others_valid, rng, **options) for _ in range(count)
    ]
    return np.array([s[0] for s in seen]), np.array([s[1] for s in seen])


@pytest.mark.parametrize("n_valid", [17, 10, 5])
def test_kinds_are_as_frequent_as_the_table_says(n_valid):
    valid = np.zeros(17, bool)
    valid[
        {17: range(17), 10: [0, 5, 6, 7, 8, 11, 12, 13, 14, 15], 5: [0, 5, 6, 11, 12]}[n_valid]
    ] = True
    _, kinds = draws(900, *stranger(), valid=valid)
    table = probabilities(n_valid, 1)
    table[MIRROR == np.arange(17), Kind.INVERSION] = 0
    table[~valid[MIRROR], Kind.INVERSION] = 0
    table /= table.sum(1, keepdims=True)
    found = np.stack([(kinds[:, valid] == kind).mean(0) for kind in range(5)], axis=1)
    for rows in (valid, valid & (np.arange(17) < 5), valid & (np.arange(17) >= 11)):
        part = rows[valid]
        if part.sum() < 5:  # too few draws to see two points
            continue
        np.testing.assert_allclose(found[part].mean(0), table[rows].mean(0), atol=0.02)
    wrong = np.roll(table, 1, axis=1)  # control
    assert np.abs(found.mean(0) - wrong[valid].mean(0)).max() > 0.02


def similarity(place, target):
    d2 = ((place - target) ** 2).sum(-1)
    return np.exp(-d2 / (2 * AREA * (2 * COCO_SIGMAS) ** 2))


def test_errors_are_as_large_as_their_kind_says():
    others, others_valid = stranger()
    seen, kinds = draws(300, others, others_valid)
    place = seen[..., :2]
    own, mirror = similarity(place, JOINTS), similarity(place, JOINTS[MIRROR])
    strange = np.maximum(similarity(place, others[0]), similarity(place, others[0][MIRROR]))
    nearest = np.maximum(np.maximum(own, mirror), strange)
    eps = 1e-9
    assert (own[kinds == Kind.GOOD] >= 0.85 - eps).all()
    assert ((own >= 0.5 - eps) & (own <= 0.85 + eps))[kinds == Kind.JITTER].all()
    missed = kinds == Kind.MISS
    assert ((nearest >= 0.1 - eps) & (nearest <= 0.5 + eps))[missed].all()
    assert (mirror[kinds == Kind.INVERSION] >= 0.5 - eps).all()
    assert (strange[kinds == Kind.SWAP] >= 0.5 - eps).all()
    assert (own[kinds >= Kind.INVERSION] <= 0.5 + eps).all()
    assert all((kinds == kind).any() for kind in range(5))


def test_nobody_near_means_no_swap_and_unknown_joints_stay_unknown():
    valid = np.arange(17) != 9
    seen, kinds = draws(100, np.zeros((0, 17, 2)), np.zeros((0, 17), bool), valid=valid)
    assert not (kinds == Kind.SWAP).any()
    assert (kinds[:, 9] == Kind.DROPPED).all() and (seen[:, 9] == 0).all()
    assert not (kinds[:, 10] == Kind.INVERSION).any()  # its mirror is unknown


def test_joints_drop_out_and_scores_follow_the_error():
    seen, kinds = draws(300, *stranger(), dropout=0.3)
    assert (kinds == Kind.DROPPED).mean() == pytest.approx(0.3, abs=0.02)
    assert (seen[kinds == Kind.DROPPED] == 0).all()
    score = seen[..., 2]
    assert score[kinds == Kind.GOOD].mean() > score[kinds == Kind.MISS].mean() + 0.3
    assert score.max() <= 1


def test_a_joint_on_top_of_its_mirror_has_nowhere_to_invert():
    joints = JOINTS.copy()
    joints[11] = joints[12]
    rng = np.random.default_rng(1)
    empty = np.zeros((0, 17, 2)), np.zeros((0, 17), bool)
    kinds = [disturb(joints, ALL, AREA, *empty, rng)[1][11] for _ in range(200)]
    assert Kind.INVERSION not in kinds


def test_radii_invert_the_similarity():
    for s in (0.85, 0.5, 0.1):
        d = radius_px(s, AREA)
        np.testing.assert_allclose(np.exp(-(d**2) / (2 * AREA * (2 * COCO_SIGMAS) ** 2)), s)


def test_the_same_seed_gives_the_same_errors():
    np.testing.assert_array_equal(draws(5, *stranger())[0], draws(5, *stranger())[0])


def test_errors_can_be_kept_to_some_kinds():
    rng = np.random.default_rng(5)
    joints, none = rng.uniform(0, 200, (17, 2)), np.zeros((0, 17))
    valid, others = np.ones(17, bool), np.zeros((0, 17, 2))
    for kinds, similarity in (((Kind.GOOD,), 0.85), ((Kind.GOOD, Kind.JITTER), 0.5)):
        seen, happened = disturb(joints, valid, 9e3, others, none > 0, rng, kinds=kinds)
        assert set(happened.tolist()) <= set(kinds)
        off = np.linalg.norm(seen[:, :2] - joints, axis=1)
        assert (off <= radius_px(similarity, 9e3) + 1e-9).all()
    assert (happened == Kind.JITTER).any()
