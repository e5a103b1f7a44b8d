"""Clients for the load benchmark: they send, wait, compare, and some leave early."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 1e-3
"""Scores may differ by the last digits of a float, as they do between runs with other threads."""

_BOUNDARY = "rsfiqa-load-benchmark"
_LONGEST_PAUSE = 2.0
_LEAVES_ONE_IN = 40
_TIMEOUT = 300.0


@dataclass(frozen=True)
class Sample:
    """A picture's file and what the command line says of it.

    Attributes:
        name: of the file.
        data: its bytes.
        expected: the assessment as JSON data; None for a file that is refused.
    """

    name: str
    data: bytes = field(repr=False)
    expected: Mapping[str, Any] | None = field(repr=False)


@dataclass
class Tally:
    """What became of the requests of all clients.

    Attributes:
        statuses: how often each status came.
        left: requests whose client left on purpose.
        wrong: answers that are not the command line's.
        broken: requests without an answer, by the kind of error.
        seconds: of the requests that were assessed.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    left: int = 0
    wrong: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def improper(self) -> int:
        """Requests that were neither answered nor refused as they should be."""
        faults = sum(n for status, n in self.statuses.items() if status not in (200, 422, 429))
        return faults + self.wrong + sum(self.broken.values())


class Clients:
    """So many clients that send one request after the other, until they are told to stop.

    Args:
        port: of the server, on this machine.
        samples: what they send, at random.
        count: how many.
    """

    def __init__(self, port: int, samples: Sequence[Sample], count: int) -> None:
        self.tally = Tally()
        self._port = port
        self._samples = samples
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(i),), daemon=True)  # noqa: S311
            for i in range(count)
        ]

    def start(self) -> None:
        """Begin sending."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every client finish the request it is at."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(_TIMEOUT)

    def _run(self, rng: random.Random) -> None:
        while not self._stopped.is_set():
            sample = rng.choice(self._samples)
            began = time.perf_counter()
            try:
                if rng.randrange(_LEAVES_ONE_IN) == 0:
                    self._send_and_leave(sample, rng)
                    continue
                status, pause, answer = post(self._port, sample)
            except (OSError, http.client.HTTPException, ValueError) as error:
                with self.tally.lock:
                    self.tally.broken[type(error).__name__] += 1
                self._stopped.wait(0.2)
                continue
            took = time.perf_counter() - began
            with self.tally.lock:
                self.tally.statuses[status] += 1
                if status == 200:
                    self.tally.seconds.append(took)
                self.tally.wrong += not is_proper(status, answer, sample)
            if status == 429:
                self._stopped.wait(min(pause, _LONGEST_PAUSE) * rng.uniform(0.5, 1))

    def _send_and_leave(self, sample: Sample, rng: random.Random) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            _send(connection, sample)
            self._stopped.wait(rng.uniform(0, 0.5))
        finally:
            connection.close()
        with self.tally.lock:
            self.tally.left += 1


def post(port: int, sample: Sample) -> tuple[int, float, Any]:
    """Status, the seconds to wait before coming back, and the answer of one request.

    Raises:
        OSError, http.client.HTTPException, ValueError: there is no proper answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        _send(connection, sample)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        return answer.status, float(answer.headers.get("Retry-After", 0)), body
    finally:
        connection.close()


def is_proper(status: int, answer: Any, sample: Sample) -> bool:
    """Whether an answer is what it should be: the command line's, or a sentence."""
    if status == 200:
        return sample.expected is not None and same(answer, sample.expected)
    if status == 422 and sample.expected is not None:
        return False
    return isinstance(answer, dict) and isinstance(answer.get("error"), str)


def same(one: Any, other: Any) -> bool:
    """Whether two pieces of JSON say the same, the picture's name aside and floats up to `TOLERANCE`.

    Example:
        >>> same({"image": "a", "score": 50.00001}, {"image": "b", "score": 50.0})
        True
        >>> same([1, None], [1, 0.0])
        False
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one if key != "image"
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        return numbers and abs(one - other) <= TOLERANCE
    return bool(one == other)


def _send(connection: http.client.HTTPConnection, sample: Sample) -> None:
    head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    body = (
        f'{head}"masks"\r\n\r\nfalse\r\n{head}"image"; filename="{sample.name}"\r\n\r\n'.encode()
        + sample.data
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )
    kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    connection.request("POST", "/v1/assess", body, kind)
