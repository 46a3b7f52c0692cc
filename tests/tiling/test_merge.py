"""Merging: one person stays one, two stay two, and the fast path equals its naive twin."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiling
from tiling import MergeError, merge_detections, suppress_fragments, view_quality
from tiling.merge import _neighbours
from tiling.similarity import COCO_SIGMAS

# an upright person 1 high, (17, 2), centre at the middle of the body
HALF = [[-0.02, -0.47], [-0.05, -0.46], [-0.12, -0.32], [-0.15, -0.15], [-0.16, 0.0]]
HALF += [[-0.08, 0.03], [-0.09, 0.25], [-0.09, 0.46]]
SKELETON = np.array([[0.0, -0.45], *[[side * x, y] for x, y in HALF for side in (1, -1)]])
Detections = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _person(x: float, y: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    points = SKELETON * height + (x, y)
    keypoints = np.concatenate([points, np.full((17, 1), 0.9)], axis=1)
    box = np.array([x - 0.2 * height, y - 0.5 * height, x + 0.2 * height, y + 0.5 * height])
    return keypoints, box


def _views(people: list[tuple[float, float, float]], n_views: int, noise: float) -> Detections:
    """Keypoints, boxes, scores, tiles and true person of every view."""
    rng = np.random.default_rng(3)
    keypoints, boxes, tiles, truth = [], [], [], []
    for k, (x, y, height) in enumerate(people):
        for view in range(n_views):
            points, box = _person(x, y, height)
            points[:, :2] += rng.normal(0, noise * height, (17, 2))
            keypoints.append(points)
            boxes.append(box + rng.normal(0, noise * height, 4))
            tiles.append(view)
            truth.append(k)
    scores = rng.uniform(0.3, 1.0, len(truth))
    return np.array(keypoints), np.array(boxes), scores, np.array(tiles), np.array(truth)


def test_views_of_one_person_become_one_with_better_keypoints() -> None:
    keypoints, boxes, scores, tiles, _ = _views([(500, 400, 180)], 6, 0.02)
    merged = merge_detections(keypoints, boxes, scores, tile_index=tiles)
    assert len(merged.order) == 1 and merged.count.tolist() == [6]
    assert merged.scores[0] == scores.max()
    truth = _person(500, 400, 180)[0][:, :2]
    fused = np.linalg.norm(merged.keypoints_px[0, :, :2] - truth, axis=1).mean()
    single = np.linalg.norm(keypoints[:, :, :2] - truth, axis=2).mean()
    assert fused < 0.6 * single


@pytest.mark.parametrize("offset", [(0.35, 0.0), (0.25, 0.05), (0.12, 0.2), (0.0, 0.25)])
def test_neighbours_stay_two(offset: tuple[float, float]) -> None:
    """Side by side, and one partly behind another."""
    people = [(500.0, 400.0, 200.0), (500 + 200 * offset[0], 400 - 200 * offset[1], 190.0)]
    keypoints, boxes, scores, tiles, truth = _views(people, 4, 0.012)
    merged = merge_detections(keypoints, boxes, scores, tile_index=tiles)
    assert len(merged.order) == 2
    assert (merged.labels == merged.labels[0]).tolist() == (truth == truth[0]).tolist()


def test_a_dense_row_is_not_chained() -> None:
    people = [(100 + 30.0 * k, 300.0, 150.0) for k in range(40)]
    keypoints, boxes, scores, tiles, truth = _views(people, 3, 0.01)
    merged = merge_detections(keypoints, boxes, scores, tile_index=tiles)
    assert len(merged.order) == 40
    for label in range(40):
        assert len(set(truth[merged.labels == label])) == 1


def test_one_tile_tells_people_apart() -> None:
    keypoints, boxes, scores, _, _ = _views([(500, 400, 200), (508, 400, 200)], 1, 0.012)
    same = merge_detections(keypoints, boxes, scores, tile_index=[0, 0])
    other = merge_detections(keypoints, boxes, scores, tile_index=[0, 1])
    assert (len(same.order), len(other.order)) == (2, 1)


def test_quality_decides_what_counts() -> None:
    keypoints, boxes, _, _, _ = _views([(500, 400, 200)], 2, 0.02)
    merged = merge_detections(keypoints, boxes, [0.5, 0.9], [1.0, 1e-6])
    assert merged.order.tolist() == [0]
    np.testing.assert_allclose(merged.keypoints_px[0], keypoints[0], atol=1e-3)


# The naive twin


def _alike(a: int, b: int, keypoints: np.ndarray, boxes: np.ndarray, limit: float) -> float | None:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = boxes[a], boxes[b]
    size_a = max(ax1 - ax0, ay1 - ay0, 1e-9)
    size_b = max(bx1 - bx0, by1 - by0, 1e-9)
    if max(size_a, size_b) > 1.8 * min(size_a, size_b):
        return None
    dx, dy = (ax0 + ax1 - bx0 - bx1) / 2, (ay0 + ay1 - by0 - by1) / 2
    if dx * dx + dy * dy > 0.35**2 * size_a * size_b:
        return None
    overlap = max(min(ax1, bx1) - max(ax0, bx0), 0) * max(min(ay1, by1) - max(ay0, by0), 0)
    area_a = max(ax1 - ax0, 0) * max(ay1 - ay0, 0)
    area_b = max(bx1 - bx0, 0) * max(by1 - by0, 0)
    union = area_a + area_b - overlap
    if union <= 0 or overlap / max(union, 1e-9) < 0.25:
        return None
    total = agree = 0.0
    for j in range(17):
        weight = max(min(keypoints[a, j, 2], keypoints[b, j, 2]), 0.0)
        distance2 = ((keypoints[a, j, :2] - keypoints[b, j, :2]) ** 2).sum()
        variance = 2 * max(math.sqrt(area_a * area_b), 1e-9) * (2 * COCO_SIGMAS[j]) ** 2
        total += weight
        agree += weight * math.exp(-distance2 / variance)
    similarity = agree / max(total, 1e-9) if total > 0 else 0.0
    shift = np.hypot(*(keypoints[a, :, :2] - keypoints[b, :, :2]).mean(axis=0))
    if limit == 0.5 and shift <= 0.05 * math.sqrt(size_a * size_b):
        limit = 0.25
    return similarity if similarity >= limit else None


def _naive_labels(
    keypoints: np.ndarray, boxes: np.ndarray, scores: np.ndarray, tiles: np.ndarray
) -> list[set[int]]:
    n = len(boxes)
    key = (keypoints.reshape(n, 51) * np.linspace(1.0, 2.0, 51)).sum(axis=1)
    rank = sorted(range(n), key=lambda i: (-scores[i], *boxes[i], tiles[i], key[i]))
    leaders: list[int] = []
    for i in rank:
        limits = [0.8 if tiles[i] == tiles[leader] else 0.5 for leader in leaders]
        pairs = zip(leaders, limits, strict=True)
        if all(_alike(leader, i, keypoints, boxes, limit) is None for leader, limit in pairs):
            leaders.append(i)
    groups = {leader: {leader} for leader in leaders}
    for i in rank:
        if i in groups:
            continue
        best, best_similarity = -1, -1.0
        for leader in leaders:  # best first, so equal similarity goes to the better leader
            limit = 0.8 if tiles[i] == tiles[leader] else 0.5
            similarity = _alike(leader, i, keypoints, boxes, limit)
            # only a better-ranked leader can claim
            if (
                similarity is not None
                and rank.index(leader) < rank.index(i)
                and similarity > best_similarity
            ):
                best, best_similarity = leader, similarity
        groups[best].add(i)
    return [groups[leader] for leader in leaders]


@pytest.mark.parametrize("n_people", [1, 7, 25])
@pytest.mark.parametrize("spread", [60.0, 400.0])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("degenerate", [False, True])
def test_equals_its_naive_twin(n_people: int, spread: float, ties: bool, degenerate: bool) -> None:
    rng = np.random.default_rng(n_people)
    people = [
        (float(x), float(y), float(h))
        for x, y, h in zip(
            rng.uniform(0, spread, n_people),
            rng.uniform(0, spread, n_people),
            rng.choice([60.0, 100.0, 108.0, 200.0], n_people),
            strict=True,
        )
    ]
    keypoints, boxes, scores, tiles, _ = _views(people, 3, 0.04)
    if ties:
        scores = np.round(scores, 1)
        boxes = np.round(boxes / 8) * 8
        keypoints[::4], boxes[::4] = keypoints[0], boxes[0]
    if degenerate:
        boxes[1::5, 2] = boxes[1::5, 0]
        boxes[2::7, 3] = boxes[2::7, 1] - 10
        keypoints[::6, :, 2] = 0.0
    merged = merge_detections(keypoints, boxes, scores, tile_index=tiles)
    groups = [set(np.flatnonzero(merged.labels == k).tolist()) for k in range(len(merged.order))]
    expected = _naive_labels(keypoints, boxes, scores, tiles)
    if ties:  # exact copies are interchangeable, so only the partition of distinct ones is defined
        assert sorted(map(len, groups)) == sorted(map(len, expected))
    else:
        assert groups == expected


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.floats(0.1, 1.5), st.floats(1.1, 3.0))
def test_neighbour_search_finds_every_pair(seed: int, offset: float, ratio: float) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    size = np.exp(rng.uniform(2, 6, n))
    size[: n // 2] = ratio ** rng.integers(3, 7, n // 2)  # exactly on the edges of the buckets
    center = rng.uniform(0, 800, (n, 2))
    half = np.stack([0.2 * size, 0.5 * size], axis=1)
    low, high = _neighbours(np.concatenate([center - half, center + half], axis=1), offset, ratio)
    i, j = np.triu_indices(n, 1)
    near = np.linalg.norm(center[i] - center[j], axis=1) <= offset * np.sqrt(size[i] * size[j])
    # pairs at the very limit may fall on either side by rounding
    stretch = np.maximum(size[i], size[j]) / np.minimum(size[i], size[j]) / ratio
    sure = set(zip(i[near & (stretch < 1 - 1e-9)], j[near & (stretch < 1 - 1e-9)], strict=True))
    maybe = set(zip(i[near & (stretch < 1 + 1e-9)], j[near & (stretch < 1 + 1e-9)], strict=True))
    found = list(zip(low, high, strict=True))
    assert len(found) == len(set(found)) and sure <= set(found) <= maybe


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31))
def test_the_order_of_detections_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = [tuple(p) for p in rng.uniform((0, 0, 80), (300, 200, 160), (15, 3))]
    keypoints, boxes, scores, tiles, _ = _views(people, 3, 0.03)
    scores = np.round(scores, 1)
    first = merge_detections(keypoints, boxes, scores, tile_index=tiles)
    p = rng.permutation(len(scores))
    second = merge_detections(keypoints[p], boxes[p], scores[p], tile_index=tiles[p])
    np.testing.assert_array_equal(first.labels[p], second.labels)
    for name in ("keypoints_px", "boxes_px", "scores", "count"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.order, p[second.order])


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 100), st.floats(-1e4, 1e4))
def test_scale_and_place_do_not_matter(scale: float, shift: float) -> None:
    people = [(100 + 60.0 * k, 300.0 + 7 * k, 150.0 + k) for k in range(12)]
    keypoints, boxes, scores, tiles, _ = _views(people, 3, 0.02)
    first = merge_detections(keypoints, boxes, scores, tile_index=tiles)
    moved = keypoints.copy()
    moved[..., :2] = moved[..., :2] * scale + shift
    second = merge_detections(moved, boxes * scale + shift, scores, tile_index=tiles)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_nothing_gives_nothing() -> None:
    merged = merge_detections([], [], [])
    assert merged.keypoints_px.shape == (0, 17, 3) and merged.boxes_px.shape == (0, 4)
    assert len(merged.labels) == len(merged.order) == len(merged.count) == 0


def test_broken_input_is_refused() -> None:
    keypoints, boxes, scores, _, _ = _views([(500, 400, 200)], 2, 0.01)
    with pytest.raises(MergeError, match="shapes"):
        merge_detections(keypoints, boxes[:1], scores)
    boxes[1, 2] = np.nan
    with pytest.raises(MergeError, match="1 of 2"):
        merge_detections(keypoints, boxes, scores)


def test_twenty_thousand_detections_are_merged_right() -> None:
    n = 5000
    people = [(90.0 * (k % 100), 220.0 * (k // 100), 140.0 + k % 40) for k in range(n)]
    keypoints, boxes, scores, tiles, truth = _views(people, 4, 0.012)
    merged = merge_detections(keypoints, boxes, scores, tile_index=tiles)
    assert len(merged.order) == n and (merged.count == 4).all()
    np.testing.assert_array_equal(truth[merged.order][merged.labels], truth)


# Quality and fragments


def test_quality_falls_at_the_border_and_off_size() -> None:
    tile = [0, 0, 400, 400]
    inside, cut, tiny, huge = [
        float(view_quality([box], [tile])[0])
        for box in (
            [150, 100, 210, 260],
            [150, 240, 210, 400],
            [150, 100, 160, 130],
            [20, 5, 200, 395],
        )
    ]
    assert inside == 1.0
    assert cut == pytest.approx(0.5) and tiny < 0.4 and huge < 0.7
    assert view_quality(np.empty((0, 4)), np.empty((0, 4))).shape == (0,)


def test_body_parts_are_fragments_and_people_are_not() -> None:
    boxes = np.array(
        [
            [100, 100, 200, 400],  # a person
            [120, 110, 180, 200],  # head and chest of the same
            [150, 250, 260, 560],  # a neighbour, overlapping
            [130, 200, 170, 300],  # a person farther away, behind the first
            [900, 100, 950, 200],  # somebody alone
        ],
        dtype=float,
    )
    scores = np.array([0.8, 0.5, 0.7, 0.6, 0.3])
    expected = np.array([300.0, 300.0, 310.0, 100.0, 100.0])
    with_ground = suppress_fragments(boxes, scores, expected)
    assert with_ground.tolist() == [False, True, False, False, False]
    assert suppress_fragments(boxes, scores).tolist() == [False, True, False, True, False]
    stronger = np.array([0.2, 0.5, 0.7, 0.6, 0.3])
    assert not suppress_fragments(boxes, stronger).any()
    both_people = suppress_fragments(boxes, scores, distinct=np.array([[1, 0], [0, 3], [4, 2]]))
    assert both_people.tolist() == [False, False, False, True, False]
    assert suppress_fragments(np.empty((0, 4)), np.empty(0)).shape == (0,)


def test_fragments_do_not_depend_on_order() -> None:
    rng = np.random.default_rng(5)
    corner, size = rng.uniform(0, 500, (300, 2)), rng.uniform(20, 300, (300, 2))
    boxes, scores = np.concatenate([corner, corner + size], axis=1), rng.random(300)
    first = tiling.suppress_fragments(boxes, scores)
    p = rng.permutation(300)
    np.testing.assert_array_equal(first[p], suppress_fragments(boxes[p], scores[p]))
    assert 0 < first.sum() < 300
