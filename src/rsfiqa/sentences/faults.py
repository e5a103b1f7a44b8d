"""From level distributions to faults in words: which dimensions fall short, how far, how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from rsfiqa.sentences.numbers import listed
from rsfiqa.types import DIMENSIONS, LEVELS, Level, Rating

if TYPE_CHECKING:
    from rsfiqa.types import Dimension, Reading

GOOD_FROM = 3.5
"""A rating is below good when its nearest level is: under the middle of good (4) and fair (3)."""

SURE_FROM = 2 / 3
"""The probability of being on its side of good from which a rating is told without "perhaps"."""

_EXCELLENT_FROM = 4.5

_WORDS: Mapping[Dimension, tuple[str, str, str]] = MappingProxyType(
    {
        "blur": ("slightly blurred", "blurred", "badly blurred"),
        "noise": ("slightly noisy", "noisy", "very noisy"),
        "artifact": (
            "slightly marred by artifacts",
            "marred by artifacts",
            "badly marred by artifacts",
        ),
        "color": (
            "slightly off in exposure or colour",
            "off in exposure or colour",
            "far off in exposure or colour",
        ),
        "overall": ("rated only fair overall", "rated poor overall", "rated bad overall"),
    }
)
"""How a person says of each dimension that it is fair, poor or bad."""


@dataclass(frozen=True)
class Fault:
    """A dimension that is rated below good.

    Attributes:
        dimension: which.
        degree: 1 when it is fair, 2 poor, 3 bad.
        sure: whether the distribution lies on this side of good with `SURE_FROM` or more.
        value: the mean level, 1..5.
    """

    dimension: Dimension
    degree: Literal[1, 2, 3]
    sure: bool
    value: float

    @property
    def text(self) -> str:
        """The fault in words, such as "perhaps slightly blurred"."""
        words = _WORDS[self.dimension][self.degree - 1]
        return words if self.sure else f"perhaps {words}"


def fault_of(dimension: Dimension, rating: Rating) -> Fault | None:
    """The fault that a rating tells of; None when it is good or better.

    Example:
        >>> fault_of("noise", Rating((0.0, 0.1, 0.2, 0.7, 0.0))).text
        'noisy'
        >>> fault_of("blur", Rating((0.1, 0.35, 0.45, 0.1, 0.0))).text
        'perhaps slightly blurred'
        >>> fault_of("blur", Rating((0.6, 0.4, 0.0, 0.0, 0.0)))
    """
    value = rating.value
    if value >= GOOD_FROM:
        return None
    degree: Literal[1, 2, 3] = 1 if value >= 2.5 else 2 if value >= 1.5 else 3
    return Fault(dimension, degree, below_good(rating) >= SURE_FROM, value)


def faults_of(ratings: Mapping[Dimension, Rating]) -> tuple[Fault, ...]:
    """All faults that ratings tell of: sure ones first, then the worst first.

    `overall` counts as a fault of its own only where it is worse than what any dimension explains.
    """
    found = [fault_of(d, ratings[d]) for d in DIMENSIONS if d != "overall"]
    faults = sorted(
        (fault for fault in found if fault is not None),
        key=lambda fault: (not fault.sure, -fault.degree, fault.value),
    )
    overall = fault_of("overall", ratings["overall"])
    if overall is not None and overall.degree > max((f.degree for f in faults), default=0):
        faults.append(overall)
    return tuple(faults)


def faults_text(faults: Sequence[Fault]) -> str:
    """Faults as a list in a sentence.

    Example:
        >>> noise, color = Fault("noise", 2, True, 2.0), Fault("color", 1, True, 3.0)
        >>> faults_text([noise, color])
        'noisy, and slightly off in exposure or colour'
    """
    same_degree = len({(fault.degree, fault.sure) for fault in faults}) == 1
    return listed([fault.text for fault in faults], comma=not same_degree)


def below_good(rating: Rating) -> float:
    """The probability of a level below good."""
    return sum(rating.probabilities[LEVELS.index("fair") :])


def is_surely_good(rating: Rating) -> bool:
    """Whether a rating is good or better, in its mean and with `SURE_FROM` or more."""
    return rating.value >= GOOD_FROM and below_good(rating) <= 1 - SURE_FROM


def is_surely_clean(reading: Reading) -> bool:
    """Whether a region was read and every dimension of it is surely good or better."""
    return reading.status == "ok" and all(map(is_surely_good, reading.ratings.values()))


def is_sharp(reading: Reading) -> bool:
    """Whether a region that was read is rated excellent for sharpness."""
    return reading.ratings["blur"].value >= _EXCELLENT_FROM


def level_of_rating(value: float) -> Level:
    """The level word nearest to a mean level on 1..5.

    Example:
        >>> level_of_rating(3.5), level_of_rating(3.4), level_of_rating(1.0)
        ('good', 'fair', 'bad')
    """
    edges = (_EXCELLENT_FROM, GOOD_FROM, 2.5, 1.5)
    return LEVELS[sum(value < edge for edge in edges)]


def mean_rating(ratings: Sequence[Rating], weights: Sequence[float]) -> Rating:
    """The weighted mean of level distributions."""
    total = sum(weights)
    p = [
        sum(w * r.probabilities[i] for w, r in zip(weights, ratings, strict=True)) / total
        for i in range(len(LEVELS))
    ]
    whole = sum(p)
    return Rating((p[0] / whole, p[1] / whole, p[2] / whole, p[3] / whole, p[4] / whole))
