"""Which pictures were begun and not ended: what tells a picture that kills its worker from the rest."""

from __future__ import annotations

from collections import Counter

MOST_TRIES = 3
"""A picture is given up when so many workers have died over it."""


class Ledger:
    """Counts how often work on a picture was begun without coming to an end.

    A worker does one picture at a time and enters each before it begins, so that when it is killed the
    ledger names the one picture it was at. Ray gives the work to another worker, again and again; the
    picture that has used up its tries then becomes an error, and the run goes on.

    Example:
        >>> ledger = Ledger()
        >>> ledger.begin("a.jpg"), ledger.begin("a.jpg")
        (True, True)
        >>> ledger.end("a.jpg")
        >>> [ledger.begin("a.jpg") for _ in range(MOST_TRIES + 1)]
        [True, True, True, False]
    """

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def begin(self, name: str) -> bool:
        """Enter a picture; False when it is to be given up."""
        self._open[name] += 1
        return self._open[name] <= MOST_TRIES

    def end(self, name: str) -> None:
        """Cross a picture off, whatever came of it."""
        self._open.pop(name, None)
