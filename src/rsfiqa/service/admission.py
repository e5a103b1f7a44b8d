"""Who is let in: so many pictures and bytes at a time, and nobody new while the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from rsfiqa.service.refusals import Refusal, retry_later

_LONGEST_ADVICE = 60.0
_FIRST_GUESS = 1.0
_MEMORY = 0.8


class Visit:
    """One request that was let in, and how much of the house it takes."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.pictures = 1

    def brings(self, pictures: int) -> None:
        """Say how many pictures the request turned out to hold.

        Raises:
            Refusal: 429, there is no room for them.
        """
        self._admission.make_room(pictures - self.pictures)
        self.pictures = pictures


class Admission:
    """Counts what was accepted and is not answered yet.

    Used from the event loop's thread alone.

    Args:
        most_pictures: accepted at a time.
        most_bytes: of the requests that hold them.

    Attributes:
        closed: whether nobody new is let in, since the server stops.
    """

    def __init__(self, most_pictures: int, most_bytes: int) -> None:
        self._most_pictures = most_pictures
        self._most_bytes = most_bytes
        self.pictures = 0
        self._bytes = 0
        self.closed = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._seconds_each = _FIRST_GUESS

    @contextmanager
    def visit(self, body_bytes: int) -> Iterator[Visit]:
        """Let one request in for as long as the block lasts.

        Raises:
            Refusal: 503, the server stops; 429, it is full.
        """
        if self.closed:
            raise retry_later(503, "the server is stopping and takes no new work.", 10)
        if self._bytes + body_bytes > self._most_bytes:
            raise self._full()
        visit = Visit(self)
        self.make_room(1)
        self._bytes += body_bytes
        self._empty.clear()
        try:
            yield visit
        finally:
            self.pictures -= visit.pictures
            self._bytes -= body_bytes
            if not self.pictures:
                self._empty.set()

    def make_room(self, pictures: int) -> None:
        """Count so many more pictures.

        Raises:
            Refusal: 429, there is no room for them.
        """
        if self.pictures + pictures > self._most_pictures:
            raise self._full()
        self.pictures += pictures

    def took(self, seconds: float) -> None:
        """Learn how long the model works on one picture, for the advice when to come back."""
        self._seconds_each += (1 - _MEMORY) * (seconds - self._seconds_each)

    async def until_empty(self) -> None:
        """Wait until everything accepted is answered."""
        await self._empty.wait()

    def _full(self) -> Refusal:
        wait = min(_LONGEST_ADVICE, self.pictures * self._seconds_each / 2)
        return retry_later(
            429,
            f"the server has {self.pictures} pictures to assess already; come back in some seconds.",
            wait,
        )
