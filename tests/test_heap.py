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
    heap._malloc_trim.cache_clear()
    try:
        heap.trim()
        assert heap._malloc_trim() is None
    finally:
        heap._malloc_trim.cache_clear()


def test_it_is_done_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    trimmed: list[float] = []
    monkeypatch.setattr(heap.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(heap, "trim", lambda: trimmed.append(clock[0]))
    at_times = heap.Trimmer(every=5)
    for clock[0] in (101.0, 104.9, 105.0, 106.0, 112.0):
        at_times()
    assert trimmed == [105.0, 112.0]
