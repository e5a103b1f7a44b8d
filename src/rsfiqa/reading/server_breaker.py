"""When to stop knocking: a circuit breaker for a server that does not answer at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Counts regions in a row that got no answer, and spares the later ones the full wait.

    Closed, every region has all its attempts. After `threshold` regions in a row without any
    answer it opens: regions then fail at once, except that every `rest` seconds one of them tries
    once. Any answer, were it an error, closes it again. Safe for several threads.

    Args:
        threshold: regions in a row.
        rest: seconds between tries while open.
        clock: seconds that never run backwards.
    """

    def __init__(
        self,
        threshold: int = 3,
        rest: float = 10.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.threshold = threshold
        self.rest = rest
        self._clock = clock
        self._lock = threading.Lock()
        self._unanswered = 0
        self._next_try = 0.0
        self._why = ""

    def attempts(self, usual: int) -> int:
        """How many attempts a region has now: `usual`, 1, or 0 for none."""
        with self._lock:
            if self._unanswered < self.threshold:
                return usual
            now = self._clock()
            if now < self._next_try:
                return 0
            self._next_try = now + self.rest
            return 1

    @property
    def why(self) -> str:
        """Why the last attempt got no answer."""
        return self._why

    def answered(self) -> None:
        """The server answered something."""
        with self._lock:
            self._unanswered = 0

    def unanswered(self, why: str) -> None:
        """A region, with all its attempts, got no answer."""
        with self._lock:
            self._unanswered += 1
            self._why = why
            if self._unanswered >= self.threshold:
                self._next_try = self._clock() + self.rest
