"""What stands before every route: headers, the key, and pages of other sites kept out."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Collection, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rsfiqa.service.answers import to_json
from rsfiqa.service.faults import trail
from rsfiqa.service.metrics import Metrics
from rsfiqa.service.refusals import Refusal

_log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
"""Scripts and styles from files of this server alone, nothing inline, no other host."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer."""


def route_path(scope: Scope) -> str:
    """The path as routes see it: without the prefix under which the application is mounted.

    Example:
        >>> route_path({"path": "/quality/v1/models", "root_path": "/quality"})
        '/v1/models'
    """
    path, prefix = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def error_response(refusal: Refusal) -> Response:
    """`{"error": "one sentence"}` with its status."""
    return Response(
        to_json({"error": str(refusal)}),
        status_code=refusal.status,
        headers=refusal.headers,
        media_type="application/json",
    )


_REFUSED = 400
_NOT_IN_TIME = 408
_DISCARDED_BYTES = 64_000_000
_DISCARDED_SECONDS = 5.0


class _Body:
    """A request's body, of which is known whether it was read to its end.

    A client that is still sending when the connection closes may never see the answer, so that
    what is left of a refused body is read and thrown away, within limits.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        waits = headers.get("expect", "").lower() == "100-continue"  # and sends nothing unasked
        has_body = "content-length" in headers or "transfer-encoding" in headers
        self._receive = receive
        self._ended = waits or not has_body

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._ended = True
        return message

    async def discard(self) -> None:
        async def read() -> None:
            left = _DISCARDED_BYTES
            while not self._ended and left > 0:
                left -= len((await self.receive()).get("body", b""))

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(read(), _DISCARDED_SECONDS)


class Outermost:
    """Headers and counting for every answer, and an answer even where the code has a fault.

    Args:
        app: what is inside.
        paths: those that are counted by name; all others are one.
    """

    def __init__(self, app: ASGIApp, *, paths: Collection[str]) -> None:
        self._app = app
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        body = _Body(scope, receive)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= _REFUSED and status != _NOT_IN_TIME:
                    await body.discard()
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, body.receive, send_with_headers)
        except Exception as error:
            # Its words may tell of the picture, and are not logged.
            _log.error("unexpected %s at %s", type(error).__name__, trail(error))
            if not status:
                fault = Refusal(500, "the server has a fault; its log says where.")
                await error_response(fault)(scope, body.receive, send_with_headers)
        finally:
            metrics: Metrics | None = getattr(scope["app"].state, "metrics", None)
            if status and metrics is not None:
                path = route_path(scope)
                counted = path if path in self._paths else "other"
                metrics.request(counted, status, time.perf_counter() - started)


class Doorkeeper:
    """Refuses requests without the key, and those that a page of another site makes.

    A browser says in `Sec-Fetch-Site` whose page asks. Without this check, any page that somebody
    visits could set the server on their own machine to work.

    Args:
        app: what is inside.
        key: what clients must show as `Authorization: Bearer KEY` or `X-API-Key: KEY`.
        guarded: prefixes of the paths that need it.
        origins: whose pages may ask.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        key: str | None,
        guarded: Sequence[str],
        origins: Sequence[str],
    ) -> None:
        self._app = app
        self._key = None if key is None else key.encode()
        self._guarded = tuple(guarded)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and route_path(scope).startswith(self._guarded):
            headers = Headers(scope=scope)
            refusal = self._refusal(headers)
            if refusal is not None:
                await error_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, headers: Headers) -> Refusal | None:
        origin = headers.get("origin", "")
        if headers.get("sec-fetch-site") == "cross-site" and not (self._origins & {origin, "*"}):
            return Refusal(403, "pages of other sites may not use this server; see --origin.")
        if self._key is None:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        shown = headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
        # Headers come as Latin-1, whatever the bytes mean. Compared in constant time: how long it
        # takes says nothing of how much was right.
        if hmac.compare_digest(shown.encode("latin-1"), self._key):
            return None
        return Refusal(
            401,
            "this server wants its key, as Authorization: Bearer KEY or X-API-Key: KEY.",
            headers={"WWW-Authenticate": "Bearer"},
        )
