"""`parallel_map`: order, bounded look-ahead, errors in their turn, torch's threads put back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa.parallel import MOST_WORKERS, cpu_workers, parallel_map, worker_pool, workers_on

WAIT = 60.0
"""Seconds after which a test that should not have to wait has failed, on a busy machine too."""


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    """More threads than workers, so that a division shows; put back for the other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)


def test_as_many_workers_as_cores_up_to_a_bound() -> None:
    assert 1 <= cpu_workers() <= MOST_WORKERS


def test_one_picture_at_a_time_on_an_accelerator() -> None:
    assert workers_on("cpu") == workers_on(torch.device("cpu")) == cpu_workers()
    assert workers_on("cuda:1") == workers_on("mps") == 1


def test_spare_threads_do_not_take_from_the_workers_share() -> None:
    with worker_pool(2, spare=1) as pool:
        all_three = threading.Barrier(3, timeout=WAIT)

        def meet(_: int) -> int:
            all_three.wait()
            return torch.get_num_threads()

        assert list(pool.map(meet, range(3))) == [2, 2, 2]
    assert torch.get_num_threads() == 4


@given(st.lists(st.integers(), max_size=20), st.integers(min_value=-1, max_value=5))
def test_it_is_map(items: list[int], workers: int) -> None:
    assert list(parallel_map(str, items, workers)) == [str(item) for item in items]


def test_results_keep_the_order_of_items_that_end_out_of_order() -> None:
    second_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(WAIT)
        else:
            second_done.set()
        return item

    assert list(parallel_map(work, [0, 1], workers=2)) == [0, 1]


def test_work_is_shared_among_threads() -> None:
    both = threading.Barrier(2, timeout=WAIT)

    def meet(_: int) -> str:
        both.wait()
        return threading.current_thread().name

    names = set(parallel_map(meet, range(2), workers=2))
    assert len(names) == 2
    assert threading.current_thread().name not in names


def test_one_worker_needs_no_thread_and_works_one_item_at_a_time() -> None:
    taken: list[int] = []

    def work(item: int) -> str:
        taken.append(item)
        return threading.current_thread().name

    results = parallel_map(work, count(), workers=1)
    assert next(results) == threading.current_thread().name
    assert taken == [0]
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_endless_items_are_taken_a_bounded_number_ahead(workers: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in count():
            taken.append(i)
            yield i

    results = parallel_map(lambda i: i, items(), workers)
    assert not taken, "nothing is done before the first result is asked for"
    for done in range(1, 6):
        assert next(results) == done - 1
        assert len(taken) <= done + 2 * workers
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 5 + 2 * workers


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_surfaces_when_its_item_has_its_turn(workers: int) -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("item 2 is bad")
        return item

    results = parallel_map(work, range(10), workers)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="item 2 is bad"):
        next(results)
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_of_the_items_themselves_is_not_lost(workers: int) -> None:
    def items() -> Iterator[int]:
        yield from range(2)
        raise ValueError("no third item")

    with pytest.raises(ValueError, match="no third item"):
        list(parallel_map(lambda i: i, items(), workers))
    assert torch.get_num_threads() == 4


def test_nothing_is_started_after_an_exception() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        raise ValueError

    with pytest.raises(ValueError):
        list(parallel_map(work, range(1000), workers=2))
    assert len(started) <= 2 * 2


def test_workers_share_torchs_threads_which_are_put_back_at_the_end() -> None:
    seen = list(parallel_map(lambda _: torch.get_num_threads(), range(8), workers=2))
    assert seen == [2] * 8
    assert torch.get_num_threads() == 4


def test_more_workers_than_threads_get_one_each() -> None:
    assert set(parallel_map(lambda _: torch.get_num_threads(), range(12), workers=6)) == {1}
    assert torch.get_num_threads() == 4


def test_an_abandoned_map_puts_the_threads_back() -> None:
    results = parallel_map(lambda i: i, count(), workers=2)
    assert next(results) == 0
    assert torch.get_num_threads() == 2
    results.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == 4
