"""Errors of joints, roots, vertices and bones: by hand, and under motions that they must or must not see."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from crowd3d.errors import BodyError, DataError
from crowd3d.evaluate.metrics import joints, mupots, threedpw
from crowd3d.evaluate.metrics.roots import RootFrame, ap_root

SEEDS = st.integers(0, 10_000)
# Root, and three joints a metre away along the axes.
AXES = np.array([[[0, 0, 5], [1, 0, 5], [0, 1, 5], [0, 0, 6]]], float)


def moved(*by):
    return np.array(by, float)


def spots(*places):
    """People all of whose joints are in one spot."""
    return np.repeat(np.array(places, float)[:, None], 17, axis=1)


def random_joints(seed, n=3, j=10):
    rng = np.random.default_rng(seed)
    gt = rng.normal(0, 0.4, (n, j, 3)) + rng.normal(0, 5, (n, 1, 3))
    return gt + rng.normal(0, 0.05, gt.shape), gt, rng


def test_mean_distance_by_hand():
    pred = AXES.copy()
    pred[0, 1, 1] += 0.1
    assert joints.mpjpe_mm(pred, AXES)[0] == pytest.approx(25.0)
    assert joints.mpjpe_mm(pred + 3, AXES)[0] == pytest.approx(25.0)
    assert joints.mpjpe_mm(AXES + moved(0, 0, 0.2), AXES, root=None)[0] == pytest.approx(200.0)
    # The mean of two joints as the root: half of what one of them is off.
    assert joints.mpjpe_mm(pred, AXES, root=(0, 1))[0] == pytest.approx((50 + 50 + 50 + 50) / 4)


def test_unknown_joints_are_left_out():
    pred, gt = AXES.copy(), AXES.copy()
    pred[0, 1, 1] += 0.1
    gt[0, 2] = np.nan
    assert joints.mpjpe_mm(pred, gt)[0] == pytest.approx(100 / 3)
    assert math.isnan(joints.mpjpe_mm(pred, np.full_like(gt, np.nan))[0])
    assert joints.pa_mpjpe_mm(2 * gt, gt)[0] == pytest.approx(0, abs=1e-9)
    gt[0, 3] = np.nan
    assert math.isnan(joints.pa_mpjpe_mm(gt, gt)[0])


def test_nobody_has_no_error():
    nobody = np.zeros((0, 4, 3))
    assert joints.mpjpe_mm(nobody, nobody).shape == (0,)
    assert joints.pa_mpjpe_mm(nobody, nobody).shape == (0,)
    assert math.isnan(joints.mrpe_mm(np.zeros((0, 3)), np.zeros((0, 3)))["MRPE"])
    assert math.isnan(joints.with_missing([], 0))


def test_whoever_is_missing_costs_150_mm():
    assert joints.with_missing([50.0, 100.0], 4) == pytest.approx((150 + 300) / 4)
    assert joints.with_missing([], 2) == 150.0


@given(SEEDS)
def test_perfect_joints_have_exactly_no_error(seed):
    _, gt, _ = random_joints(seed)
    assert not joints.mpjpe_mm(gt, gt).any()
    assert not joints.pa_mpjpe_mm(gt, gt).any()


@given(SEEDS)
def test_what_motions_change(seed):
    pred, gt, rng = random_joints(seed)
    turn, shift = Rotation.random(random_state=seed).as_matrix(), rng.normal(0, 3, 3)
    away = 1.3 * pred @ turn.T + shift
    pa, rigid = joints.pa_mpjpe_mm(pred, gt), joints.pa_mpjpe_mm(pred, gt, with_scale=False)
    assert joints.pa_mpjpe_mm(away, gt) == pytest.approx(pa, abs=1e-6)
    assert joints.pa_mpjpe_mm(away / 1.3, gt, with_scale=False) == pytest.approx(rigid, abs=1e-6)
    assert joints.mpjpe_mm(pred + shift, gt) == pytest.approx(joints.mpjpe_mm(pred, gt), abs=1e-6)
    both = joints.mpjpe_mm(pred @ turn.T, gt @ turn.T)
    assert both == pytest.approx(joints.mpjpe_mm(pred, gt), abs=1e-6)
    # Controls: scale is seen without scale, a turn and a mirror are seen without alignment.
    assert (joints.pa_mpjpe_mm(1.3 * pred, gt, with_scale=False) > rigid).all()
    half_turn = pred * [-1, 1, -1]
    assert (joints.mpjpe_mm(half_turn, gt) > joints.mpjpe_mm(pred, gt)).all()
    assert (joints.pa_mpjpe_mm(pred * [-1, 1, 1], gt) > pa).all()


@given(SEEDS)
@settings(max_examples=20)
def test_error_grows_with_noise(seed):
    _, gt, rng = random_joints(seed)
    noise = rng.normal(0, 1, gt.shape)
    noise[:, 0] = 0
    one, three = (joints.mpjpe_mm(gt + s * noise, gt) for s in (0.01, 0.03))
    assert three == pytest.approx(3 * one)
    assert (
        joints.pa_mpjpe_mm(gt + 0.03 * noise, gt) > joints.pa_mpjpe_mm(gt + 0.01 * noise, gt)
    ).all()


def test_roots_by_axes():
    found = joints.mrpe_mm([[0.3, 0, 5], [0, 0, 5]], [[0, 0, 5.4], [0, 0.2, 5]])
    expected = {"MRPE": (500 + 200) / 2, "MRPE_x": 150, "MRPE_y": 100, "MRPE_z": 200}
    assert found == pytest.approx(expected)


def test_vertices_of_different_bodies_are_refused():
    mesh = np.zeros((1, 5, 3))
    with pytest.raises(BodyError, match=r"'open'.*'smpl'"):
        joints.pve_mm(mesh, mesh, "open", "smpl")
    assert joints.pve_mm(mesh + 0.1, mesh, "open", "open")[0] == pytest.approx(100 * math.sqrt(3))
    root = np.array([[1.0, 0, 0]])
    assert joints.pve_mm(mesh + root[:, None], mesh, "smpl", "smpl", root, 0 * root)[0] == 0.0


def test_unequal_shapes_are_refused():
    with pytest.raises(DataError, match="shapes"):
        joints.mpjpe_mm(np.zeros((2, 4, 3)), np.zeros((3, 4, 3)))


def test_average_precision_of_roots_by_hand():
    def frame(pred, score, gt):
        return RootFrame(np.reshape(pred, (-1, 3)), np.array(score, float), np.reshape(gt, (-1, 3)))

    gt = [[0, 0, 5], [2, 0, 5]]
    assert ap_root([frame(gt, [1, 1], gt)]) == 1.0
    # Right, wrong (0.3 m off), right: 1 * 1/2 + 2/3 * 1/2.
    pred = [[0, 0, 5.1], [2, 0, 5.3], [2, 0, 5.2]]
    assert ap_root([frame(pred, [0.9, 0.8, 0.7], gt)]) == pytest.approx(5 / 6)
    # The second of two on one root is wrong; a picture without truth does not count.
    twice = [[0, 0, 5], [0, 0, 5.1]]
    frames = [frame(twice, [0.9, 0.8], gt), frame(twice, [1, 1], [])]
    assert ap_root(frames) == pytest.approx(0.5)
    assert ap_root([frame([], [], gt)]) == 0.0
    assert math.isnan(ap_root([frame(pred, [1, 1, 1], [])]))
    # Scores rank over all pictures.
    low = [frame([[9, 9, 9]], [0.1], [[0, 0, 5]]), frame([[0, 0, 5]], [0.9], [[0, 0, 5]])]
    high = [frame([[9, 9, 9]], [0.95], [[0, 0, 5]]), frame([[0, 0, 5]], [0.9], [[0, 0, 5]])]
    assert (ap_root(low), ap_root(high)) == (0.5, 0.25)


def skeleton():
    """One person in MuPoTS's joints, bones of half a metre in various directions."""
    rng = np.random.default_rng(1)
    out = np.zeros((1, 17, 3))
    for child in mupots.TRAVERSAL:
        step = rng.normal(0, 1, 3)
        out[0, child] = out[0, mupots.PARENTS[child]] + 0.5 * step / np.linalg.norm(step)
    return out + moved(0, 0, 4)


def test_bones_take_the_true_lengths():
    gt = skeleton()
    small = gt[:, [mupots.PELVIS]] + 0.7 * (gt - gt[:, [mupots.PELVIS]])
    np.testing.assert_allclose(mupots.rescaled(small, gt), gt, atol=1e-12)
    collapsed = np.repeat(gt[:, [mupots.PELVIS]], 17, axis=1)
    np.testing.assert_allclose(mupots.rescaled(collapsed, gt), collapsed)


def mupots_frame(pred_px, pred_m, gt_px, gt_m, sequence="TS1"):
    return mupots.MupotsFrame(sequence, pred_px, pred_m, gt_px, gt_m)


def test_mupots_all_matched_relative_absolute():
    gt = np.concatenate([skeleton(), skeleton() + moved(2, 0, 0)])
    px = np.zeros((2, 17, 2)) + [[[0, 0]], [[300, 0]]] + np.arange(17)[None, :, None]
    perfect = mupots.pck3d([mupots_frame(px, gt, px, gt)])
    assert set(perfect.values()) == {1.0}
    away = mupots.pck3d([mupots_frame(px, gt + moved(0, 0, 1), px, gt)])
    assert (away["3DPCK_rel"], away["3DPCK_abs"]) == (1.0, 0.0)
    half = mupots.pck3d([mupots_frame(px[:1], gt[:1], px, gt)])
    assert (half["3DPCK_rel"], half["3DPCK_rel_matched"]) == (0.5, 1.0)
    two = [mupots_frame(px, gt, px, gt), mupots_frame(px[:0], gt[:0], px, gt, "TS2")]
    both = mupots.pck3d(two)
    assert (both["3DPCK_abs"], both["3DPCK_abs_matched"]) == (0.5, 1.0)
    assert math.isnan(mupots.pck3d([])["3DPCK_rel"])
    # 140 mm is right, 160 mm is wrong, of the fourteen joints of one person.
    off = gt[:1].copy()
    off[0, 4] += [0.14, 0, 0]
    off[0, 7] += [0.16, 0, 0]
    pck = mupots.pck3d([mupots_frame(px[:1], off, px[:1], gt[:1])], rescale=False)
    assert pck["3DPCK_rel"] == pytest.approx(13 / 14)


def test_mupots_matching():
    gt = spots([0, 0], [30, 0])
    pred = spots([25, 0], [5, 0])
    assert mupots.match(pred, gt).tolist() == [
        1,
        0,
    ]  # all joints agree with both; the nearer is taken
    assert mupots.match(pred + moved(0, 41), gt).tolist() == [-1, -1]
    assert mupots.match(pred[:0], gt).tolist() == [-1, -1]
    partly = np.full((1, 17, 2), np.nan)
    partly[0, 3] = 0
    assert mupots.match(partly, gt).tolist() == [0, -1]


def test_crowd_index_by_hand():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [100, 0, 110, 10]], float)
    points = np.zeros((3, 8, 2))
    points[0] = [2, 5]
    points[1] = [8, 5]  # all inside the first box too
    points[2] = [105, 5]
    valid = np.ones((3, 8), bool)
    valid[1, :4] = False
    assert threedpw.crowd_index(points, valid, boxes).tolist() == [0.5, 0.0, 0.0]
    valid[0, :5] = False  # fewer than four own joints
    assert threedpw.crowd_index(points, valid, boxes).tolist() == [0.0, 0.0, 0.0]


def test_3dpw_matches_within_a_fifteenth_of_the_box():
    gt_px, boxes = np.zeros((1, 4, 2)), np.array([[0, 0, 150, 300]], float)
    valid = np.array([[True, True, True, False]])
    near, far = np.full((1, 4, 2), 0.0), np.full((1, 4, 2), 0.0)
    near[..., 0], far[..., 0] = 9.9, 10.1
    near[0, 3] = 1e6  # unknown in the truth
    assert threedpw.match(near, gt_px, valid, boxes).tolist() == [0]
    assert threedpw.match(far, gt_px, valid, boxes).tolist() == [-1]
    h36m = np.random.default_rng(0).normal(0, 1, (1, 17, 3))
    frame = threedpw.PwFrame(near, gt_px, valid, boxes, h36m + 7.0, h36m)
    assert threedpw.errors([frame]) == pytest.approx(
        {"MPJPE": 0, "PA-MPJPE": 0, "matched": 1}, abs=1e-6
    )
    missed = frame._replace(pred_px=far)
    assert threedpw.errors([frame, missed])["matched"] == 0.5
