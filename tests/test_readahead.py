"""Reading ahead: in order, bounded, and over when the consumer is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsfiqa.readahead import read_ahead


@settings(max_examples=50)
@given(
    costs=st.lists(st.integers(0, 20), max_size=30),
    budget=st.integers(0, 30),
    most=st.integers(1, 5),
)
def test_all_results_come_in_order_and_never_more_wait_than_there_is_room(
    costs: list[int], budget: int, most: int
) -> None:
    made: list[int] = []

    def work(k: int) -> int:
        made.append(k)
        return k

    taken = []
    for result in read_ahead(
        range(len(costs)), work, cost=costs.__getitem__, budget=budget, most=most
    ):
        waiting = made[result + 1 :][:-1]  # the newest may be in the worker's hands
        assert len(waiting) <= most
        assert len(waiting) <= 1 or sum(costs[k] for k in waiting) <= budget
        taken.append(result)
    assert taken == list(range(len(costs)))


def test_what_is_dearer_than_the_budget_waits_alone() -> None:
    assert list(read_ahead([1, 2, 3], str, cost=lambda _: 99, budget=1)) == ["1", "2", "3"]


def test_work_goes_on_while_the_consumer_is_busy() -> None:
    under_way = threading.Event()

    def work(k: int) -> int:
        if k == 1:
            under_way.set()
        return k

    results = read_ahead([0, 1], work, cost=lambda _: 1, budget=5)
    assert next(results) == 0
    assert under_way.wait(5)
    assert list(results) == [1]


def test_an_error_reaches_the_consumer_after_the_results_before_it() -> None:
    def work(k: int) -> float:
        return 1 / (2 - k)

    results = read_ahead([0, 1, 2, 3], work, cost=lambda _: 1, budget=5)
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_consumer_that_stops_ends_the_thread() -> None:
    drawn: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            drawn.append(len(drawn))
            yield len(drawn)

    results = read_ahead(endless(), lambda k: k, cost=lambda _: 1, budget=3)
    next(results)
    results.close()
    after = len(drawn)
    time.sleep(0.05)
    assert len(drawn) == after
    assert not any(t.name == "rsfiqa-read-ahead" for t in threading.enumerate())
