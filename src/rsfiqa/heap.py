"""Memory that was freed, given back to the system.

glibc keeps what is freed for later use. Where pictures of many sizes are worked on by several threads,
what one left rarely fits the next, and a process comes to hold twice as much as it uses: 2.3 GB where
1.0 GB were in use, measured on 500 pictures of 64 to 700 pixels. `malloc_trim` gives it back.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache


def trim() -> None:
    """Give freed memory back where the C library can (glibc); elsewhere do nothing."""
    release = _c_function("malloc_trim")
    if release is not None:
        release(0)  # without Python's lock, and one arena at a time: other threads go on


class Trimmer:
    """Calls `trim` now and then: pages that are given back have to be fetched again.

    Args:
        every: seconds between two calls; every 20 cost one or two hundredths of the time.
    """

    def __init__(self, every: float = 20.0) -> None:
        self._every = every
        self._last = time.monotonic()

    def __call__(self) -> None:
        """Trim, if it is time."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            trim()


@contextmanager
def freed_is_kept() -> Iterator[None]:
    """Within the block, freed memory is kept for what is wanted next (glibc); elsewhere nothing changes.

    For teaching networks: each step wants the same large blocks again, and fetching their pages anew took
    more than half of the time of a step on two cores (6.0 against 2.6 seconds for 16 pictures).
    """
    tune = _c_function("mallopt")
    if tune is None:
        yield
        return
    try:
        for parameter, (kept, _) in _KEEPING.items():
            tune(parameter, kept)
        yield
    finally:
        for parameter, (_, usual) in _KEEPING.items():
            tune(parameter, usual)
        trim()


_KEEPING = {-1: (2**31 - 1, 1 << 17), -2: (1 << 26, 1 << 17), -4: (0, 1 << 16)}
"""glibc's M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_MAX: while memory is kept, and its defaults."""


@cache
def _c_function(name: str) -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):  # another C library, such as musl
        return None
    return found
