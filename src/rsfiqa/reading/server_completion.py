"""What a chat completion says: its text and, where they are given, its tokens' probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rsfiqa.reading.answers import AnswerError
from rsfiqa.reading.server_logprobs import Token


@dataclass(frozen=True)
class Completion:
    """A model's answer.

    Attributes:
        text: what it wrote.
        tokens: how it wrote it; empty when the server does not say.
        cut: whether it was stopped at the limit of tokens.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    cut: bool = False


def completion_in(data: Any) -> Completion:
    """Find the answer in a server's JSON of any shape.

    Raises:
        AnswerError: there is none; the message is a clause.
    """
    choice = _get(data, "choices", 0)
    message = _get(choice, "message")
    text = _get(message, "content")
    if isinstance(refusal := _get(message, "refusal"), str) and refusal:
        raise AnswerError("the model declined to answer")
    if not isinstance(text, str):
        raise AnswerError("it is no chat completion with a text")
    return Completion(
        text,
        tokens=tuple(_tokens(_get(choice, "logprobs", "content"))),
        cut=_get(choice, "finish_reason") == "length",
    )


def _tokens(entries: Any) -> Iterator[Token]:
    """The tokens in order; none at all when one of them is unsound, since their places would shift."""
    if not isinstance(entries, list):
        return
    read = [_token(entry) for entry in entries]
    if all(token is not None for token in read):
        yield from (token for token in read if token is not None)


def _token(entry: Any) -> Token | None:
    itself = _alternative(entry)
    if itself is None:
        return None
    listed = _get(entry, "top_logprobs")
    # The token that was written need not be among the most likely ones listed.
    alternatives = [itself, *map(_alternative, listed if isinstance(listed, list) else [])]
    return Token(itself[0], dict(found for found in alternatives if found))


def _alternative(entry: Any) -> tuple[bytes, float] | None:
    text, raw, logprob = (_get(entry, name) for name in ("token", "bytes", "logprob"))
    if not isinstance(text, str) or not isinstance(logprob, (int, float)) or math.isnan(logprob):
        return None
    return _bytes(text, raw), min(0.0, float(logprob))


def _bytes(text: str, raw: Any) -> bytes:
    try:
        return bytes(raw) if isinstance(raw, list) else text.encode("utf-8", "surrogatepass")
    except (TypeError, ValueError):
        return text.encode("utf-8", "surrogatepass")


def _get(data: Any, *path: str | int) -> Any:
    """The value at a path into JSON, or None."""
    for step in path:
        if isinstance(step, int):
            data = data[step] if isinstance(data, list) and len(data) > step else None
        else:
            data = data.get(step) if isinstance(data, dict) else None
    return data
