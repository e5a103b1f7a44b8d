"""What is asked of a server beside the messages, and how it is asked for less when that is refused.

OpenAI-compatible servers differ in what they know. We ask for everything that makes a reading
better; a server that refuses the request is asked for less, one thing at a time, and what it
accepted in the end holds for the rest of the run. Temperature 0 is never given up: a sampled
rating is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rsfiqa.reading.answers import SCHEMA

_NEXT_TOP_LOGPROBS: dict[int | None, int | None] = {20: 5, 5: None}
"""OpenAI and vLLM give 20 at most, others 5."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of a chat request that a server may refuse, all asked for at first.

    Attributes:
        top_logprobs: how many alternatives of each token to give with their probabilities.
        schema: whether to hold the answer to our JSON schema.
        seed: whether to fix the seed, for servers that are not deterministic at temperature 0.
        limit: the name of the limit on the answer's tokens.
    """

    top_logprobs: int | None = 20
    schema: bool = True
    seed: bool = True
    limit: str = "max_tokens"

    def body(self, longest_answer: int) -> dict[str, Any]:
        """The parameters as they stand in a request."""
        body: dict[str, Any] = {"temperature": 0, self.limit: longest_answer}
        if self.seed:
            body["seed"] = 0
        if self.top_logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        if self.schema:
            named = {"name": "reading", "strict": True, "schema": dict(SCHEMA)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def humbler(self, refusal: str) -> Parameters | None:
        """The parameters to try after a refusal, or None when nothing is left to give up.

        What the refusal names is given up first; if it names nothing, the dearest to servers.

        Example:
            >>> Parameters().humbler("Unsupported parameter: response_format").schema
            False
        """
        wishes, said = self._wishes(), refusal.lower()
        named = [wish for words, wish in wishes if any(word in said for word in words)]
        return next(iter(named or [wish for _, wish in wishes]), None)

    def _wishes(self) -> list[tuple[tuple[str, ...], Parameters]]:
        """Words by which servers name a wish, and the parameters without it."""
        found: list[tuple[tuple[str, ...], Parameters]] = []
        if self.top_logprobs is not None:
            fewer = replace(self, top_logprobs=_NEXT_TOP_LOGPROBS[self.top_logprobs])
            found.append((("logprobs",), fewer))
        if self.schema:
            named = ("response_format", "json_schema", "schema", "grammar", "guided")
            found.append((named, replace(self, schema=False)))
        if self.seed:
            found.append((("seed",), replace(self, seed=False)))
        if self.limit == "max_tokens":
            found.append((("max_tokens",), replace(self, limit="max_completion_tokens")))
        return found
