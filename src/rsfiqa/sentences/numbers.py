"""Numbers and lists as text."""

from __future__ import annotations

from collections.abc import Sequence

from rsfiqa.types import level_of


def score_text(score: float, digits: int = 0) -> str:
    """A score as text, rounded, but never over the edge of its level.

    Example:
        >>> score_text(63.2), score_text(79.7), score_text(79.7, 1), score_text(100)
        ('63', '79', '79.7', '100')
    """
    rounded = round(score, digits)
    if level_of(rounded) != level_of(score):
        rounded -= 10.0**-digits
    return f"{rounded:.{digits}f}"


def share_text(fraction: float) -> str:
    """A fraction of the picture as whole percents.

    Example:
        >>> share_text(0.124), share_text(0.004), share_text(1.0)
        ('12 %', 'under 1 %', '100 %')
    """
    if fraction < 0.01:
        return "under 1 %"
    return f"{min(round(fraction * 100), 99 if fraction < 1 else 100)} %"


def count_text(number: int, noun: str) -> str:
    """How many of something.

    Example:
        >>> count_text(1, "region"), count_text(3, "more region")
        ('1 region', '3 more regions')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[str], *, comma: bool = False) -> str:
    """Items as a list in a sentence; `comma` sets one before the last "and".

    Example:
        >>> listed(["the sky"]), listed(["a", "b", "c"]), listed(["noisy", "blurred"], comma=True)
        ('the sky', 'a, b and c', 'noisy, and blurred')
    """
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])}{',' if comma else ''} and {items[-1]}"


def capitalized(text: str) -> str:
    """The text with its first letter as a capital, and nothing else changed.

    Example:
        >>> capitalized("a TV screen")
        'A TV screen'
    """
    return text[:1].upper() + text[1:]
