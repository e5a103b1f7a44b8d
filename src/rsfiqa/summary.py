"""The summary of an assessment: composed by rule, so that it can only say what the numbers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsfiqa.sentences.numbers import score_text
from rsfiqa.sentences.picture import readings_text
from rsfiqa.sentences.reliability import unfamiliar_text
from rsfiqa.sentences.scores import scores_text

if TYPE_CHECKING:
    from rsfiqa.types import Assessment

LONGEST = 1200
"""No summary is longer, in characters, whatever a reader writes."""


def summarize(assessment: Assessment) -> str:
    """Say in a few plain sentences how good a picture is, where it falls short and, if read, why.

    The level and the score come first. Then, without readings, the regions that score clearly
    below the area-weighted median of the picture (by 8 points or more), with their place and
    size. With readings: a fault that the whole picture or most of it shares; else the things
    whose faults weigh most, called by their descriptions; then how many more fall short; and
    that the rest is clean, where every number of it is good. "Perhaps" and "seems" mark what the
    reader was not sure of. Last, that the picture is unlike the training pictures, if it is.

    Args:
        assessment: the picture's assessment; only its numbers and descriptions are used.

    Returns:
        One line of text, at most `LONGEST` characters. It quotes the reader's descriptions, so
        escape it where markup matters.
    """
    opening = f"{assessment.level.capitalize()} ({score_text(assessment.score)} of 100)."
    read = any(region.reading.status == "ok" for region in assessment.regions)
    text = f"{opening} {readings_text(assessment) if read else scores_text(assessment)}."
    unfamiliar = unfamiliar_text(assessment)
    return text if unfamiliar is None else f"{text} {unfamiliar}."
