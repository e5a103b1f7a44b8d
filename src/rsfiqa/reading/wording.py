"""The fixed texts between us and a language model: what it is asked, and where its answer is read.

Every question about a region has an answer of one line that begins with a fixed prefix. A rating
is read from the model's probabilities of the five level words right after its prefix, so that there
is nothing to sample and nothing to parse (as Q-Align does for whole pictures, arXiv 2312.17090);
the description is what the model writes after its own prefix, greedily, up to the end of the line.
All dimensions are worded so that `excellent` is best: freedom from noise, not noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rsfiqa.types import LEVELS, Dimension, Level, Rating

VERSION = "1"
"""Part of the key of cached readings: change it whenever a text below changes."""

CONTENT_PREFIX = "Content:"
"""What an answer that describes a region begins with."""

RATING_PREFIXES: Mapping[Dimension, str] = MappingProxyType(
    {
        "color": "Color:",
        "noise": "Freedom from noise:",
        "artifact": "Freedom from artifacts:",
        "blur": "Sharpness:",
        "overall": "Overall quality:",
    }
)
"""What an answer that rates a region begins with; a space and a level word follow."""

MEANINGS: Mapping[Dimension, str] = MappingProxyType(
    {
        "color": "exposure, contrast, saturation and white balance",
        "noise": "freedom from grain and speckles",
        "artifact": "freedom from compression blocks, ringing, pixelation, banding and over-sharpening",
        "blur": "sharpness, that is freedom from defocus and motion blur",
        "overall": "technical quality all in all",
    }
)
"""What each dimension covers, as a model is told."""

CONTENT_QUESTION = "What does the region show? Answer with a short noun phrase."
LONGEST_DESCRIPTION = 16
"""Tokens after which a description is cut off."""

LEVEL_WORDS: tuple[str, ...] = tuple(f" {level}" for level in LEVELS)
"""The level words as they follow a prefix, best first."""


def rating_question(dimension: Dimension) -> str:
    """The question whose answer begins with the dimension's prefix.

    Example:
        >>> rating_question("blur")
        'How good is the sharpness, that is freedom from defocus and motion blur, of the region? Answer with one word: excellent, good, fair, poor or bad.'
    """
    words = ", ".join(LEVELS[:-1]) + f" or {LEVELS[-1]}"
    meaning = MEANINGS[dimension]
    meaning += "," if "that is" in meaning else ""
    return f"How good is the {meaning} of the region? Answer with one word: {words}."


def content_answer(description: str) -> str:
    """The whole answer to `CONTENT_QUESTION`."""
    return f"{CONTENT_PREFIX} {description}"


def rating_answer(dimension: Dimension, level: Level) -> str:
    """The whole answer to `rating_question`."""
    return f"{RATING_PREFIXES[dimension]} {level}"


def rating_from_logits(logits: Sequence[float]) -> Rating:
    """The rating that a model's logits (or log-probabilities) of the five level words give.

    Softmax over the five words only: what the model would rather have said is left out.

    Args:
        logits: in the order of `LEVELS`; `-inf` for a word that cannot follow.

    Raises:
        ValueError: there are not five, or none is finite, or one is not a number.

    Example:
        >>> rating_from_logits([0.0, 0.0, -math.inf, -math.inf, -math.inf]).value
        4.5
    """
    highest = max(logits, default=-math.inf)
    if len(logits) != len(LEVELS) or not math.isfinite(highest) or any(map(math.isnan, logits)):
        raise ValueError(f"a rating needs five logits, of which one is finite; got {logits}.")
    weights = [math.exp(value - highest) for value in logits]
    total = sum(weights)
    p = [weight / total for weight in weights]
    return Rating((p[0], p[1], p[2], p[3], p[4]))
