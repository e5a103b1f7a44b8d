"""Where in a picture regions lie, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, RegionAssessment

_ACROSS = 0.8
"""A box this much of the picture's side spans it."""

_THIN = 0.2
_SAMPLES = 256
"""A centroid is taken from at most this many rows and columns of the region's box."""

_VERTICAL = {"upper": "top", "lower": "bottom", "": ""}


@dataclass(frozen=True)
class Place:
    """A place in two forms.

    Attributes:
        name: the place as a thing, such as "the upper left".
        where: as an addition to a thing, such as "in the upper left".
    """

    name: str
    where: str


def place_of(assessment: Assessment, regions: Sequence[RegionAssessment]) -> Place:
    """Where regions lie together: "the upper left", "the right edge"...

    What spans the picture is named by its extent; anything else by the third of the picture, in
    each direction, that holds its centroid.

    Args:
        assessment: the picture's assessment.
        regions: one or more of its regions, taken as one thing.
    """
    left = min(r.bbox[0] for r in regions)
    top = min(r.bbox[1] for r in regions)
    right = max(r.bbox[0] + r.bbox[2] for r in regions)
    bottom = max(r.bbox[1] + r.bbox[3] for r in regions)
    across, down = (right - left) / assessment.width, (bottom - top) / assessment.height
    area = sum(r.area for r in regions)
    if across >= _ACROSS and down >= _ACROSS:
        if area >= 0.5:
            return Place("most of the picture", "over most of the picture")
        return Place("an area spread over the picture", "spread over the picture")
    centroids = np.array([_centroid(assessment, r) for r in regions])
    x, y = np.array([r.area for r in regions]) / area @ centroids
    column = ("left", "", "right")[min(2, int(x * 3))]
    row = ("upper", "", "lower")[min(2, int(y * 3))]
    if across >= _ACROSS:
        return _at("in", f"the {row} part") if row else _band("across the middle")
    if down >= _ACROSS:
        return _at("on", f"the {column} side") if column else _band("down the middle")
    at_side = across < _THIN and (left == 0 or right == assessment.width)
    at_end = down < _THIN and (top == 0 or bottom == assessment.height)
    return _third(column, row, at_edge=at_end if row else at_side)


def _third(column: str, row: str, *, at_edge: bool) -> Place:
    """The place named by a third of the width ("left"...) and one of the height ("upper"...)."""
    if row and column:
        return _at("in", f"the {row} {column}")
    side = _VERTICAL[row] or column
    if not side:
        return _at("in", "the centre")
    if at_edge:
        return _at("at", f"the {side} edge")
    return _at("at" if row else "on", f"the {side}")


def _band(where: str) -> Place:
    return Place(f"a band {where}", where)


def _at(preposition: str, name: str) -> Place:
    return Place(name, f"{preposition} {name}")


def _centroid(assessment: Assessment, region: RegionAssessment) -> tuple[float, float]:
    """The region's centroid, each coordinate as a fraction of the picture's side."""
    left, top, width, height = region.bbox
    rows, columns = (np.arange(0, side, -(-side // _SAMPLES)) for side in (height, width))
    labels = assessment.partition.labels[top : top + height, left : left + width]
    mask = labels[rows[:, None], columns] == region.id
    if not mask.any():  # a region so thin that every sample missed it
        return (left + width / 2) / assessment.width, (top + height / 2) / assessment.height
    x = left + 0.5 + columns @ mask.sum(axis=0) / mask.sum()
    y = top + 0.5 + rows @ mask.sum(axis=1) / mask.sum()
    return float(x / assessment.width), float(y / assessment.height)
