"""The sentence about one region: what it shows and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rsfiqa.sentences.faults import (
    faults_of,
    faults_text,
    is_sharp,
    is_surely_clean,
    is_surely_good,
)
from rsfiqa.sentences.numbers import capitalized, score_text, share_text
from rsfiqa.sentences.phrases import Phrase, clean_text, phrase_of, word_set
from rsfiqa.sentences.places import place_of
from rsfiqa.types import DIMENSIONS

if TYPE_CHECKING:
    from rsfiqa.types import Assessment, Reading, RegionAssessment

_LONGEST_REASON = 300

_NEVER_SHARP = word_set(
    "background cloud clouds darkness fog haze light mist shade shadow shadows sky smoke"
)
"""What nobody calls sharp, however good the picture."""


def region_sentence(assessment: Assessment, region: RegionAssessment) -> str:
    """Say of one region what it shows and where it falls short: see `region_sentences`."""
    return region_sentences(assessment)[region.id]


def region_sentences(assessment: Assessment) -> list[str]:
    """Say of every region what it shows and where it falls short, a sentence each.

    A region that was read is called by its description, with its place where another region
    shows the same, and its faults follow by degree; "perhaps" marks a rating that the reader was
    not sure of. A region whose reading failed says why, and one that nobody read says what its
    score says.

    Args:
        assessment: the picture's assessment.

    Returns:
        one line of text for each region, in order of region ids. It may quote the reader's
        descriptions, so escape it where markup matters.
    """
    phrases = [phrase_of(region.reading.description) for region in assessment.regions]
    nouns = Counter(phrase.noun for phrase in phrases if phrase is not None)
    return [
        _sentence(assessment, region, phrase, nouns)
        for region, phrase in zip(assessment.regions, phrases, strict=True)
    ]


def verdict(reading: Reading) -> str:
    """What the five ratings of a region say, in a few words.

    Args:
        reading: of a region that was read (status `ok`).

    Example:
        >>> from rsfiqa.types import Rating, Reading
        >>> ratings = dict.fromkeys(DIMENSIONS, Rating((0.9, 0.1, 0.0, 0.0, 0.0)))
        >>> verdict(Reading("ok", "a brown dog", ratings))
        'sharp and clean'
        >>> blurred = {**ratings, "blur": Rating((0.0, 0.2, 0.7, 0.1, 0.0))}
        >>> verdict(Reading("ok", "a street", blurred))
        'slightly blurred, otherwise clean'
    """
    faults = faults_of(reading.ratings)
    if not faults:
        if not is_surely_clean(reading):
            return "probably clean"
        phrase = phrase_of(reading.description)
        can_be_sharp = phrase is None or phrase.noun not in _NEVER_SHARP
        return "sharp and clean" if can_be_sharp and is_sharp(reading) else "clean"
    text = faults_text(faults)
    if faults[0].dimension == "overall":
        return f"{text}, with no single fault named"
    explained = {faults[0].dimension, "overall"}
    if len(faults) == 1 and all(
        is_surely_good(reading.ratings[d]) for d in DIMENSIONS if d not in explained
    ):
        text += ", otherwise clean"
    return text


def _sentence(
    assessment: Assessment,
    region: RegionAssessment,
    phrase: Phrase | None,
    nouns: Counter[str],
) -> str:
    reading = region.reading
    if reading.status == "ok":
        return f"{capitalized(_label(assessment, region, phrase, nouns))}: {verdict(reading)}."
    place = capitalized(place_of(assessment, [region]).name)
    if reading.status == "failed":
        return f"{place} could not be read: {clean_text(reading.reason or '', _LONGEST_REASON)}."
    share, score = share_text(region.area), score_text(region.score)
    return f"{place}, {share} of the picture: {region.level} ({score} of 100)."


def _label(
    assessment: Assessment,
    region: RegionAssessment,
    phrase: Phrase | None,
    nouns: Counter[str],
) -> str:
    if phrase is None:
        quoted = clean_text(region.reading.description or "")
        return f"“{quoted}”" if quoted else place_of(assessment, [region]).name
    if nouns[phrase.noun] > 1 and not phrase.placed:
        return f"{phrase.text} {place_of(assessment, [region]).where}"
    return phrase.text
