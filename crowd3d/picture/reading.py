"""Running networks over windows of a picture, batch by batch, with a journal of the finished batches."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from crowd3d.models.engine import Answer, Arrays, Engine, Runner
from crowd3d.picture.windows import Pixels, Windows
from crowd3d.progress import Progress, Reporter
from crowd3d.version import __version__
from tiling import Journal, Picture, Tile, record_key


@dataclass(frozen=True)
class Pass:
    """How one network is run over many windows.

    Attributes:
        stage: name shown by the progress report; empty if a stage that the caller has started goes on.
        batch_size: windows that go through the network together.
        settings: everything that the answers depend on, besides picture, windows, weights and versions; plain
            JSON values.
        weights: hash of the network's weights.
        answer: function from the pixels (B, H, W, 3) RGB of a batch of windows to the arrays to keep.
        workers: how many batches are answered at once, each in a thread of its own.
    """

    stage: str
    batch_size: int
    settings: Mapping[str, Any]
    weights: str
    answer: Callable[[Pixels, Sequence[Tile]], Arrays]
    workers: int = 1

    @classmethod
    def through(
        cls,
        engine: Engine,
        network: Runner,
        stage: str,
        batch_size: int,
        settings: Mapping[str, Any],
        answer: Answer,
    ) -> Pass:
        """A pass of a network in an engine, with the threads and the batches from which that gains."""
        settings = {"engine": engine.facts, **settings}
        size = min(batch_size, engine.most_windows)
        ask = partial(network.answer, answer)
        return cls(stage, size, settings, network.weights_hash, ask, engine.workers)


@dataclass(frozen=True)
class Reading:
    """A picture that is being read, with progress report and journal.

    Attributes:
        report: is called at every stage and batch.
        journal: keeps finished batches, so that a restarted run does not compute them again; or None.
    """

    source: Picture
    report: Reporter = field(default_factory=lambda: Progress(enabled=False))
    journal: Journal | None = None

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.source.width, self.source.height

    def each(self, work: Pass, tiles: Sequence[Tile], view: Windows) -> Iterator[Arrays]:
        """Yield the network's answer for each batch of tiles, in order.

        Batches found in the journal are not computed again. The pixels of the next batch are read while the
        network works on others.

        Args:
            view: how the tiles are cut out of the picture.

        Raises:
            tiling.ImageError, tiling.JournalError.
        """
        if work.stage:
            self.report.start(work.stage, len(tiles))
        size = work.batch_size
        batches = [tiles[i : i + size] for i in range(0, len(tiles), size)]
        keys = [self._key(work, batch, view) for batch in batches]
        known = [self.journal.get(key) if self.journal is not None else None for key in keys]
        unknown = [batch for batch, found in zip(batches, known, strict=True) if found is None]
        answers = self._answers(work, unknown, view)
        for batch, key, recorded in zip(batches, keys, known, strict=True):
            found: Arrays | None = recorded
            if found is None:
                found = next(answers)
                if self.journal is not None:
                    self.source.check_unchanged()  # pixels of another file must not enter under this one's name
                    self.journal.put(key, found)
            yield found
            self.report.advance(len(batch))

    def _key(self, work: Pass, batch: Sequence[Tile], view: Windows) -> str:
        if self.journal is None:
            return ""
        settings = {
            **work.settings,
            "view": view.facts(),
            "versions": [__version__, torch.__version__],
        }
        return record_key(self.source.identity, batch, settings, work.weights)

    def _answers(
        self, work: Pass, batches: Sequence[Sequence[Tile]], view: Windows
    ) -> Iterator[Arrays]:
        """The answers for all batches, in order."""
        free = threading.Semaphore(work.workers)

        def answered(batch: Sequence[Tile]) -> Arrays:
            pixels = np.stack([view.read(self.source, tile) for tile in batch])
            with free:
                return work.answer(pixels, batch)

        threads = work.workers + 1  # one more, which reads meanwhile
        left = iter(batches)
        # Idle threads of NumPy's matrix products wait in busy loops, which would slow the network by a third.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
            pending = deque(pool.submit(answered, batch) for batch in islice(left, threads))
            try:
                while pending:
                    found = pending.popleft().result()
                    pending.extend(pool.submit(answered, batch) for batch in islice(left, 1))
                    yield found
            finally:  # whoever asked may have seen enough
                for future in pending:
                    future.cancel()
