"""Whether what is said of regions agrees with what they are labelled, for any reader's words.

Of a description the head noun counts: "a man on a bicycle" names a man. It is found by matching the
vocabulary (`content_nouns.csv`, other words and plurals included), the longest match first; of
several nouns in a row the last is the head, as in English compounds ("a dog bed" names a bed). A noun
agrees with a COCO category when the vocabulary lists the category for it: `person` agrees with
person, and so do man, woman, boy or crowd; `floor` with wooden and other floors and rugs; `animal`
with any animal. Broad nouns thus agree easily; `broad` in the result counts them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.learning.content_panoptic import Panoptic, region_categories
from rsfiqa.learning.content_words import Noun, categories, nouns, plural_of
from rsfiqa.partition import Partition

AREA_BINS = (0.0, 0.01, 0.03, 0.1, 1.0)
"""Fractions of the picture at which areas are divided; each bin holds its upper end."""
MANY_KINDS = 3
"""From this many kinds of things on, a noun that covers them counts as broad: all walls are one
kind, the animals are many."""

_CLAUSE = re.compile(r"[,;:.()]")
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class AreaAgreement:
    """Agreement on the regions of one range of areas, of which the label is known.

    Attributes:
        regions: how many there are.
        said: of how many something was said.
        recognised: in how many of these the vocabulary has the head noun.
        agreed: how many agree.
        broad: how many of those that agree do so by a broad noun.
    """

    regions: int = 0
    said: int = 0
    recognised: int = 0
    agreed: int = 0
    broad: int = 0

    @property
    def accuracy(self) -> float | None:
        """The fraction agreeing of what was said, 0..1; None when nothing was said."""
        return self.agreed / self.said if self.said else None

    @property
    def coverage(self) -> float | None:
        """The fraction of regions of which something was said; None without regions."""
        return self.said / self.regions if self.regions else None

    def __add__(self, other: AreaAgreement) -> AreaAgreement:
        return AreaAgreement(
            self.regions + other.regions,
            self.said + other.said,
            self.recognised + other.recognised,
            self.agreed + other.agreed,
            self.broad + other.broad,
        )


@dataclass(frozen=True)
class NounAgreement:
    """Agreement by region area; results of several photographs add up.

    Attributes:
        by_area: one entry a range of `AREA_BINS`, smallest first.
    """

    by_area: tuple[AreaAgreement, ...] = (AreaAgreement(),) * (len(AREA_BINS) - 1)

    @property
    def overall(self) -> AreaAgreement:
        """All areas together; every region counts once."""
        return sum(self.by_area, AreaAgreement())

    def __add__(self, other: NounAgreement) -> NounAgreement:
        return NounAgreement(tuple(a + b for a, b in zip(self.by_area, other.by_area, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: all areas, then each range."""
        ranges = zip(AREA_BINS, AREA_BINS[1:], self.by_area, strict=False)
        return {
            "all": _row(self.overall),
            "by_area": [{"from": low, "to": high, **_row(found)} for low, high, found in ranges],
        }


def head_noun(description: str) -> Noun | None:
    """The noun of the vocabulary that a description is about; None where none is found.

    Example:
        >>> for text in ("Two men riding bicycles", "a dog bed", "a sofa, orange", "a blur"):
        ...     found = head_noun(text)
        ...     print(found and found.word)
        people
        bed
        couch
        None
    """
    clauses = _CLAUSE.split(description.lower().replace("-", " "))
    return next(filter(None, map(_head_of_clause, clauses)), None)


def _head_of_clause(clause: str) -> Noun | None:
    words = _WORD.findall(clause)
    terms = _terms()
    longest = max(len(term) for term in terms)
    head: Noun | None = None
    at = 0
    while at < len(words):
        for length in range(longest, 0, -1):
            found = terms.get(tuple(words[at : at + length]))
            if found is not None and at + length <= len(words):
                head, at = found, at + length
                break
        else:
            if head is not None:
                return head
            at += 1
    return head


def agrees(description: str, category: str) -> bool:
    """Whether a description's head noun may name a COCO category.

    Raises:
        DataError: COCO has no such category.

    Example:
        >>> agrees("a little boy", "person"), agrees("a little boy", "dog")
        (True, False)
    """
    _require_category(category)
    noun = head_noun(description)
    return noun is not None and category in noun.categories


def noun_agreement(
    descriptions: Sequence[str | None],
    truth: Sequence[str | None],
    areas: Sequence[float] | npt.NDArray[np.float64],
) -> NounAgreement:
    """How well what was said of regions agrees with their labels.

    Args:
        descriptions: what was said of each region; None (or nothing) for silence.
        truth: its COCO category; None where there is none to compare with.
        areas: fraction of the picture of each, in (0, 1].

    Raises:
        DataError: the three differ in length, a category is none of COCO's, or an area is outside
            its range.

    Example:
        >>> found = noun_agreement(
        ...     ["a lawn", "a car", None], ["grass-merged", "bus", "bus"], [0.5, 0.02, 0.02]
        ... )
        >>> found.overall.accuracy, found.overall.said, found.overall.regions
        (0.5, 2, 3)
    """
    if not len(descriptions) == len(truth) == len(areas):
        raise DataError(
            f"agreement needs a description, a label and an area for each region; got "
            f"{len(descriptions)}, {len(truth)} and {len(areas)}."
        )
    total = NounAgreement()
    for description, category, area in zip(descriptions, truth, areas, strict=True):
        if not 0 < area <= 1:
            raise DataError(f"a region's area is a fraction of the picture in (0, 1]; got {area}.")
        if category is None:
            continue
        _require_category(category)
        row = [AreaAgreement()] * len(total.by_area)
        row[int(np.searchsorted(AREA_BINS, area, side="left")) - 1] = _compared(
            description, category
        )
        total += NounAgreement(tuple(row))
    return total


def evaluate_nouns(
    descriptions: Sequence[str | None], partition: Partition, panoptic: Panoptic
) -> NounAgreement:
    """How well what was said of a photograph's regions agrees with its panoptic labels.

    Regions that no category covers to 60 % are left out.

    Args:
        descriptions: one a region, in order of ids; None for silence.
        partition: of the photograph's size.
        panoptic: the photograph's labels.

    Raises:
        DataError: there are not as many descriptions as regions, or sizes differ.
    """
    areas = [region.area for region in partition.regions]
    return noun_agreement(descriptions, region_categories(partition, panoptic), areas)


def _compared(description: str | None, category: str) -> AreaAgreement:
    if not description or not description.strip():
        return AreaAgreement(regions=1)
    noun = head_noun(description)
    agreed = noun is not None and category in noun.categories
    kinds = {categories()[c].broad for c in noun.categories} if noun is not None else set()
    broad = agreed and len(kinds) >= MANY_KINDS
    return AreaAgreement(1, 1, int(noun is not None), int(agreed), int(broad))


def _require_category(category: str) -> None:
    if category not in categories():
        raise DataError(
            f"{category!r} is none of COCO's {len(categories())} panoptic categories; names are "
            "those of the annotation file, such as 'sky-other-merged'."
        )


@lru_cache(maxsize=1)
def _terms() -> Mapping[tuple[str, ...], Noun]:
    """Every word or row of words that means a noun; a noun's own word wins over another's."""
    found: dict[tuple[str, ...], Noun] = {}
    for noun in nouns().values():
        singular = [noun.word, *noun.also]
        more = [plural_of(word) for word in singular] if noun.form == "count" else []
        for word in [*noun.also, *more]:
            found.setdefault(tuple(word.split()), noun)
    for noun in nouns().values():
        found[tuple(noun.word.split())] = noun
    return MappingProxyType(found)


def _row(found: AreaAgreement) -> dict[str, Any]:
    return {
        "regions": found.regions,
        "said": found.said,
        "recognised": found.recognised,
        "agreed": found.agreed,
        "broad": found.broad,
        "accuracy": found.accuracy,
        "coverage": found.coverage,
    }
