"""Batches are answered by several threads at once, and come in order, once, and no more than asked for."""

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from crowd3d.picture.reading import Pass, Reading
from crowd3d.picture.windows import FLAT
from tiling import ImageError, Journal, Tile


class Grey:
    """A picture whose pixels tell where they were read."""

    width = height = 4096
    identity = "grey"

    def check_unchanged(self):
        pass

    def read(self, x, y, w, h, out_size):
        del w, h
        return np.full((out_size[1], out_size[0], 3), (x + y) % 251, np.uint8)


TILES = [Tile(7.0 * i, 0.0, 8.0, 8.0, 8, 8, 0, i, (1.0, 8.0)) for i in range(23)]


def _each(answer, workers=1, batch_size=2, journal=None):
    work = Pass("", batch_size, {}, "weights", answer, workers)
    return Reading(Grey(), journal=journal).each(work, TILES, FLAT)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 50])
def test_answers_come_in_order_however_long_each_takes(workers, batch_size):
    def answer(pixels, batch):
        time.sleep(0.002 * (batch[0].index % 3))
        return {"grey": pixels[:, 0, 0, 0], "tile": np.array([tile.index for tile in batch])}

    found = list(_each(answer, workers, batch_size))
    tiles = np.concatenate([part["tile"] for part in found])
    greys = np.concatenate([part["grey"] for part in found])
    np.testing.assert_array_equal(tiles, np.arange(23))
    np.testing.assert_array_equal(greys, (7 * np.arange(23)) % 251)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_never_more_answers_at_once_than_workers(workers):
    lock, now, most = threading.Lock(), [0], [0]

    def answer(pixels, batch):
        del pixels, batch
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1
        return {"none": np.zeros(1)}

    list(_each(answer, workers, 1))
    assert most[0] == workers


def test_whoever_has_seen_enough_may_stop():
    asked = []

    def answer(pixels, batch):
        del pixels
        asked.append(batch[0].index)
        return {"none": np.zeros(1)}

    answers = _each(answer, 2, 1)
    next(answers)
    answers.close()
    assert len(asked) <= 2 + 3  # those that had begun


def test_an_error_reaches_the_caller():
    def answer(pixels, batch):
        if batch[0].index == 5:
            raise RuntimeError("five")
        return {"grey": pixels[:, 0, 0, 0]}

    with pytest.raises(RuntimeError, match="five"):
        list(_each(answer, 2, 1))


def test_what_the_journal_holds_is_not_answered_again(tmp_path):
    asked = []

    def answer(pixels, batch):
        asked.append(batch[0].index)
        return {"grey": pixels[:, 0, 0, 0].copy()}

    with Journal(tmp_path / "journal") as journal:
        first = _each(answer, 2, 1, journal)
        some = [next(first) for _ in range(4)]
        first.close()
    asked.clear()
    with Journal(tmp_path / "journal") as journal:
        again = list(_each(answer, 2, 1, journal))
    assert sorted(asked) == list(range(4, 23))
    for before, after in zip(some, again[:4], strict=True):
        np.testing.assert_array_equal(before["grey"], after["grey"])


def test_matrix_products_have_one_thread_while_networks_run_and_all_of_them_later():
    def threads():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before, during = threads(), []

    def answer(pixels, batch):
        del pixels, batch
        during.extend(threads())
        return {"none": np.zeros(1)}

    list(_each(answer))
    assert during and set(during) == {1}
    assert threads() == before


def test_pixels_of_another_file_do_not_enter_the_journal(tmp_path):
    class Replaced(Grey):
        reads = 0

        def read(self, *region):
            self.reads += 1
            return super().read(*region)

        def check_unchanged(self):
            if self.reads > 9:
                raise ImageError("changed")

    def answer(pixels, batch):
        del batch
        return {"grey": pixels[:, 0, 0, 0].copy()}

    with Journal(tmp_path / "journal") as journal:
        reading = Reading(Replaced(), journal=journal)
        with pytest.raises(ImageError, match="changed"):
            list(reading.each(Pass("", 1, {}, "weights", answer), TILES, FLAT))
    with Journal(tmp_path / "journal") as journal:
        asked = []

        def count(pixels, batch):
            asked.append(batch[0].index)
            return answer(pixels, batch)

        list(Reading(Grey(), journal=journal).each(Pass("", 1, {}, "weights", count), TILES, FLAT))
    assert asked == list(range(23))[-len(asked) :] and len(asked) >= 23 - 9
