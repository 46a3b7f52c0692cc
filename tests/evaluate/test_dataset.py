"""Many pictures into one number: pooling worked by hand, and intervals from drawing pictures again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from crowd3d.data.truth import FrameTruth
from crowd3d.evaluate import evaluate, largecrowd
from crowd3d.evaluate.predictions import PredictedFrame

Array = NDArray[np.float64]


def keypoints(n: int) -> Array:
    """People 100 px high, 200 px apart."""
    k = np.arange(17)
    shape = np.stack([10 * np.sin(k), 100 * k / 16], axis=1)
    return np.asarray(shape + np.stack([200.0 * np.arange(n), np.zeros(n)], axis=1)[:, None])


def truth(name: str, n: int, scene: str = "place") -> FrameTruth:
    """n people in a row that leads away from the camera."""
    frame = FrameTruth.unknown(name, scene, n)
    px = keypoints(n)
    frame.keypoints_px = np.concatenate([px, np.full((n, 17, 1), 2.0)], axis=2)
    frame.boxes_px = np.concatenate([px.min(1) - 10, px.max(1) + 10], axis=1).reshape(n, 4)
    frame.torso_m = np.stack([np.zeros(n), np.zeros(n), 10.0 + 2 * np.arange(n)], axis=1)
    frame.hvip_m = frame.torso_m + np.array([0, 1, 0])
    return frame


def found(frame: FrameTruth, n: int, stretch: float = 1.0) -> PredictedFrame:
    """The first n of them, as far from the first as `stretch` says."""
    guess = PredictedFrame.flat(frame.keypoints_px[:n, :, :2], np.ones(n))
    first = frame.torso_m[:1]
    return replace(guess, torso_m=first + stretch * (frame.torso_m[:n] - first))


def test_rates_are_pooled_over_people_and_pairs_are_means_of_pictures() -> None:
    gt = {"a.jpg": truth("a.jpg", 2), "b.jpg": truth("b.jpg", 8)}
    pred = {"a.jpg": found(gt["a.jpg"], 2, 0.5), "b.jpg": found(gt["b.jpg"], 4)}
    repaired = evaluate(pred, gt).metrics
    assert repaired["recall"] == pytest.approx(6 / 10)
    assert repaired["PPDS"] == pytest.approx((0.5 + 1) / 2)
    assert repaired["SS"] == pytest.approx((0.5 + 1) / 2)
    published = largecrowd(pred, gt)
    assert published["recall"] == pytest.approx((1 + 0.5) / 2)
    assert published["PPDS"] == pytest.approx((0.5 + 0.5 * 1) / 2)


def test_a_picture_without_people_counts_for_its_inventions_only() -> None:
    gt = {"a.jpg": truth("a.jpg", 4), "empty.jpg": truth("empty.jpg", 0)}
    pred = {"a.jpg": found(gt["a.jpg"], 4), "empty.jpg": found(gt["a.jpg"], 2)}
    repaired = evaluate(pred, gt).metrics
    assert repaired["precision"] == pytest.approx(4 / 6) and repaired["recall"] == 1
    assert repaired["PPDS"] == 1
    assert largecrowd(pred, gt)["score"] == 1  # the published numbers have no word for it


def test_scenes_have_rows_of_their_own() -> None:
    gt = {"a.jpg": truth("a.jpg", 4, "one"), "b.jpg": truth("b.jpg", 4, "two")}
    pred = {"a.jpg": found(gt["a.jpg"], 4), "b.jpg": found(gt["b.jpg"], 2)}
    rows = {row["scene"]: row for row in evaluate(pred, gt).scenes}
    assert (rows["one"]["recall"], rows["two"]["recall"]) == (1.0, 0.5)
    assert rows["two"]["people"] == 4 and rows["two"]["matched"] == 2


def test_the_worst_are_farthest_from_their_place() -> None:
    gt = truth("a.jpg", 5)
    result = evaluate({"a.jpg": found(gt, 5, 1.2)}, gt)
    assert [row["person"] for row in result.worst] == [4, 3, 2, 1, 0]
    assert result.worst[0]["error_m"] == pytest.approx(0.2 * 8)
    assert [r["people"] for r in result.ranges][:3] == [1, 4, 0]


@pytest.mark.parametrize("flavour", ["largecrowd", "scene"])
def test_intervals_over_pictures(flavour: str) -> None:
    gt = {f"{i}.jpg": truth(f"{i}.jpg", 6) for i in range(12)}
    pred = {
        name: found(frame, 3 + i % 4, 1 - 0.02 * i) for i, (name, frame) in enumerate(gt.items())
    }
    first, again, other = (evaluate(pred, gt, flavour, seed=s) for s in (0, 0, 1))  # type: ignore[arg-type]
    assert first.interval == again.interval != other.interval
    for name in ("PPDS", "recall", "SS", "score"):
        low, high = first.interval[name]
        assert low < first.metrics[name] < high, name
    alike = {name: found(frame, 6) for name, frame in gt.items()}
    assert evaluate(alike, gt, flavour).interval["PPDS"] == (1.0, 1.0)  # type: ignore[arg-type]


def test_order_of_pictures_is_of_no_account() -> None:
    gt = {f"{i}.jpg": truth(f"{i}.jpg", 3 + i) for i in range(4)}
    pred = {name: found(frame, 2, 0.9) for name, frame in gt.items()}
    turned = dict(reversed(gt.items()))
    for flavour in ("largecrowd", "scene"):
        one, other = (evaluate(pred, truths, flavour).metrics for truths in (gt, turned))  # type: ignore[arg-type]
        assert other == pytest.approx(one)
