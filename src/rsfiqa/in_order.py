"""Work on several threads whose results come in order, a bounded number ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Results in the order of the items, with at most `ahead` of them submitted beyond the consumer.

    What is still waiting when the consumer leaves, or when an item fails, is cancelled.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(2) as pool:
        ...     list(map_in_order(pool, lambda n: n * n, [1, 2, 3], ahead=4))
        [1, 4, 9]
    """
    remaining = iter(items)
    waiting: list[Future[Result]] = [
        pool.submit(function, item) for item in islice(remaining, ahead)
    ]
    try:
        while waiting:
            result = waiting.pop(0).result()
            waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()
