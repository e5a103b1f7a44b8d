"""Requests to an OpenAI-compatible server, with deadlines, retries and failures in one sentence."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from rsfiqa.errors import MissingExtraError, RsfiqaError
from rsfiqa.reading.server_address import SERVER_KEY, ServerAddress, belongs_to_openai

T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Seconds: a server that asks us to come back later than that has refused."""

_LONGEST_BACKOFF = 8.0
_LONGEST_CONNECT = 10.0
_LARGEST_BODY = 32 * 2**20
"""In bytes; an answer with 20 alternatives a token has about 2 KiB a token."""
_LONGEST_REASON = 200

_BLOT = "***"
_SHORTEST_SECRET = 12

_REFUSED = (400, 422, 501)
"""Statuses of a request with parameters that a server does not know."""
_PASSING = (408, 409, 425, 429)
_KNOWN_STATUSES = {
    401: f"the server refused the key (401); set {SERVER_KEY} to one that it accepts",
    403: f"the server forbids the request (403); set {SERVER_KEY} to a key that may make it",
    404: "the server knows no such address or model (404)",
    413: "the server takes no picture of this size (413)",
}


class ServerError(RsfiqaError, RuntimeError):
    """A request that got no usable answer.

    Attributes:
        answered: whether the server answered anything at all.
        refused: whether it did not like the request's parameters.
        passing: whether the same request may succeed later.
        wait: seconds that the server wants us to wait before that, where it says so.
    """

    def __init__(
        self,
        reason: str,
        *,
        answered: bool = True,
        refused: bool = False,
        passing: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.answered = answered
        self.refused = refused
        self.passing = passing
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes:
        timeout: seconds for one attempt, from its start to the end of the answer.
        retries: further attempts after failures that may pass.
        backoff: seconds before the first of them; twice as long before each next one.
    """

    timeout: float = 60.0
    retries: int = 3
    backoff: float = 0.5


class Connection:
    """A server and the key that it is shown.

    Args:
        address: of the server.
        key: shown to the server and to nobody else: it is in no name, message or repr.
        patience: how long to wait.

    Raises:
        MissingExtraError: openai is not installed.
    """

    def __init__(self, address: ServerAddress, key: str | None, patience: Patience) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("Reading with a server", "server") from error
        self.address = address
        self.patience = patience
        self._key = key
        shown = key or "none"
        self._client = openai.OpenAI(
            base_url=address.base_url,
            api_key=shown,
            # Stated again, since OPENAI_CUSTOM_HEADERS would win otherwise.
            default_headers={"Authorization": f"Bearer {shown}"},
            # Our own retries know of the circuit breaker, and of connections cut in mid-answer.
            max_retries=0,
            timeout=openai.Timeout(
                patience.timeout, connect=min(patience.timeout, _LONGEST_CONNECT)
            ),
        )
        # Taken from the environment, but of no concern to a server that is not OpenAI's.
        if not belongs_to_openai(address):
            self._client.organization = None
            self._client.project = None

    def __repr__(self) -> str:
        return f"Connection({self.address.label!r})"

    def models(self, *, attempts: int) -> list[str]:
        """The names of the models that the server lists.

        Raises:
            ServerError: it gives no such list.
        """
        data = self._with_retries(
            lambda: self._json(self._client.models.with_streaming_response.list()), attempts
        )
        entries = data.get("data") if isinstance(data, dict) else None
        if not isinstance(entries, list):
            raise ServerError("the server's list of models is none")
        names = [entry.get("id") for entry in entries if isinstance(entry, dict)]
        return [name for name in names if isinstance(name, str) and name]

    def chat(
        self, model: str, messages: list[dict[str, Any]], body: Mapping[str, Any], *, attempts: int
    ) -> Any:
        """The server's answer to a chat request, as the JSON it sent, of any shape.

        Raises:
            ServerError: there is none.
        """
        create: Any = self._client.chat.completions.with_streaming_response.create
        return self._with_retries(
            lambda: self._json(create(model=model, messages=messages, extra_body=dict(body))),
            attempts,
        )

    def without_key(self, text: str) -> str:
        """A text in which the key is blotted out: servers repeat keys in their errors.

        It must be the whole text: of one that was cut, the key's beginning may be left.
        """
        return text.replace(self._key, _BLOT) if self._key else text

    def _with_retries(self, request: Callable[[], T], attempts: int) -> T:
        for attempt in range(1, attempts):
            try:
                return request()
            except ServerError as failure:  # noqa: PERF203
                if not failure.passing:
                    raise
                time.sleep(self._pause(failure, attempt))
        return request()

    def _pause(self, failure: ServerError, attempt: int) -> float:
        if failure.wait is not None:
            return failure.wait
        pause = min(self.patience.backoff * 2.0 ** (attempt - 1), _LONGEST_BACKOFF)
        # Spread out, so that requests refused together do not come back together.
        return pause * random.uniform(0.75, 1.0)  # noqa: S311

    def _json(self, pending: AbstractContextManager[Any]) -> Any:
        deadline = time.monotonic() + self.patience.timeout
        with self._failures(), pending as response:
            body = self._body(response.iter_bytes(), deadline)
        # A server that answers with what it was sent is not to bring the key into any result. Words
        # that people put where no key is needed are no secret, and may be words of an answer.
        if self._key and len(self._key) >= _SHORTEST_SECRET:
            body = body.replace(self._key.encode("ascii"), _BLOT.encode("ascii"))
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            start = body[:24].decode("utf-8", "replace")
            raise ServerError(f"the server answered no JSON but {start!a}") from None

    def _body(self, chunks: Iterator[bytes], deadline: float) -> bytes:
        """The whole answer; a client's own timeout is for each chunk, and drops can go on forever."""
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if time.monotonic() > deadline:
                raise self._too_slow()
            if len(body) > _LARGEST_BODY:
                raise ServerError(f"the server's answer has more than {_LARGEST_BODY} bytes")
        return bytes(body)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Whatever goes wrong with a request, as a `ServerError`."""
        import openai

        try:
            yield
        except ServerError:
            raise
        except openai.APITimeoutError:
            raise self._too_slow() from None
        except openai.APIStatusError as error:
            raise self._of_status(error) from None
        except openai.APIConnectionError as error:
            cause = self._clause(str(error.__cause__ or error))
            raise ServerError(
                f"the connection to {self.address.label} failed ({cause})",
                answered=False,
                passing=True,
            ) from None
        # The answer's body comes through the HTTP client, whose errors are its own.
        except Exception as error:
            if "Timeout" in type(error).__name__:
                raise self._too_slow() from None
            cause = self._clause(str(error) or type(error).__name__)
            raise ServerError(
                f"the answer of {self.address.label} broke off ({cause})",
                answered=False,
                passing=True,
            ) from None

    def _too_slow(self) -> ServerError:
        return ServerError(
            f"{self.address.label} gave no answer within {self.patience.timeout:g} s",
            answered=False,
            passing=True,
        )

    def _of_status(self, error: Any) -> ServerError:
        status = int(error.status_code)
        said = self._clause(_message_in(error.body) or str(error))
        reason = _KNOWN_STATUSES.get(status, f"the server answered with status {status}")
        wait = _retry_after(error.response.headers)
        if wait is not None and wait > LONGEST_WAIT:
            return ServerError(f"{reason} and wants us to come back in {wait:.0f} s: {said}")
        refused = status in _REFUSED
        passing = not refused and (status in _PASSING or status >= 500)
        return ServerError(f"{reason}: {said}", refused=refused, passing=passing, wait=wait)

    def _clause(self, text: str) -> str:
        """A foreign text without the key, on one line, cut to a sentence's length."""
        line = " ".join(self.without_key(text).split())
        line = "".join(c if c.isprintable() else "?" for c in line).rstrip(".")
        return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


def _message_in(body: object) -> str | None:
    """The words of an error's body; servers wrap them in several ways."""
    if isinstance(body, dict):
        for name in ("message", "detail", "error"):
            if name in body:
                return _message_in(body[name]) or json.dumps(body[name])
        return None
    return body if isinstance(body, str) and body else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the header `Retry-After` asks for (RFC 9110: a number, or a date)."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
        then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
        seconds = (then - datetime.now(timezone.utc)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
