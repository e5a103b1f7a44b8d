"""Colours over the regions as markup: by score, and by the rating of each dimension.

Colour is never alone: what is poor is hatched, what is bad cross-hatched, and tags carry numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rsfiqa.report.palette import QUALITY, ink_on
from rsfiqa.report.readings import DIMENSION_NAMES, value_text
from rsfiqa.report.templates import Html, fill, join
from rsfiqa.sentences.faults import level_of_rating
from rsfiqa.types import DIMENSIONS

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, Dimension, Level, RegionAssessment


def rating_switches(assessment: Assessment, anchor: str) -> Html:
    """A switch for each dimension; none where no region was read."""
    if assessment.ratings is None:
        return Html("")
    names = DIMENSION_NAMES.items()
    return join([fill("layer.html", anchor=anchor, value=d, name=name) for d, name in names])


def tints(assessment: Assessment, ids: Iterable[int], anchor: str) -> Html:
    """The layers of colour: one by score, and where regions were read one a dimension.

    Args:
        assessment: the picture's assessment.
        ids: the regions that have a shape on the page.
        anchor: what the ids of the picture's elements start with.
    """
    regions = [assessment.regions[k] for k in ids]
    layers = [_layer("quality", [_tint(r, r.score / 100, r.level, anchor) for r in regions])]
    if assessment.ratings is not None:
        for dimension in DIMENSIONS:
            parts = [_rated_tint(region, dimension, anchor) for region in regions]
            layers.append(_layer(dimension, parts))
    return join(layers)


def rated_tags(region: RegionAssessment) -> Html:
    """A region's ratings, of which the page shows the one that is the layer shown."""
    values = region.reading.values
    if values is None:
        return Html("")
    tags = []
    for dimension, value in values.items():
        color, ink = _colors((value - 1) / 4)
        shown = value_text(value)
        tags.append(fill("tag_rated.html", dimension=dimension, color=color, ink=ink, value=shown))
    return join(tags)


def _layer(name: str, parts: list[Html]) -> Html:
    return fill("tints.html", layer=name, tints=join(parts))


def _rated_tint(region: RegionAssessment, dimension: Dimension, anchor: str) -> Html:
    values = region.reading.values
    if values is None:
        return Html("")
    value = values[dimension]
    return _tint(region, (value - 1) / 4, level_of_rating(value), anchor)


def _tint(region: RegionAssessment, share: float, level: Level, anchor: str) -> Html:
    tint = fill("tint.html", anchor=anchor, id=region.id, color=QUALITY.hex(share))
    if level not in {"poor", "bad"}:
        return tint
    return join([tint, fill("hatched.html", anchor=anchor, id=region.id, level=level)])


def _colors(share: float) -> tuple[str, str]:
    """The colour of a number on 0..1, and of text on it."""
    return QUALITY.hex(share), "#{:02x}{:02x}{:02x}".format(*ink_on(QUALITY.colors(share)))
