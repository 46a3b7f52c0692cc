"""The component benchmark's own arithmetic: who overlaps, what `all` holds, how crowded scenes are."""

from __future__ import annotations

from types import SimpleNamespace

import components
import numpy as np
import pytest


def test_people_overlap_who_meet_somebody_visible():
    boxes = np.array([[0, 0, 10, 30], [4, 0, 14, 30], [50, 0, 60, 30], [51, 0, 61, 30]], float)
    visibility = np.array([1.0, 1.0, 1.0, 0.1])
    truth = _Truth(boxes_px=boxes, visibility=visibility, inside=np.ones(4))
    # 0 and 1 share 60 of 140; 3 is hardly seen, so that 2 stands alone.
    assert components.overlapping(truth).tolist() == [True, True, False, False]
    assert components.overlap_rate(truth) == pytest.approx(2 / 3)


class _Truth(SimpleNamespace):
    def __len__(self):
        return len(self.boxes_px)


def test_all_is_whatever_runs_and_of_two_of_a_kind_the_first():
    both = components.everything({})
    assert both == {"refine_crops": "crowdnet-s", "depth_prior": "body", "fuse_looks": True}
    without = components.everything({"+ crop network crowdnet-s": "", "+ depth prior body": ""})
    assert without == {"refine_crops": "3dcrowdnet", "depth_prior": "rootnet", "fuse_looks": True}
    assert set(components.ALONE) == set(both)


def test_the_crowds_and_their_mean_are_told():
    table = components.crowds_table(
        {"a": {"people": 10, "overlap": 0.2}, "b": {"people": 30, "overlap": 0.4}}
    )
    assert table.rows[-1] == ["all, mean", 40, pytest.approx(30.0)]
    assert "| b | 30 | 40 % |" in table.markdown()
