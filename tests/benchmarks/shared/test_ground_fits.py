"""A fit is judged by the truth: the truth itself is right, and what is wrong is told."""

from dataclasses import replace

import numpy as np
import pytest
from shared import ground_fits
from shared.ground_fits import COLUMNS, Judged, judged, line
from shared.undrawn import undrawn

from optim import GroundCameraFit
from optim.geometry import normal_from_pitch_roll, pitch_roll_from_normal
from optim.ground.surface import Surface


@pytest.fixture(scope="module")
def truth():
    return undrawn("plaza", 3, 10).truth


@pytest.fixture
def right(truth):
    """A fit that is the truth, with a focal length known to 2 % and gravity to a hundredth."""
    normal, focal_px = -truth.gravity, float(truth.focal_px)
    height_m = float(truth.offsets_m[0])
    return GroundCameraFit(
        focal_px=focal_px,
        center_px=tuple(truth.center_px),
        normal=normal,
        offset_m=height_m,
        planes=[(normal, height_m)],
        plane_index=np.zeros(0, np.int64),
        inlier=np.zeros(0, bool),
        covariance=np.diag([0.02, 0.01, 0.01, 0.02]) ** 2,
        cost=0.0,
        report={
            "ground": "level",
            "focal_determined": True,
            "focal_interval_90_px": [0.97 * focal_px, 1.03 * focal_px],
        },
        surface=Surface("level", normal, height_m, np.array([height_m])),
    )


def test_the_truth_has_no_error(truth, right):
    found = judged(right, truth)
    assert max(found.focal, found.gravity_deg, found.feet_m) < 1e-6
    assert found.kind == "level" and found.focal_in_90 and found.gravity_in_90 and not found.is_open


def test_what_is_wrong_is_told(truth, right):
    offset_m = right.offset_m + 0.5
    deep = replace(right.surface, offset_m=offset_m, offsets_m=np.array([offset_m]))
    assert judged(replace(right, surface=deep), truth).feet_m == pytest.approx(0.5)
    far = right.report | {"focal_interval_90_px": [1.01 * right.focal_px, 1.1 * right.focal_px]}
    assert not judged(replace(right, report=far), truth).focal_in_90
    pitch, roll = pitch_roll_from_normal(right.normal)
    for by, is_in in ((0.02, True), (0.03, False)):  # 2.15 standard deviations hold 90 %
        turned = judged(replace(right, normal=normal_from_pitch_roll(pitch + by, roll)), truth)
        assert turned.gravity_in_90 == is_in
        assert turned.gravity_deg == pytest.approx(np.degrees(by))


def test_people_who_fit_nothing_give_the_worst_row():
    crowd = undrawn("plaza", 3, 10)
    nobody = replace(crowd, keypoints_px=crowd.keypoints_px[:1])
    assert ground_fits.fitted(nobody) == Judged()


def test_lines_are_medians_and_shares():
    good = Judged("slope", 0.02, 0.5, 0.1, True, True, False)
    cells = dict(
        zip(COLUMNS, line("hill", [(good, good), (good, good), (Judged(), good)]), strict=True)
    )
    assert cells["ground found"] == "slope 2, none 1"
    assert cells["focal length"] == pytest.approx(2.0) and cells["known: feet m"] == 0.1
    assert cells["focal in 90 %"] == cells["gravity in 90 %"] == pytest.approx(2 / 3)
    assert cells["said open"] == pytest.approx(1 / 3) and cells["level"] == 0
