"""Resident memory while a collection is worked through, against the number of pictures."""

from __future__ import annotations

import os
import statistics
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

ENOUGH_PICTURES = 400
"""Growth is told of runs of at least so many pictures: before that, the largest picture so far is all
that shows."""

FLAT_MB, FLAT_SHARE = 2.0, 0.05
"""Memory is flat where it grows by no more than so many MB for 1,000 pictures, and such a share of what
it was. A picture's name and the place of its line take half a kilobyte, that is 0.5 MB for 1,000; the
rest is the noise of the measurement, which in a short run is all that there is."""

_MOST_SAMPLES = 4000
_SHOWN_SAMPLES = 400

Samples = Sequence[tuple[int, float]]
"""Pictures that are done, and megabytes (10⁶ bytes) then."""


def resident_mb() -> float | None:
    """Resident memory of this process now; None where the platform does not tell (no /proc)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class MemorySampler:
    """Looks at this process's memory from a thread of its own while the block runs.

    Attributes:
        done: how many pictures are done; the block counts.
        samples: what was seen. Of long runs every other one is dropped again and again, so that the
            measurement itself does not grow.
    """

    def __init__(self, every: float = 0.1) -> None:
        self.done = 0
        self.samples: list[tuple[int, float]] = []
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rsfiqa-memory", daemon=True)

    def __enter__(self) -> MemorySampler:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while (now := resident_mb()) is not None:
            self.samples.append((self.done, now))
            if len(self.samples) > _MOST_SAMPLES:
                del self.samples[::2]
                self._every *= 2
            if self._stopped.wait(self._every):
                return


def memory_figures(samples: Samples) -> dict[str, Any]:
    """The most, and the growth after a warm-up.

    The growth is that of the low tide from the second to the last quarter of the pictures. The low tide
    (a tenth of the samples are lower), since memory moves up and down with the pictures at work and with
    what the C library has not given back yet; from the second quarter on, since until then libraries
    are loaded, and the largest pictures are met for the first time.

    Returns:
        `most_mb`, None without samples; `growth_mb` for 1,000 pictures and whether that is `flat`, None
        for fewer than `ENOUGH_PICTURES`; `samples`, thinned out.

    Example:
        >>> rising = [(k, 800 + k / 10) for k in range(1000)]
        >>> memory_figures(rising)["growth_mb"], memory_figures(rising)["flat"]
        (100.0, False)
    """
    total = samples[-1][0] if samples else 0
    growth = flat = None
    if total >= ENOUGH_PICTURES:
        second = [s for s in samples if total / 4 <= s[0] < total / 2]
        last = [s for s in samples if s[0] >= 3 * total / 4]
        if second and last:
            before, after = _low_tide(second), _low_tide(last)
            thousands = (_middle(last) - _middle(second)) / 1000
            growth = round((after - before) / thousands, 2)
            flat = after - before <= FLAT_MB * thousands + FLAT_SHARE * before
    thin = max(1, len(samples) // _SHOWN_SAMPLES)
    return {
        "most_mb": round(max(mb for _, mb in samples), 1) if samples else None,
        "growth_mb": growth,
        "flat": flat,
        "samples": [(done, round(mb, 1)) for done, mb in samples[::thin]],
    }


def _low_tide(samples: Samples) -> float:
    return sorted(mb for _, mb in samples)[len(samples) // 10]


def _middle(samples: Samples) -> float:
    return statistics.median(done for done, _ in samples)
