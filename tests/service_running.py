"""A server on a real socket, in a thread, for tests that a client in the process cannot make."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import uvicorn

from rsfiqa.service.app import create_app
from rsfiqa.service.server import Server, open_socket
from service_world import PATIENT, FakeModel, encoded, limits, until

BOUNDARY = "-the-boundary-"


@dataclass
class Running:
    """A server on a real socket, in a thread."""

    server: Server
    port: int
    pool: ThreadPoolExecutor

    @property
    def engine(self) -> Any:
        return self.server._app.state.engine

    def now_with(self, **changes: Any) -> None:
        """Have further requests meet other limits, so that a test can begin and end without haste."""
        self.engine.settings = replace(self.engine.settings, **changes)

    def post(self, name: str = "a.png", *more: str, path: str = "/v1/assess") -> Any:
        """Status, headers and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENT)
        try:
            self.send(connection, name, *more, path=path)
            answer = connection.getresponse()
            return answer.status, answer.headers, json.loads(answer.read())
        finally:
            connection.close()

    def send(
        self, connection: http.client.HTTPConnection, *names: str, path: str = "/v1/assess"
    ) -> None:
        field = "image" if path == "/v1/assess" else "images"
        body = b"".join(
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; name={field}; filename={name}\r\n\r\n"
            "".encode()
            + encoded()
            + b"\r\n"
            for name in names
        )
        body += f"--{BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", path, body, kind)

    def later(self, *names: str, path: str = "/v1/assess") -> Future[Any]:
        return self.pool.submit(self.post, *names, path=path)

    def accepted(self, pictures: int) -> None:
        until(lambda: self.engine.admission.pictures == pictures)


@contextmanager
def running(model: FakeModel, **settings: Any) -> Iterator[Running]:
    app = create_app({False: model}, limits(**settings))
    listening = open_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    up = threading.Event()
    server = Server(uvicorn.Config(app, log_level="critical", lifespan="on"), app, up.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    assert up.wait(PATIENT)
    with ThreadPoolExecutor(32) as pool:
        try:
            yield Running(server, port, pool)
        finally:
            model.gate.set()
            server.should_exit = True
            thread.join(PATIENT)
            assert not thread.is_alive()
