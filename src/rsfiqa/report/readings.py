"""What was read of a region, as markup: its sentence, and ratings as bars with words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from rsfiqa.report.palette import QUALITY
from rsfiqa.report.templates import Html, fill, join
from rsfiqa.sentences.faults import level_of_rating
from rsfiqa.types import DIMENSIONS, LEVELS

if TYPE_CHECKING:
    from rsfiqa.types import Dimension, Rating, Reading

DIMENSION_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "color": "Colour",
        "noise": "Noise",
        "artifact": "Artifacts",
        "blur": "Sharpness",
        "overall": "Overall",
    }
)
"""What the dimensions are called on pages; all so that 5 is best."""

_SCALE = "1 (bad) to 5 (excellent)"
_TOLD_FROM = 0.05
"""Less probable levels are left out of a rating's title."""


def said_of(reading: Reading, sentence: str) -> Html:
    """A row of the table that says what was read of a region; none where nobody read it."""
    if reading.status == "absent":
        return Html("")
    if reading.status == "failed":
        return fill("detail.html", text=fill("unread.html", text=sentence))
    text = join([fill("said.html", text=sentence), _level_ratings(reading.ratings)])
    return fill("detail.html", text=text)


def mean_ratings(values: Mapping[str, float] | None) -> Html:
    """The ratings of a picture, 1..5 by dimension; nothing where no region was read."""
    if values is None:
        return Html("")
    items = [_rating(name, value, title="") for name, value in values.items()]
    return fill("ratings.html", label=f"Ratings of the picture, {_SCALE}", items=join(items))


def _level_ratings(ratings: Mapping[Dimension, Rating]) -> Html:
    items = [_rating(d, ratings[d].value, _probabilities(ratings[d])) for d in DIMENSIONS]
    return fill("ratings.html", label=f"Ratings, {_SCALE}", items=join(items))


def _rating(dimension: str, value: float, title: str) -> Html:
    level = level_of_rating(value)
    return fill(
        "rating.html",
        dimension=DIMENSION_NAMES[dimension],
        percent=f"{(value - 1) * 25:.0f}",
        color=QUALITY.hex((value - 1) / 4),
        value=value_text(value),
        level=level,
        title=title,
    )


def value_text(value: float) -> str:
    """A mean level with one digit, rounded, but never over the edge of its level."""
    rounded = round(value, 1)
    if level_of_rating(rounded) != level_of_rating(value):
        rounded -= 0.1
    return f"{rounded:.1f}"


def _probabilities(rating: Rating) -> str:
    """How sure a rating is: "good 78 %, fair 20 %"."""
    told = [
        f"{level} {p * 100:.0f} %"
        for level, p in zip(LEVELS, rating.probabilities, strict=True)
        if p >= _TOLD_FROM
    ]
    return ", ".join(told)
