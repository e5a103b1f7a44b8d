"""Work done ahead of its consumer in one background thread, in order and in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    *,
    cost: Callable[[Result], int],
    budget: int,
    most: int = 64,
) -> Generator[Result, None, None]:
    """Yield `work(item)` for each item, in order, with later items under way meanwhile.

    Decoding pictures releases Python's global lock, so that it runs beside the model.

    Args:
        items: what is worked on; drawn from in the background, as far ahead as there is room.
        work: called in the background thread; what it raises, the consumer gets in its place.
        cost: what a result takes of the budget, such as its number of pixels.
        budget: how much may wait; a result dearer than that waits alone.
        most: how many results may wait, whatever they cost.

    Example:
        >>> list(read_ahead([1, 2, 3], lambda n: n * n, cost=lambda _: 1, budget=2))
        [1, 4, 9]
    """
    waiting: _Waiting[Result] = _Waiting(budget, most)

    def produce() -> None:
        try:
            for item in items:
                result = work(item)
                if not waiting.put(result, cost(result)):
                    return
            waiting.end(None)
        except BaseException as error:
            waiting.end(error)

    thread = threading.Thread(target=produce, name="rsfiqa-read-ahead", daemon=True)
    thread.start()
    try:
        yield from waiting
    finally:
        waiting.abandon()
        thread.join()


class _Waiting(Generic[Result]):
    """Results between the two threads: a queue bounded by what it holds, not only by how many."""

    def __init__(self, budget: int, most: int) -> None:
        self._budget, self._most = budget, most
        self._results: deque[tuple[Result, int]] = deque()
        self._held = 0
        self._ended = False
        self._abandoned = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, result: Result, cost: int) -> bool:
        """Wait for room and add; False when nobody will take it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or self._has_room(cost))
            if self._abandoned:
                return False
            self._results.append((result, cost))
            self._held += cost
            self._changed.notify_all()
            return True

    def _has_room(self, cost: int) -> bool:
        return not self._results or (
            self._held + cost <= self._budget and len(self._results) < self._most
        )

    def end(self, error: BaseException | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def abandon(self) -> None:
        with self._changed:
            self._abandoned = True
            self._results.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Result]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._results) or self._ended)
                if not self._results:
                    if self._error is not None:
                        raise self._error
                    return
                result, cost = self._results.popleft()
                self._held -= cost
                self._changed.notify_all()
            yield result
            del result
