"""Where a server is, which of its models is meant, and which key it may be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from rsfiqa.errors import ConfigError

SERVER_KEY = "RSFIQA_SERVER_KEY"
OPENAI_KEY, OPENAI_URL = "OPENAI_API_KEY", "OPENAI_BASE_URL"
_OPENAI_HOST = "api.openai.com"

_VERSIONED = re.compile(r"(^|/)v\d\w*(/|$)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXPECTED = "a server is http://HOST[:PORT][/PATH][#MODEL] or the same with https"


@dataclass(frozen=True)
class ServerAddress:
    """An OpenAI-compatible endpoint.

    Attributes:
        base_url: what `/models` and `/chat/completions` are appended to.
        label: host, port and path, for names and messages.
        model: the model's name there; None for the first that the server lists.

    Example:
        >>> ServerAddress.parse("http://localhost:8000#Qwen/Qwen2.5-VL-7B-Instruct")
        ServerAddress(base_url='http://localhost:8000/v1', label='localhost:8000', model='Qwen/Qwen2.5-VL-7B-Instruct')
    """

    base_url: str
    label: str
    model: str | None = None

    @classmethod
    def parse(cls, spec: str) -> ServerAddress:
        """Read `URL` or `URL#MODEL`; `/v1` is added to a path that names no version.

        Raises:
            ConfigError: it is no such URL, or carries a user, a password or a query. The message
                does not repeat it, since it may hold a secret.
        """
        url, _, model = spec.strip().partition("#")
        parts = _split(url)
        path = parts.path.rstrip("/")
        base = f"{parts.scheme}://{parts.netloc}{path}"
        return cls(
            base_url=base if _VERSIONED.search(path) else f"{base}/v1",
            label=parts.netloc + path.removesuffix("/v1"),
            model=model or None,
        )


def key_for(address: ServerAddress, environ: Mapping[str, str] = os.environ) -> str | None:
    """The key to show to a server, or None.

    `RSFIQA_SERVER_KEY` goes to whichever server the user names. `OPENAI_API_KEY` is often set for
    other programs, so it goes only where it belongs (see `belongs_to_openai`).

    Raises:
        ConfigError: the key holds characters that no HTTP header can carry.
    """
    if own := environ.get(SERVER_KEY, "").strip():
        return _sendable(own, SERVER_KEY)
    shared = environ.get(OPENAI_KEY, "").strip()
    if shared and belongs_to_openai(address, environ):
        return _sendable(shared, OPENAI_KEY)
    return None


def belongs_to_openai(address: ServerAddress, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether settings made for OpenAI are meant for a server.

    They are for OpenAI's own, and for the scheme, host and port that `OPENAI_BASE_URL` names.
    """
    here = _origin(address.base_url)
    if here == ("https", _OPENAI_HOST, 443):
        return True
    try:
        return _origin(environ.get(OPENAI_URL, "").strip()) == here
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"this is no URL of a server; {_EXPECTED}.") from None
    if "@" in parts.netloc:
        raise ConfigError(
            f"a server's URL carries no user, password or key; put the key into {SERVER_KEY}."
        )
    if parts.query:
        raise ConfigError(f"a server's URL has no query (?…); {_EXPECTED}.")
    proper = parts.scheme in _DEFAULT_PORTS and parts.hostname and port != 0
    if not proper or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise ConfigError(f"this is no URL of a server; {_EXPECTED}.")
    return parts


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _sendable(key: str, variable: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ConfigError(
            f"the key in {variable} holds spaces, control or non-ASCII characters, which no HTTP "
            "header can carry; set it to the key alone."
        )
    return key
