"""Listening: a socket, uvicorn, and a stop that finishes what was accepted."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from rsfiqa.errors import ConfigError

_BACKLOG = 256
_KEEP_ALIVE = 10
_LAST_SECONDS = 5
"""For answers that are ready and still on their way when the server ends."""


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket, made before the model is loaded so that a taken port is known at once.

    Args:
        host: name or address.
        port: 0 for any free one.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let others take the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {reason}; choose another."
        ) from error
    return listening


def url_of(listening: socket.socket) -> str:
    """Where a socket listens, as an address for a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn, but the first signal lets it finish: new work gets 503 meanwhile.

    A second signal ends it at once.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._asked = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._asked or self._loop is None or not hasattr(self._app.state, "engine"):
            super().handle_exit(sig, frame)
            return
        self._asked = True
        self._loop.call_soon_threadsafe(self._stop_soon)

    def _stop_soon(self) -> None:
        self._stopping = asyncio.ensure_future(self._stop())

    async def _stop(self) -> None:
        try:
            await self._app.state.engine.stop()
        finally:
            self.should_exit = True


def serve_app(
    app: FastAPI, listening: socket.socket, *, ready: Callable[[], None] = lambda: None
) -> bool:
    """Serve until a signal says to stop.

    Args:
        app: from `rsfiqa.service.app.create_app`.
        listening: from `open_socket`.
        ready: called once clients may come.

    Returns:
        Whether it started, and so ended because it was asked to.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # who asks for what is nobody's business
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_LAST_SECONDS,
        backlog=_BACKLOG,
        lifespan="on",
        ws="none",
    )
    server = Server(config, app, ready)
    server.run(sockets=[listening])
    return server.started
