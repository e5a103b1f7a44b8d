"""`map_in_order`: a window without barriers, bounded by number and cost; what an interrupt leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsfiqa.in_order import map_in_order

WAIT = 60.0
"""Seconds after which a test that should not have to wait has failed, on a busy machine too."""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@settings(max_examples=60)
@given(
    costs=st.lists(st.integers(0, 20), max_size=25),
    budget=st.integers(1, 30),
    ahead=st.integers(1, 6),
)
def test_results_are_in_order_and_the_window_is_never_too_full(
    costs: list[int], budget: int, ahead: int
) -> None:
    submitted: list[int] = []

    class Here(ThreadPoolExecutor):
        def submit(self, function, item):  # type: ignore[no-untyped-def,override]
            submitted.append(item)
            return super().submit(function, item)

    taken: list[int] = []
    with Here(2) as pool:
        results = map_in_order(
            pool, lambda k: k, range(len(costs)), ahead, cost=costs.__getitem__, budget=budget
        )
        for result in results:
            taken.append(result)
            window = submitted[result:]  # the consumer still has this one
            assert len(window) <= ahead + 1
            paid = [costs[k] for k in window if costs[k]]
            assert sum(paid) <= budget or len(paid) == 1
    assert taken == list(range(len(costs)))


def test_no_item_waits_for_a_slow_one_before_it(pool: ThreadPoolExecutor) -> None:
    others_done = threading.Event()

    def work(k: int) -> int:
        if k == 0:
            assert others_done.wait(WAIT)
        if k == 5:
            others_done.set()
        return k

    assert list(map_in_order(pool, work, range(6), ahead=6)) == list(range(6))


def test_work_goes_on_while_the_consumer_is_busy(pool: ThreadPoolExecutor) -> None:
    all_done = threading.Event()

    def work(k: int) -> int:
        if k == 4:
            all_done.set()
        return k

    results = map_in_order(pool, work, range(5), ahead=4)
    assert next(results) == 0
    assert all_done.wait(WAIT)
    assert list(results) == [1, 2, 3, 4]


def test_an_item_dearer_than_the_budget_goes_alone_and_the_others_after_it(
    pool: ThreadPoolExecutor,
) -> None:
    at_work: list[int] = []
    together: list[int] = []

    def work(k: int) -> int:
        at_work.append(k)
        together.append(len(at_work))
        at_work.remove(k)
        return k

    prices = [99, 99, 1, 1]
    results = map_in_order(pool, work, range(4), 4, cost=prices.__getitem__, budget=5)
    assert list(results) == [0, 1, 2, 3]
    assert together[:2] == [1, 1]


def test_an_interrupt_hands_over_what_has_begun_and_cancels_the_rest(
    pool: ThreadPoolExecutor,
) -> None:
    begun: list[int] = []
    both_run, told = threading.Event(), threading.Event()

    def work(k: int) -> int:
        begun.append(k)
        if k == 0:
            assert both_run.wait(WAIT)
            raise KeyboardInterrupt
        both_run.set()
        assert told.wait(WAIT)
        return k

    taken = []
    with pytest.raises(KeyboardInterrupt):
        for result in map_in_order(pool, work, range(50), ahead=50, interrupted=told.set):
            taken.append(result)  # noqa: PERF402
    assert taken == sorted(begun)[1:]  # either of the two threads may have noted its item first
    assert taken in ([1], [1, 2])


def test_of_what_has_begun_failures_are_left_out(pool: ThreadPoolExecutor) -> None:
    told = threading.Event()

    def work(k: int) -> int:
        if k == 0:
            raise KeyboardInterrupt
        assert told.wait(WAIT)
        raise ValueError

    with pytest.raises(KeyboardInterrupt):
        list(map_in_order(pool, work, range(9), ahead=9, interrupted=told.set))


def test_a_consumer_that_leaves_cancels_what_has_not_begun(pool: ThreadPoolExecutor) -> None:
    go_on = threading.Event()
    begun: list[int] = []

    def work(k: int) -> int:
        begun.append(k)
        if k:
            assert go_on.wait(WAIT)
        return k

    results = map_in_order(pool, work, range(100), ahead=20)
    assert next(results) == 0
    results.close()
    go_on.set()
    pool.shutdown()
    assert len(begun) <= 4


def test_a_failure_reaches_the_consumer_after_the_results_before_it() -> None:
    begun: list[int] = []

    def work(k: int) -> float:
        begun.append(k)
        return 1 / (2 - k)

    with ThreadPoolExecutor(1) as one:
        results = map_in_order(one, work, range(9), ahead=3)
        assert [next(results), next(results)] == [0.5, 1.0]
        with pytest.raises(ZeroDivisionError):
            next(results)
    assert begun[:3] == [0, 1, 2]
    assert len(begun) <= 5


def test_of_endless_items_no_more_are_drawn_than_there_is_room_for(
    pool: ThreadPoolExecutor,
) -> None:
    drawn = count()
    results = map_in_order(pool, lambda k: k, drawn, ahead=3)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    results.close()
    assert next(drawn) <= 3 + 1 + 3
