"""Whole pictures side by side on the processor's cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from rsfiqa.in_order import map_in_order

T = TypeVar("T")
R = TypeVar("R")

MOST_WORKERS = 8
"""Each worker holds a decoded picture and its features, a quarter of a gigabyte, so memory grows with
their number. Where there are more cores, each worker's networks use several."""


def cpu_workers() -> int:
    """How many pictures to work on side by side: the cores this process may use, up to a bound."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST_WORKERS, cores or 1)


def workers_on(device: torch.device | str) -> int:
    """How many pictures to work on side by side where networks run on a device.

    One on an accelerator, whose memory may hold no second.

    Example:
        >>> workers_on("cuda:1")
        1
    """
    return cpu_workers() if torch.device(device).type == "cpu" else 1


@contextmanager
def worker_pool(workers: int, *, spare: int = 0) -> Iterator[ThreadPoolExecutor]:
    """Threads for whole pictures, among which torch's own threads are divided meanwhile.

    One picture a core uses cores better than many threads inside one small operation. The division
    does not change any partition or score beyond the last bits of a float.

    Args:
        workers: how many compute at the same time.
        spare: further threads, for what leaves the cores idle, such as waiting for a file.
    """
    threads = torch.get_num_threads()
    share = max(1, threads // workers)
    torch.set_num_threads(share)
    try:
        with ThreadPoolExecutor(
            workers + spare,
            thread_name_prefix="rsfiqa-worker",
            initializer=torch.set_num_threads,
            initargs=(share,),
        ) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def parallel_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Results in the order of items, a bounded number of items ahead; see `worker_pool`.

    Raises:
        Exception: what `function` raises for an item, when that item's turn comes.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    with worker_pool(workers) as pool:
        yield from map_in_order(pool, function, items, 2 * workers)
