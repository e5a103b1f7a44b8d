"""Ranges of settings: each checked in one way and refused in one form of sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rsfiqa.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """Which numbers a setting may be; no range holds what is not a number.

    Attributes:
        words: what they are, after "must be".
        holds: whether a number is one of them.
    """

    words: str
    holds: Callable[[float], bool]


AT_LEAST_ONE = Range("1 or more", lambda value: 1 <= value < math.inf)
NOT_NEGATIVE = Range("0 or more", lambda value: 0 <= value < math.inf)
POSITIVE = Range("above 0", lambda value: 0 < value < math.inf)
FRACTION = Range("from 0 to 1", lambda value: 0 <= value <= 1)
BELOW_ONE = Range("from 0 to below 1", lambda value: 0 <= value < 1)
INSIDE_ONE = Range("between 0 and 1", lambda value: 0 < value < 1)


def require(settings: object, accepted: Range, *names: str, where: str = "") -> None:
    """See that some settings of a configuration lie in a range.

    Args:
        settings: what has them as attributes, numbers all.
        accepted: the range.
        names: which ones.
        where: what stands before their names in the sentence, such as `model.`.

    Raises:
        ConfigError: one does not; the first is named.

    Example:
        >>> from types import SimpleNamespace
        >>> require(SimpleNamespace(epochs=0), AT_LEAST_ONE, "epochs")
        Traceback (most recent call last):
        rsfiqa.errors.ConfigError: epochs must be 1 or more; got 0.
    """
    for name in names:
        value = getattr(settings, name)
        if not accepted.holds(value):
            raise ConfigError(f"{where}{name} must be {accepted.words}; got {value}.")
