"""An OpenAI-compatible server inside the test's process that fails in whatever way it is told."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from PIL import Image


@dataclass(frozen=True)
class Asked:
    """One request: its place among all of them, headers with names in lower case, JSON."""

    number: int
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def question(self) -> str:
        return str(self._content[1]["text"])

    @property
    def picture(self) -> Image.Image:
        kind, _, data = self._content[0]["image_url"]["url"].partition(",")
        if kind != "data:image/png;base64":
            raise ValueError(f"not a PNG in base64: {kind}")
        return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))

    @property
    def _content(self) -> Any:
        return self.body["messages"][0]["content"]


@dataclass(frozen=True)
class Reply:
    """What the server does with a request.

    Attributes:
        body: JSON data, or bytes sent as they are.
        status, headers: of the answer.
        delay: seconds before it answers.
        drip: seconds between single bytes of the body.
        cut: closes the connection `before` answering, or `within` the body.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    cut: Literal["before", "within"] | None = None


Behaviour = Callable[[Asked], Reply]

PATIENT = 60.0
"""Seconds for what takes none where all is well, on a machine that has other work to do."""


def completion(text: Any, *, finish: str = "stop", logprobs: Any = None) -> dict[str, Any]:
    """A chat completion as OpenAI words it."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


def token_logprobs(
    tokens: Sequence[str], alternatives: Mapping[int, Mapping[str, float]], *, as_bytes: bool = True
) -> dict[str, Any]:
    """Log-probabilities as OpenAI words them.

    Args:
        tokens: of the answer, in order.
        alternatives: place of a token → token → log-probability.
        as_bytes: whether each token comes with its bytes.
    """

    def entry(token: str, logprob: float) -> dict[str, Any]:
        raw = list(token.encode()) if as_bytes else None
        return {"token": token, "bytes": raw, "logprob": logprob}

    content = []
    for place, token in enumerate(tokens):
        others = alternatives.get(place, {token: -0.01})
        listed = [entry(other, logprob) for other, logprob in others.items()]
        content.append(entry(token, others.get(token, -9.0)) | {"top_logprobs": listed})
    return {"content": content}


class FailingServer:
    """Serves on 127.0.0.1; `behaviour` decides about every chat request.

    Attributes:
        url: without `/v1`.
        behaviour: may be replaced at any time.
        models: what `/v1/models` lists, or a reply.
        asked: the chat requests so far.
        asked_for_models: how often the models were asked for.
        most_at_once: the most chat requests in work at the same time.
    """

    def __init__(self, behaviour: Behaviour, models: Sequence[str] | Reply = ("tiny",)) -> None:
        self.behaviour = behaviour
        self.models = models
        self.asked: list[Asked] = []
        self.asked_for_models = 0
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.host = f"127.0.0.1:{self._http.server_port}"
        self.url = f"http://{self.host}"

    @contextmanager
    def running(self) -> Iterator[FailingServer]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are written apart, and would wait 40 ms for each other.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                with server._lock:
                    server.asked_for_models += 1
                if isinstance(server.models, Reply):
                    server._send(self, server.models)
                else:
                    data = [{"id": name, "object": "model"} for name in server.models]
                    server._send(self, Reply({"object": "list", "data": data}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    asked = Asked(len(server.asked), self.path, headers, body)
                    server.asked.append(asked)
                    server._now += 1
                    server.most_at_once = max(server.most_at_once, server._now)
                reply = server.behaviour(asked)
                server._stopped.wait(reply.delay)
                with server._lock:
                    server._now -= 1
                server._send(self, reply)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        return Handler

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.cut == "before":
            handler.close_connection = True
            return
        try:
            handler.send_response(reply.status)
            handler.send_header("Content-Length", str(len(body)))
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            if reply.cut == "within":
                handler.wfile.write(body[: len(body) // 2])
                handler.close_connection = True
            elif reply.drip:
                for byte in body:
                    handler.wfile.write(bytes([byte]))
                    if self._stopped.wait(reply.drip):
                        return
            else:
                handler.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True


@contextmanager
def failing_server(
    behaviour: Behaviour, models: Sequence[str] | Reply = ("tiny",)
) -> Iterator[FailingServer]:
    """A server that runs inside the `with` block."""
    with FailingServer(behaviour, models).running() as server:
        yield server


def in_turn(*replies: Reply) -> Behaviour:
    """The replies one after the other, the last one for ever."""
    return lambda asked: replies[min(asked.number, len(replies) - 1)]


def always(reply: Reply) -> Behaviour:
    return lambda asked: reply


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the server's threads bring about."""
    end = time.monotonic() + PATIENT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not come about")
        time.sleep(0.005)


def seconds(action: Callable[[], Any]) -> tuple[Any, float]:
    """What an action gives, and how long it took."""
    start = time.monotonic()
    return action(), time.monotonic() - start
