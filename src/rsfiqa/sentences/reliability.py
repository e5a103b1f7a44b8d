"""What is said of how reliable a score is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsfiqa.types import Assessment


def unfamiliar_text(assessment: Assessment) -> str | None:
    """That a picture is unlike those that the scorer was trained on.

    Returns:
        a sentence without its full stop; None for a picture that is familiar, or of which this is
        not known.
    """
    if assessment.familiar is not False:
        return None
    return "It is unlike the pictures that the scorer was trained on, so take the score with care"


def interval_text(assessment: Assessment) -> str | None:
    """The interval of the score, in whole points.

    Returns:
        part of a sentence; None where it is not known.
    """
    if assessment.interval is None:
        return None
    low, high = assessment.interval
    return f"90 % interval of the score {low:.0f} to {high:.0f}"
