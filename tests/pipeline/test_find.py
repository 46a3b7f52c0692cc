"""Nobody is missed for want of a look: known crowds in gigapixel pictures, and what is said of them."""

import numpy as np
import pytest
from helpers.crowds_seen import Eyes, blank, crowd_on, shifted

from crowd3d import Camera, Plane
from crowd3d.config import Config
from crowd3d.pipeline import search
from crowd3d.pipeline.find import Seen, find_people
from crowd3d.scene.detections import Detections
from crowd3d.scene.known import KnownCamera

WIDE = Camera.from_fov(40_000, 25_000, 70)
PITCH = 0.25
TOWER = Plane(np.array([0.0, -np.cos(PITCH), -np.sin(PITCH)]), 45.0)


@pytest.fixture
def find(monkeypatch):
    """Find known people in a blank picture; gives what was seen and the tiles that were read."""

    def run(people: Detections, size: tuple[int, int], **settings: float) -> tuple[Seen, Eyes]:
        eyes = Eyes(people)
        monkeypatch.setattr(search, "glance", eyes.glance)
        config = Config(second_look=False, straight_edges=False, **settings)
        seen = find_people(blank(*size), eyes, KnownCamera(size), config)
        return seen, eyes

    return run


def _found(people: Detections, answers: Detections) -> np.ndarray:
    """(N,) whether an answer has the place and the size of a person."""
    if not len(answers):
        return np.zeros(len(people), bool)
    away = np.abs(people.box_px[:, None] - answers.box_px).max(axis=2).min(axis=1)
    return away < 0.1 * (people.box_px[:, 3] - people.box_px[:, 1])


def _everybody(seen: Seen) -> Detections:
    return Detections.cat([seen.people, seen.others])


def test_small_people_of_a_gigapixel_are_all_found_and_placed(find):
    squares = [
        crowd_on(WIDE, TOWER, 60, 1, away_m=(120, 160), across=(-0.3, -0.1)),
        crowd_on(WIDE, TOWER, 80, 2, away_m=(300, 400), across=(0.2, 0.4)),
        crowd_on(WIDE, TOWER, 80, 3, away_m=(900, 1200), across=(-0.1, 0.1)),
    ]
    people = Detections.cat(squares)
    height = people.box_px[:, 3] - people.box_px[:, 1]
    assert height.min() < 45 and height.max() > 300
    seen, _ = find(people, (WIDE.width, WIDE.height))
    assert _found(people, _everybody(seen))[height >= 25].all()
    assert _found(people, seen.people)[height >= 25].mean() > 0.97
    assert seen.fitted is not None
    assert seen.fitted.camera.focal_px == pytest.approx(WIDE.focal_px, rel=0.1)


def test_a_square_on_another_level_is_a_level_of_its_own(find):
    upper = crowd_on(WIDE, TOWER, 90, 4, away_m=(150, 260))
    lower = crowd_on(WIDE, Plane(TOWER.normal, 140.0), 40, 5, away_m=(300, 420), across=(-0.2, 0.1))
    seen, _ = find(Detections.cat([upper, lower]), (WIDE.width, WIDE.height))
    assert _found(upper, seen.people).mean() > 0.97
    assert _found(lower, seen.people).mean() > 0.97
    heights = [plane.offset_m for plane in seen.fitted.planes]
    assert heights[1] / heights[0] == pytest.approx(140.0 / TOWER.offset_m, rel=0.05)


def test_every_copy_of_a_mosaic_is_found(find):
    small = Camera.from_fov(4000, 2000, 65)
    copy = crowd_on(small, Plane(TOWER.normal, 9.0), 60, 6, away_m=(15, 70))
    people = Detections.cat([shifted(copy, 4000 * i, 2000 * j) for i in range(3) for j in range(4)])
    seen, _ = find(people, (12_000, 8_000))
    everybody = _everybody(seen)
    assert _found(people, everybody).mean() > 0.97
    assert len(everybody) <= 1.01 * len(people)


def test_people_on_a_screen_are_not_dropped(find):
    crowd = crowd_on(WIDE, TOWER, 90, 7, away_m=(150, 400))
    near = Plane(TOWER.normal, 2.5)
    screen = crowd_on(WIDE, near, 6, 8, away_m=(9, 12), across=(-0.2, 0.2))
    screen = shifted(screen, 0, -screen.box_px[:, 1].min() + 100)  # in the sky
    seen, _ = find(Detections.cat([crowd, screen]), (WIDE.width, WIDE.height))
    assert _found(screen, seen.others).all()
    assert _found(crowd, seen.people).mean() > 0.97


def test_an_empty_picture_was_looked_at_completely(find):
    seen, eyes = find(Detections.empty(), (40_000, 25_000))
    assert not len(seen.people) and seen.fitted is None
    assert seen.looked.is_complete
    assert seen.looked.in_words() == "looked at everything, down to people 25 px tall"
    assert len(eyes.tiles) < 150


def test_a_limit_of_tiles_holds_and_is_told(find):
    people = crowd_on(WIDE, TOWER, 200, 9, away_m=(400, 1100))
    seen, eyes = find(people, (WIDE.width, WIDE.height), max_tiles=120)
    assert len(eyes.tiles) == seen.n_tiles == 120
    looked = seen.looked
    assert looked.stopped_by == "max_tiles" and not looked.is_complete
    assert looked.in_words().startswith("not looked at when max_tiles was reached: ")
    facts = looked.to_dict()
    assert 0 < facts["share"] < 1
    # The map says where somebody could have been missed.
    missed = people.filter(~_found(people, _everybody(seen)))
    assert len(missed)
    for u, v in missed.middle_px:
        row, column = int(v / looked.cell_px), int(u / looked.cell_px)
        assert looked.smallest_px[row, column] > 25


def test_a_limit_of_minutes_holds(find):
    people = crowd_on(WIDE, TOWER, 200, 9, away_m=(400, 1100))
    seen, eyes = find(people, (WIDE.width, WIDE.height), max_minutes=1e-9)
    assert len(eyes.tiles) <= Eyes.batch_size
    assert seen.looked.stopped_by == "max_minutes"


def test_where_all_are_large_nothing_is_enlarged_and_nothing_read_twice(find):
    near = Camera.from_fov(6000, 4000, 60)
    people = crowd_on(near, Plane(TOWER.normal, 4.0), 60, 10, away_m=(6, 14))
    seen, eyes = find(people, (6000, 4000))
    assert _found(people, seen.people).all()
    assert len({(t.x, t.y, t.side_w) for t in eyes.tiles}) == len(eyes.tiles)
    assert min(tile.side_w for tile in eyes.tiles) > 500


def test_the_likeliest_places_come_first(find):
    people = crowd_on(WIDE, TOWER, 200, 9, away_m=(400, 1100))
    few, _ = find(people, (WIDE.width, WIDE.height), max_tiles=120)
    more, _ = find(people, (WIDE.width, WIDE.height), max_tiles=200)
    assert 0 < len(_everybody(few)) < len(_everybody(more))
