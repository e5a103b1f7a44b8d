"""Requests that are not answered as asked: a status and one sentence each."""

from __future__ import annotations

from collections.abc import Mapping

from rsfiqa.errors import RsfiqaError


class Refusal(RsfiqaError):  # noqa: N818 - most are no errors of the server's
    """A request that is refused.

    Attributes:
        status: of HTTP.
        headers: to send beside the sentence, such as `Retry-After`.
    """

    def __init__(
        self, status: int, sentence: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})


def retry_later(status: int, sentence: str, seconds: float) -> Refusal:
    """A refusal that tells when it is worth coming back.

    Example:
        >>> retry_later(429, "busy.", 2.2).headers
        {'Retry-After': '3'}
    """
    whole = max(1, -int(-seconds // 1))
    return Refusal(status, sentence, headers={"Retry-After": str(whole)})


class ClientGone(Exception):  # noqa: N818 - nobody made an error
    """The client left before it was answered."""
