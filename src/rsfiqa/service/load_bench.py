"""A server under load, in a process of its own: proper answers, flat memory, killed and restarted."""

from __future__ import annotations

import contextlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from rsfiqa.errors import RsfiqaError
from rsfiqa.samples import sample_picture
from rsfiqa.service.load_clients import Clients, Sample, is_proper, post

GROWTH_LIMIT = 1.1
"""Memory is called flat when its median over the last quarter is at most this much more than over
the second: the first quarter fills caches."""

_ENOUGH_PICTURES = 200
"""Before so many were assessed, buffers still grow to the sizes of the pictures."""

_PICTURES = (
    ("astronaut", "JPEG", 512),
    ("chelsea", "PNG", 320),
    ("coffee", "WEBP", 480),
    ("rocket", "JPEG", 640),
    ("flower", "JPEG", 400),
)
_START_SECONDS = 180.0
_STOP_SECONDS = 90.0
_CLIENTS_KILLED = 8


class LoadError(RsfiqaError, RuntimeError):
    """The benchmark cannot be run."""


class ServerProcess:
    """`rsfiqa serve` as a child process."""

    def __init__(self, *, port: int = 0, reader: str, queue: int) -> None:
        command = [sys.executable, "-m", "rsfiqa", "serve", "--port", str(port)]
        command += ["--reader", reader, "--queue", str(queue), "--max-batch", "1"]
        began = time.perf_counter()
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        watchdog = threading.Timer(_START_SECONDS, self._process.kill)
        watchdog.start()
        self.said: list[str] = []
        url = ""
        for line in self._process.stderr or ():
            self.said.append(line.strip())
            if "serving at " in line:
                url = line.partition("serving at ")[2].partition(";")[0]
                break
        watchdog.cancel()
        if not url:
            raise LoadError(f"the server does not start: {' '.join(self.said[-3:]) or 'no word'}")
        self.port = int(urlsplit(url).port or 0)
        self.start_seconds = time.perf_counter() - began
        threading.Thread(target=self._listen, daemon=True).start()

    def rss_mb(self) -> float | None:
        """Resident memory of the server and its decoders; None where /proc does not tell."""
        total = 0.0
        for pid in (self._process.pid, *self.children()):
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
            total += float(found[0]) * 1024 / 1e6 if found else 0.0
        return total or None

    def children(self) -> list[int]:
        """The ids of its decoders; none where /proc does not tell."""
        pids: list[int] = []
        for file in Path(f"/proc/{self._process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids += map(int, file.read_text(encoding="ascii").split())
        return pids

    def stop(self) -> int | None:
        """Ask it to end; its exit status, or None if it had to be killed."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """End it without a word, as `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        """So that its log never fills the pipe."""
        self.said += [line.strip() for line in self._process.stderr or ()]


def bench_serve(
    *,
    clients: int = 64,
    seconds: float = 30.0,
    reader: str = "embedded",
    queue: int = 32,
    kill: bool = True,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Load a server and see how it bears it.

    Args:
        clients: that send at the same time, each one request after the other.
        seconds: for how long; what was sent by then is waited for.
        reader: of the server and of the command line that it is compared with.
        queue: as for `rsfiqa serve`.
        kill: also kill a server in the middle of its work and start another.
        told: told of each step before it is taken.

    Returns:
        plain data: `requests`, `seconds` of those assessed, `memory`, `killed`, and under `met`
        whether each thing was as it should be, None where the run was too short to tell.

    Raises:
        LoadError: server or command line do not run at all.
    """
    told("the command line on the same pictures")
    samples = _samples(reader)
    told("the server's start")
    server = ServerProcess(reader=reader, queue=queue)
    try:
        told(f"{clients} clients for {seconds:g} seconds")
        load = Clients(server.port, samples, clients)
        began = time.perf_counter()
        with _sampled_memory(server) as memory:
            load.start()
            time.sleep(seconds)
            load.stop()
        took = time.perf_counter() - began
        told("the server's end")
        exit_status = server.stop()
    finally:
        server.kill()
    tally = load.tally
    figures: dict[str, Any] = {
        "clients": clients,
        "reader": reader,
        "queue": queue,
        "start_seconds": round(server.start_seconds, 2),
        "took": round(took, 1),
        "requests": {
            "statuses": {str(status): n for status, n in sorted(tally.statuses.items())},
            "left": tally.left,
            "wrong": tally.wrong,
            "broken": dict(tally.broken),
        },
        "pictures_a_second": round(tally.statuses[200] / took, 2),
        "seconds": _quantiles(tally.seconds),
        "memory": _memory(memory),
        "exit_status": exit_status,
        "log": server.said[1:][-20:],
        "killed": None,
    }
    met: dict[str, bool | None] = {
        "every request answered or refused properly": tally.improper == 0,
        "some assessed": tally.statuses[200] > 0,
        "memory flat": _is_flat(figures["memory"]["growth"], tally.statuses[200]),
        "ended as asked": exit_status == 0,
    }
    if kill:
        told("a server killed in the middle, and another")
        figures["killed"] = killed = _kill_and_restart(samples, reader, queue)
        met["killed: clients got errors at once"] = killed["clients_done"]
        met["killed: decoders ended, too"] = not killed["decoders_left"]
        met["killed: the next one answers as before"] = killed["next_answers"]
    return figures | {"met": met}


def _samples(reader: str) -> list[Sample]:
    """Pictures with what `rsfiqa assess` says of them, and a damaged one."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, kind, side in _PICTURES:
            picture = Image.fromarray(sample_picture(name))
            picture.thumbnail((side, side))
            names.append(f"{name}.{kind.lower()}")
            picture.save(Path(folder) / names[-1], kind)
        paths = [str(Path(folder) / name) for name in names]
        command = [sys.executable, "-m", "rsfiqa", "assess", *paths, "--no-masks", "--quiet"]
        run = subprocess.run(
            [*command, "--reader", reader], check=False, capture_output=True, text=True
        )
        if run.returncode:
            raise LoadError(f"the command line does not assess the pictures: {run.stderr.strip()}")
        expected = [json.loads(line) for line in run.stdout.splitlines()]
        files = [Path(path).read_bytes() for path in paths]
    samples = [
        Sample(name, data, assessment)
        for name, data, assessment in zip(names, files, expected, strict=True)
    ]
    return [*samples, Sample("damaged.jpeg", files[0][:2000], None)]


def _kill_and_restart(samples: list[Sample], reader: str, queue: int) -> dict[str, Any]:
    server = ServerProcess(reader=reader, queue=queue)
    clients = Clients(server.port, samples, _CLIENTS_KILLED)
    clients.start()
    time.sleep(3)
    decoders = server.children()
    server.kill()
    began = time.perf_counter()
    clients.stop()
    stopped = time.perf_counter() - began
    time.sleep(1)
    left = [pid for pid in decoders if _runs(pid)]
    another = ServerProcess(port=server.port, reader=reader, queue=queue)
    try:
        proper = [is_proper(*_without_pause(post(another.port, one)), one) for one in samples]
        another.stop()
    finally:
        another.kill()
    return {
        "errors": dict(clients.tally.broken),
        "wrong": clients.tally.wrong,
        "clients_done": stopped < 10 and not clients.tally.wrong,
        "decoders_left": len(left),
        "restart_seconds": round(another.start_seconds, 2),
        "next_answers": all(proper),
    }


def _without_pause(answer: tuple[int, float, Any]) -> tuple[int, Any]:
    status, _, body = answer
    return status, body


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False


@contextmanager
def _sampled_memory(server: ServerProcess, every: float = 0.5) -> Iterator[list[float]]:
    found: list[float] = []
    stopped = threading.Event()

    def sample() -> None:
        while not stopped.wait(every):
            if (now := server.rss_mb()) is not None:
                found.append(now)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stopped.set()
        thread.join()


def _memory(samples: list[float]) -> dict[str, Any]:
    quarter = len(samples) // 4
    if not quarter:
        return {"most_mb": None, "growth": None}
    second = statistics.median(samples[quarter : 2 * quarter])
    last = statistics.median(samples[-quarter:])
    thin = max(1, len(samples) // 100)
    return {
        "most_mb": round(max(samples), 1),
        "second_quarter_mb": round(second, 1),
        "last_quarter_mb": round(last, 1),
        "growth": round(last / second, 3),
        "samples_mb": [round(value, 1) for value in samples[::thin]],
    }


def _is_flat(growth: float | None, assessed: int) -> bool | None:
    if growth is None or assessed < _ENOUGH_PICTURES:
        return None
    return growth <= GROWTH_LIMIT


def _quantiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    ordered = sorted(seconds)
    return {
        name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)
        for name, share in (("median", 0.5), ("p95", 0.95), ("most", 1.0))
    }
