"""Ratings from the token probabilities that a server gives along with its JSON answer.

The answer is one string, its probabilities come token by token, and tokens follow no border of the
JSON: a level word may be a token, or begin one together with the quote before it, or be split into
several. So we look at the one token that holds the first letter of the word. The five words begin
with different letters; any alternative there that begins exactly one of them speaks for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rsfiqa.reading.answers import RATING_KEYS, Answer
from rsfiqa.reading.wording import rating_from_logits
from rsfiqa.types import LEVELS, Dimension, Level, Rating

_AROUND = b" \t\r\n\"'`:,{}"
"""What may share a token with a level word: white space and the marks of JSON."""


@dataclass(frozen=True)
class Token:
    """One token of an answer.

    Attributes:
        text: its UTF-8 bytes, which may end within a character.
        alternatives: bytes → log-probability of the tokens most likely at its place, itself among
            them.
    """

    text: bytes
    alternatives: Mapping[bytes, float]


def ratings_from_tokens(
    content: str, tokens: Sequence[Token], answer: Answer
) -> dict[Dimension, Rating]:
    """The rating of each dimension whose level word can be found among the tokens.

    The probabilities of one word's alternatives are summed, those of the five words divided by
    their sum; a word that is not among the alternatives has probability 0. Each rating is given
    what the answer has said before it.

    Args:
        content: the answer as text.
        tokens: the answer's tokens in order; others may stand before and after (a model's
            thoughts, an end-of-turn mark), and text before the ratings may differ in its bytes.
        answer: what `content` says.

    Returns:
        no entry for a dimension whose word cannot be found or whose token says nothing.
    """
    joined = b"".join(token.text for token in tokens)
    ends = list(accumulate(len(token.text) for token in tokens))
    ratings: dict[Dimension, Rating] = {}
    for dimension, level in answer.levels.items():
        rest = _from_word_on(content, RATING_KEYS[dimension], level)
        start = joined.rfind(rest) if rest else -1
        if start < 0:
            continue
        index = next(i for i, end in enumerate(ends) if start < end)
        token = tokens[index]
        before = token.text[: start - (ends[index] - len(token.text))]
        rating = None if before.strip(_AROUND) else _rating(token)
        if rating:
            ratings[dimension] = rating
    return ratings


def _from_word_on(content: str, key: str, level: Level) -> bytes | None:
    """The answer's bytes from a key's level word to its end.

    The end tells apart equal words of several keys. A quoted key cannot stand inside a string of
    sound JSON, where its quotes would be escaped.
    """
    match = re.search(rf'"{key}"\s*:\s*"(?={level}")', content)
    return content[match.end() :].encode("utf-8", "surrogatepass") if match else None


def _rating(token: Token) -> Rating | None:
    logits = [_log_sum(list(_speaking_for(level, token))) for level in LEVELS]
    return rating_from_logits(logits) if any(map(math.isfinite, logits)) else None


def _speaking_for(level: Level, token: Token) -> Iterator[float]:
    word = level.encode()
    for text, logprob in token.alternatives.items():
        start = text.strip(_AROUND).lower()
        if start and word.startswith(start):
            yield logprob


def _log_sum(logprobs: Sequence[float]) -> float:
    highest = max(logprobs, default=-math.inf)
    if highest == -math.inf:
        return -math.inf
    return highest + math.log(sum(math.exp(value - highest) for value in logprobs))
