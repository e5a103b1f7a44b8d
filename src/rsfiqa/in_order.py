"""Work on several threads whose results come in order, a bounded amount ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    pool: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
    *,
    cost: Callable[[Item], int] = lambda _: 0,
    budget: int = 0,
    interrupted: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """Results in the order of the items, worked on in a window that slides over them.

    There is no barrier: an item is submitted as soon as there is room for it, whatever the others do.
    What has not begun when the consumer leaves, or when an item fails, is cancelled. On an interrupt
    (Ctrl-C) it is cancelled, too, and what has begun, which has to end in any case, is still handed
    over before the interrupt goes on: nothing that was done is lost.

    Args:
        pool: whose threads work.
        function: called in the pool; what it raises, the consumer gets in its place.
        items: drawn from as there is room.
        ahead: how many items may be submitted beyond the consumer.
        cost: what an item takes of the budget, from its submission until the consumer comes back for
            the next result; asked in the consumer's thread.
        budget: how much may be taken at a time; an item dearer than that goes alone.
        interrupted: told of an interrupt, so that work which can be cut short is.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(2) as pool:
        ...     list(map_in_order(pool, lambda n: n * n, [1, 2, 3], ahead=4))
        [1, 4, 9]
    """
    remaining = iter(items)
    next_up: list[tuple[Item, int]] = []
    waiting: deque[tuple[Future[Result], int]] = deque()
    held = 0

    def fill() -> None:
        nonlocal held
        while len(waiting) < ahead:
            if not next_up:
                next_up.extend((item, cost(item)) for item in islice(remaining, 1))
            if not next_up or (held and held + next_up[0][1] > budget):
                return
            item, price = next_up.pop()
            waiting.append((pool.submit(function, item), price))
            held += price

    try:
        fill()
        while waiting:
            try:
                result = waiting[0][0].result()
            except KeyboardInterrupt:
                begun = [future for future, _ in waiting if not future.cancel()]
                interrupted()
                yield from (f.result() for f in begun if f.exception() is None)
                raise
            price = waiting.popleft()[1]
            fill()
            yield result
            del result  # before its room is given to another
            held -= price
            fill()
    finally:
        for future, _ in waiting:
            future.cancel()
