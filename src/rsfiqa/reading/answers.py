"""A region's reading as one JSON object: how a model is asked for it, and how its answer is checked.

For models behind a server, whose probabilities are not all at hand: everything about a region is
asked at once, as JSON against a schema. An answer that is not exactly that is an error with its
reason; nothing is guessed and nothing made up.

The keys are the fixed prefixes of `rsfiqa.reading.wording` in lower case, so that `excellent` is
best for all of them: `freedom_from_noise`, not `noise`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast, get_args

from rsfiqa.errors import RsfiqaError
from rsfiqa.reading import wording
from rsfiqa.types import DIMENSIONS, LEVELS, Dimension, Level, Rating, Reading

VERSION = "1"
"""Part of the key of cached readings: change it whenever the instruction or the schema changes."""

LONGEST_DESCRIPTION = 200
"""In characters. A noun phrase is far shorter; a longer text is a model that has lost its way."""


def _key(prefix: str) -> str:
    return prefix.rstrip(":").lower().replace(" ", "_")


CONTENT_KEY = _key(wording.CONTENT_PREFIX)
RATING_KEYS: Mapping[Dimension, str] = MappingProxyType(
    {dimension: _key(wording.RATING_PREFIXES[dimension]) for dimension in DIMENSIONS}
)
_KEYS = (CONTENT_KEY, *RATING_KEYS.values())

SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "properties": {
            CONTENT_KEY: {"type": "string"},
            **{key: {"type": "string", "enum": list(LEVELS)} for key in RATING_KEYS.values()},
        },
        "required": list(_KEYS),
        "additionalProperties": False,
    }
)
"""JSON Schema of an answer, in the part of the language that every server knows."""


class AnswerError(RsfiqaError, ValueError):
    """A model's answer is not the JSON that it was asked for."""


@dataclass(frozen=True)
class Answer:
    """A model's answer about one region, checked.

    Attributes:
        description: what the region shows.
        levels: the level word said for each dimension.
    """

    description: str
    levels: Mapping[Dimension, Level]


def instruction(where: str) -> str:
    """The text that asks for a region's reading as JSON, for models with and without a schema.

    Args:
        where: which part of the picture is the region, as `rsfiqa.reading.views` says it.
    """
    keys = [f'"{CONTENT_KEY}": what the region shows, as a short noun phrase']
    keys += [f'"{RATING_KEYS[d]}": {wording.MEANINGS[d]}' for d in DIMENSIONS]
    words = ", ".join(LEVELS[:-1]) + f" or {LEVELS[-1]}"
    return "\n".join(
        (
            f"{where} Say what it shows and rate its technical quality.",
            "Answer with one JSON object and nothing else. It has these keys, in this order:",
            *keys,
            f"Each rating is one word in lower case: {words}. The best is {LEVELS[0]}.",
        )
    )


def correction(reason: str) -> str:
    """What is added to the instruction when it is given a second time."""
    return (
        f"An earlier answer was refused, because {reason}. Answer with the JSON object only, as "
        "described."
    )


def parse_answer(text: str) -> Answer:
    r"""Check an answer.

    Accepted is one JSON object with exactly the keys of `SCHEMA`, alone or inside one Markdown
    code fence, with white space around it.

    Raises:
        AnswerError: it is anything else; the message is a clause that fits into a sentence.

    Example:
        >>> said = dict.fromkeys(RATING_KEYS.values(), "good")
        >>> parse_answer(json.dumps({CONTENT_KEY: "a blue sky"} | said)).levels["blur"]
        'good'
        >>> parse_answer('Sure! {"content": "a blue sky"}')
        Traceback (most recent call last):
        rsfiqa.reading.answers.AnswerError: it is not one JSON object but begins with 'Sure! {"content": "a b…
    """
    data = _json_object(_unfenced(text))
    if missing := [key for key in _KEYS if key not in data]:
        raise AnswerError(f"it lacks {', '.join(map(repr, missing))}")
    if unknown := [key for key in data if key not in _KEYS]:
        raise AnswerError(f"it has unknown keys: {', '.join(map(_shown, unknown))}")
    return Answer(
        description=_description(data[CONTENT_KEY]),
        levels={dimension: _level(key, data[key]) for dimension, key in RATING_KEYS.items()},
    )


def reading_of(answer: Answer, ratings: Mapping[Dimension, Rating] | None = None) -> Reading:
    """The reading that an answer gives.

    Args:
        answer: checked.
        ratings: distributions, for the dimensions where probabilities are known; for all others
            the word that was said has probability 1.

    Example:
        >>> said = Answer("a blue sky", dict.fromkeys(DIMENSIONS, "fair"))
        >>> reading_of(said).values["noise"]
        3.0
    """
    known = ratings or {}
    return Reading(
        status="ok",
        description=answer.description,
        ratings={d: known.get(d) or one_hot(answer.levels[d]) for d in DIMENSIONS},
    )


def one_hot(level: Level) -> Rating:
    """The rating of a level word said without probabilities."""
    p = [float(word == level) for word in LEVELS]
    return Rating((p[0], p[1], p[2], p[3], p[4]))


def _unfenced(text: str) -> str:
    stripped = text.strip()
    opening, line_break, rest = stripped.partition("\n")
    if line_break and opening.rstrip().lower() in ("```", "```json") and rest.endswith("```"):
        return rest.removesuffix("```")
    return text


def _json_object(text: str) -> dict[str, Any]:
    if not text.strip():
        raise AnswerError("it is empty")
    try:
        data = json.loads(text, object_pairs_hook=_without_duplicates)
    except RecursionError:
        raise AnswerError("it is nested too deeply") from None
    except json.JSONDecodeError:
        raise AnswerError(f"it is not one JSON object but begins with {_shown(text)}") from None
    except ValueError as error:  # a duplicate, or a number of too many digits
        raise AnswerError(f"it is no sound JSON ({error})") from None
    if not isinstance(data, dict):
        raise AnswerError(f"it is not a JSON object but {_shown(data)}")
    return data


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key occurs twice")
    return data


def _description(value: object) -> str:
    if not isinstance(value, str):
        raise AnswerError(f"{CONTENT_KEY!r} is not a string but {_shown(value)}")
    text = value.strip()
    if not text or len(text) > LONGEST_DESCRIPTION or not text.isprintable():
        raise AnswerError(
            f"{CONTENT_KEY!r} is not one line of 1 to {LONGEST_DESCRIPTION} printable characters "
            f"but {_shown(value)}"
        )
    return text


def _level(key: str, value: object) -> Level:
    if not isinstance(value, str) or value not in get_args(Level):
        raise AnswerError(f"{key!r} is not one of {', '.join(LEVELS)} but {_shown(value)}")
    return cast(Level, value)


def _shown(value: object, longest: int = 24) -> str:
    """The start of a value as text that can neither fill nor upset a report or a terminal."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    text = ascii(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"
