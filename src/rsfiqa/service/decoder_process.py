"""A process that decodes pictures and does nothing else: `python -m rsfiqa.service.decoder_process`.

What a decoder does with a crafted file is anybody's guess, so that it works apart from the model,
with limits on memory, processor time and files. One line of JSON and the file's bytes come in on
standard input; one line of JSON and, for a picture, its pixels go out on standard output. It ends
when standard input does. Nothing is pickled, so that the other side need not trust it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any, BinaryIO

from rsfiqa.errors import ImageError
from rsfiqa.images import load_image

_OPEN_FILES = 32


def main() -> None:
    """Answer requests until there are no more."""
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    with os.fdopen(os.dup(1), "wb") as replies:
        # Whatever a library prints must not get between the replies.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _limit_resources(memory)
        while line := sys.stdin.buffer.readline():
            request: dict[str, Any] = json.loads(line)
            data = sys.stdin.buffer.read(request["bytes"])
            _limit_processor_time(seconds)
            _reply(replies, data, request)
            del data


def _reply(replies: BinaryIO, data: bytes, request: dict[str, Any]) -> None:
    try:
        loaded = load_image(data, name=request["name"], max_pixels=request["max_pixels"])
    except (ImageError, MemoryError) as error:
        reason = str(error) or f"{request['name']} does not fit in memory; make it smaller."
        _write_line(replies, {"error": reason})
        return
    header = {"height": loaded.height, "width": loaded.width, "notes": loaded.notes}
    _write_line(replies, header)
    replies.write(loaded.pixels.data)
    replies.flush()


def _write_line(replies: BinaryIO, header: dict[str, Any]) -> None:
    replies.write(json.dumps(header).encode() + b"\n")
    replies.flush()


def _limit_resources(memory: int) -> None:
    """Limits that the kernel keeps, where it has them (memory: Linux alone)."""
    try:
        import resource
    except ImportError:  # Windows; the parent's clock remains
        return
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
    }
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
            in_use = int(statm.read().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = in_use + memory
    for what, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # the system's own limit is lower
            resource.setrlimit(what, (most, most))


def _limit_processor_time(seconds: float) -> None:
    """So many more seconds of work until the kernel ends this process.

    The parent ends it sooner; this is for a parent that was killed meanwhile.
    """
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + 2 * seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()
