"""Freed memory goes back to the system, where the C library can."""

from __future__ import annotations

import sys

import pytest

from rsfiqa import heap


def test_trimming_is_harmless() -> None:
    heap.trim()


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: object())
    heap._c_function.cache_clear()
    try:
        heap.trim()
        with heap.freed_is_kept():
            assert heap._c_function("mallopt") is None
    finally:
        heap._c_function.cache_clear()


def test_what_is_kept_for_a_while_is_given_back_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int]] = []
    done: list[str] = []
    monkeypatch.setattr(
        heap, "_c_function", lambda _: lambda name, value: said.append((name, value))
    )
    monkeypatch.setattr(heap, "trim", lambda: done.append("trimmed"))
    with pytest.raises(KeyboardInterrupt), heap.freed_is_kept():
        kept = dict(said)
        raise KeyboardInterrupt
    after = dict(said[len(kept) :])
    assert kept.keys() == after.keys()
    assert all(kept[name] != after[name] for name in kept)
    assert done == ["trimmed"]


def test_it_is_done_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    trimmed: list[float] = []
    monkeypatch.setattr(heap.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(heap, "trim", lambda: trimmed.append(clock[0]))
    at_times = heap.Trimmer(every=5)
    for clock[0] in (101.0, 104.9, 105.0, 106.0, 112.0):
        at_times()
    assert trimmed == [105.0, 112.0]
