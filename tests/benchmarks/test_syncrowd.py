"""Scenes of one kind share a line."""

import syncrowd


def test_scenes_are_grouped_by_their_kind():
    rows = {name: {"n": i} for i, name in enumerate(("wide-1", "phone", "wide-2"))}
    groups = syncrowd.by_kind(rows)
    assert list(groups) == ["wide, 2 scenes", "phone", "mean of 3"]
    assert list(groups["wide, 2 scenes"]) == ["wide-1", "wide-2"]
    assert groups["mean of 3"] == rows
