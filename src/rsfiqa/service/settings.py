"""How a server is set up: limits, queue, batches, access."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from rsfiqa.errors import ConfigError

API_KEY_VARIABLE = "RSFIQA_API_KEY"
"""The environment variable that holds the key clients must show; without it anybody may ask."""

_ORIGIN_SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class ServiceSettings:
    """What a server accepts and how it works.

    Attributes:
        max_bytes: the most bytes of one picture's file.
        max_pixels: the most pixels of one picture, read from its header before it is decoded.
        max_batch: the most pictures of one batch request.
        max_batch_bytes: the most bytes of a whole batch request.
        queue: the most pictures that are accepted and not answered yet; further ones are refused.
        queue_bytes: the most bytes of requests that are held for them.
        batch_size: how many pictures go through the model together, at most.
        answer_within: seconds after which a request that is not answered gets an error.
        upload_within: seconds in which a request's body has to arrive.
        drain_within: seconds that a stopping server gives itself to finish what it accepted.
        decoders: processes that decode pictures.
        decode_within: seconds after which the decoding of one picture is ended.
        decode_memory: bytes that a decoder may reserve beyond what it starts with; None is enough
            for `max_pixels` in any format that is read.
        api_key: what clients must show; None for no key.
        origins: web origins whose pages may call the API from a browser, such as
            `https://example.org`; `*` for all.

    Raises:
        ConfigError: a value is not accepted.
    """

    max_bytes: int = 25_000_000
    max_pixels: int = 64_000_000
    max_batch: int = 16
    max_batch_bytes: int = 100_000_000
    queue: int = 32
    queue_bytes: int = 256_000_000
    batch_size: int = 4
    answer_within: float = 120.0
    upload_within: float = 60.0
    drain_within: float = 60.0
    decoders: int = 2
    decode_within: float = 20.0
    decode_memory: int | None = None
    api_key: str | None = field(default=None, repr=False)
    origins: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, int | float) and not value > 0:
                raise ConfigError(f"{name} must be more than 0; got {value}.")
        if self.max_batch > self.queue:
            raise ConfigError(
                f"a batch of {self.max_batch} pictures would never fit into a queue of "
                f"{self.queue}; make the queue longer or batches smaller."
            )
        if max(self.single_body, self.batch_body) > self.queue_bytes:
            raise ConfigError(
                f"the largest request, of {max(self.single_body, self.batch_body):,} bytes, would "
                f"never fit into a queue of {self.queue_bytes:,} bytes; raise queue_bytes."
            )
        if self.api_key is not None and not self.api_key.strip():
            raise ConfigError(f"the API key in {API_KEY_VARIABLE} is blank; set or unset it.")
        if self.api_key is not None and self.api_key != self.api_key.strip():
            raise ConfigError(
                f"the API key in {API_KEY_VARIABLE} has white space around it, which no request can "
                "carry; set it to the key alone."
            )
        for origin in self.origins:
            host = origin.partition("://")[2]
            if origin != "*" and (
                not origin.startswith(_ORIGIN_SCHEMES) or not host or "/" in host
            ):
                raise ConfigError(
                    f"an origin is a scheme and a host, such as https://example.org, or *; got "
                    f"{origin!r}."
                )

    @property
    def single_body(self) -> int:
        """The most bytes of a request with one picture: base64 takes 4 for 3, and there is a rest."""
        return self.max_bytes * 4 // 3 + 65_536

    @property
    def batch_body(self) -> int:
        """The most bytes of a batch request."""
        return self.max_batch_bytes * 4 // 3 + 65_536

    @property
    def decoder_bytes(self) -> int:
        """What a decoder may reserve: 24 bytes a pixel suffice JPEG 2000 with alpha, the hungriest."""
        return self.decode_memory or 24 * self.max_pixels + 256_000_000


def api_key_from_environment() -> str | None:
    """The key in `RSFIQA_API_KEY`, or None; an empty variable is the same as none."""
    return os.environ.get(API_KEY_VARIABLE) or None
