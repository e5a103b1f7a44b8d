"""Things in a picture: regions that show the same and fail in the same way, taken together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rsfiqa.sentences.faults import GOOD_FROM, Fault, fault_of, mean_rating
from rsfiqa.sentences.numbers import listed
from rsfiqa.sentences.phrases import MOST_CHARACTERS, Phrase, clean_text, phrase_of
from rsfiqa.sentences.places import place_of

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, RegionAssessment

_COARSE_SIDE = 1024
"""Which regions touch is looked up on at most about this many rows and columns."""


@dataclass(frozen=True)
class Thing:
    """One or more regions that a person would speak of as one.

    Attributes:
        regions: in order of their ids.
        phrase: what they show; None when that is unknown.
        faults: what all of them share, worst first; at least one.
    """

    regions: tuple[RegionAssessment, ...]
    phrase: Phrase | None
    faults: tuple[Fault, ...]

    @property
    def area(self) -> float:
        return sum(region.area for region in self.regions)

    @property
    def importance(self) -> float:
        """How much of the picture's score is spoiled how far; halved where that is not sure."""
        weight = sum(region.weight for region in self.regions)
        worst = self.faults[0]
        return weight * (GOOD_FROM + 0.5 - worst.value) * (1.0 if worst.sure else 0.5)

    @property
    def is_plural(self) -> bool:
        return self.phrase is not None and self.phrase.plural


def find_things(assessment: Assessment, faults: Mapping[int, Sequence[Fault]]) -> list[Thing]:
    """Take regions of one description and one worst dimension together.

    What one can count ("a dog") must also touch: two dogs apart stay two.

    Args:
        assessment: the picture's assessment.
        faults: the faults of each region to be spoken of, by its id; none of them empty.

    Returns:
        the things, most important first.
    """
    alike: dict[object, list[RegionAssessment]] = {}
    phrases: dict[int, Phrase | None] = {}
    for k, found in faults.items():
        phrases[k] = phrase = phrase_of(assessment.regions[k].reading.description)
        key = k if phrase is None else (phrase.name, phrase.single, found[0].dimension)
        alike.setdefault(key, []).append(assessment.regions[k])
    things: list[Thing] = []
    for regions in alike.values():
        phrase = phrases[regions[0].id]
        countable = phrase is not None and phrase.single and len(regions) > 1
        groups = _touching(assessment, regions) if countable else [regions]
        things += [Thing(tuple(group), phrase, _shared(group, faults)) for group in groups]
    return sorted(things, key=lambda thing: (-thing.importance, thing.regions[0].id))


def names_of(assessment: Assessment, things: Sequence[Thing]) -> list[str]:
    """A name for each thing, no two alike: "the dog", "the tree on the left"...

    A thing is called by its description, with its place where another region of the picture
    shows the same; where that does not tell it apart, or nothing is known, with its number.
    """
    phrases = [phrase_of(r.reading.description) for r in assessment.regions]
    nouns = Counter(phrase.noun for phrase in phrases if phrase is not None)
    names = []
    for thing in things:
        shared = thing.phrase is not None and nouns[thing.phrase.noun] > len(thing.regions)
        names.append(_name(assessment, thing, with_place=shared))
    counts = Counter(names)
    return [
        f"{name} ({_numbers(thing)})" if counts[name] > 1 else name
        for name, thing in zip(names, things, strict=True)
    ]


def _name(assessment: Assessment, thing: Thing, *, with_place: bool) -> str:
    if thing.phrase is None:
        quoted = clean_text(thing.regions[0].reading.description or "", MOST_CHARACTERS)
        if quoted:
            return f"{_numbers(thing)} (“{quoted}”)"
        return f"{place_of(assessment, thing.regions).name} ({_numbers(thing)})"
    if with_place and not thing.phrase.placed:
        return f"{thing.phrase.name} {place_of(assessment, thing.regions).where}"
    return thing.phrase.name


def _numbers(thing: Thing) -> str:
    ids = [str(region.id) for region in thing.regions]
    if len(ids) > 3:
        return f"{len(ids)} regions from {ids[0]} to {ids[-1]}"
    return f"region{'s' if len(ids) > 1 else ''} {listed(ids)}"


def _shared(
    regions: Sequence[RegionAssessment], faults: Mapping[int, Sequence[Fault]]
) -> tuple[Fault, ...]:
    """The dimensions that fall short in all of the regions, by their mean ratings."""
    if len(regions) == 1:
        return tuple(faults[regions[0].id])
    areas = [region.area for region in regions]
    found = []
    for fault in faults[regions[0].id]:
        d = fault.dimension
        if all(d in {f.dimension for f in faults[region.id]} for region in regions):
            mean = mean_rating([region.reading.ratings[d] for region in regions], areas)
            found.append(fault_of(d, mean) or fault)  # or: rounding may lift it over the edge
    # The order of `faults_of`, which the mean of several need not keep.
    found.sort(key=lambda fault: (fault.dimension == "overall", not fault.sure, -fault.degree))
    return tuple(found)


def _touching(
    assessment: Assessment, regions: Sequence[RegionAssessment]
) -> Iterable[list[RegionAssessment]]:
    """Regions in groups that hang together."""
    from scipy.sparse.csgraph import connected_components

    from rsfiqa.regions.graph import adjacency

    labels = assessment.partition.labels
    step = -(-max(labels.shape) // _COARSE_SIDE)
    coarse = labels[::step, ::step]
    position = np.full(len(assessment.regions), len(regions), dtype=np.int64)
    position[[region.id for region in regions]] = np.arange(len(regions))
    # The last place is everything else: it touches all, and is left out.
    graph = adjacency(np.pad(position[coarse], ((0, 1), (0, 0)), constant_values=len(regions)))
    _, group = connected_components(graph[: len(regions), : len(regions)], directed=False)
    for number in np.unique(group).tolist():
        yield [regions[i] for i in np.flatnonzero(group == number).tolist()]
