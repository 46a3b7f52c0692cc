"""Call one function with many arguments: in this process, in several processes, or on a Ray cluster.

Arguments and results are plain values, because they are sent between processes and machines. Results come in
the order in which they are ready.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import torch

from crowd3d.errors import EnvironmentProblem
from crowd3d.models.ray_engine import cluster, limit_threads

Calls = Sequence[tuple[Any, ...]]
Result = tuple[str, str]
Function = Callable[..., Result]
Results = Generator[Result, None, None]

# The first is read by torch and every BLAS, the second by libvips, when a process starts.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "VIPS_CONCURRENCY")


def spread(
    function: Function,
    calls: Calls,
    *,
    workers: int | None = None,
    threads: int | None = None,
    ray: str | None = None,
    gpu: bool = False,
) -> Results:
    """Yield the result of each call. Close the generator to stop early; this ends the workers at once.

    Args:
        function: must be importable by name, because workers import it.
        calls: arguments of each call.
        workers: number of calls at a time. None: one; with Ray, as many as the cluster has room for.
        threads: threads of each worker. None: an equal share of this process's threads; with Ray, one. Another
            number changes the last bits of the networks' results.
        ray: address of a Ray cluster, "auto" for the cluster of this machine; None without Ray.
        gpu: whether each call takes a GPU of the cluster, if it has any.

    Raises:
        EnvironmentProblem: Ray is not installed, the cluster is not there, or a worker was killed.
    """
    if ray is not None and calls:
        return _on_ray(function, calls, ray, workers, threads or 1, gpu)
    wanted = workers or 1
    if not calls or (wanted == 1 and threads is None):
        return (function(*call) for call in calls)
    # The share of threads does not depend on how many calls are left, so a resumed run gives the same results.
    each = threads or max(1, torch.get_num_threads() // wanted)
    return _in_processes(function, calls, min(wanted, len(calls)), each)


def _in_processes(function: Function, calls: Calls, workers: int, threads: int) -> Results:
    others = set(multiprocessing.active_children())
    # Spawned, because a forked process may hang if its libraries have threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(threads,))
    with _environment(threads):
        try:
            results = [pool.submit(function, *call) for call in calls]
            for result in as_completed(results):
                yield result.result()
        except BaseException as error:
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            if isinstance(error, BrokenProcessPool):
                raise EnvironmentProblem(
                    "a worker was killed, probably for want of memory; start again with fewer --workers"
                ) from None
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(threads: int) -> None:
    """Set up a new worker. It ignores Ctrl-C, and ends when its parent ends it or has died."""
    limit_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Set the number of threads for processes that are started inside the `with` block."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update({name: str(threads) for name in _THREAD_VARIABLES})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _on_ray(
    function: Function, calls: Calls, address: str, workers: int | None, threads: int, gpu: bool
) -> Results:
    def limited(call: tuple[Any, ...]) -> Result:
        limit_threads(threads)
        return function(*call)

    with cluster(address) as connected:
        n_gpus = 1 if gpu and connected.cluster_resources().get("GPU", 0) >= 1 else 0
        remote = connected.remote(limited).options(num_cpus=threads, num_gpus=n_gpus)
        waiting, running = list(reversed(calls)), list[Any]()
        while waiting or running:
            while waiting and len(running) < (workers or len(calls)):
                running.append(remote.remote(waiting.pop()))
            ready, running = connected.wait(running)
            yield from connected.get(ready)
