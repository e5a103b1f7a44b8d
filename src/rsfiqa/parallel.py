"""Whole pictures side by side on the processor's cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from rsfiqa.in_order import map_in_order

T = TypeVar("T")
R = TypeVar("R")

MOST_WORKERS = 4
"""Each worker holds a decoded picture and its features, so memory grows with their number."""


def cpu_workers() -> int:
    """How many pictures to work on side by side: the cores this process may use, up to a bound."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MOST_WORKERS, cores or 1)


def parallel_map(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Results in the order of items, a bounded number of items ahead.

    Torch's own threads are divided among the workers while this runs: one picture a core uses
    cores better than many threads inside one small operation. The division does not change any
    partition or score beyond the last bits of a float.

    Raises:
        Exception: what `function` raises for an item, when that item's turn comes.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    threads = torch.get_num_threads()
    share = max(1, threads // workers)
    torch.set_num_threads(share)
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(share,)) as p:
            yield from map_in_order(p, function, items, 2 * workers)
    finally:
        torch.set_num_threads(threads)
