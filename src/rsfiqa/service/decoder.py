"""One decoder process, seen from the server: bytes in, pixels out, within a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock, Timer
from typing import IO

import numpy as np

from rsfiqa.errors import ImageError, RsfiqaError
from rsfiqa.images import LoadedImage
from rsfiqa.service.settings import API_KEY_VARIABLE, ServiceSettings

_LONGEST_LINE = 65_536

PICTURES_A_PROCESS = 500
"""After so many a decoder is replaced, so that what its libraries leak does not add up."""


class DecoderError(RsfiqaError, RuntimeError):
    """The decoder ended or gave no sense, whatever the reason."""


@dataclass(frozen=True)
class Header:
    """What a decoder says of a picture whose pixels it holds."""

    height: int
    width: int
    notes: tuple[str, ...]

    @property
    def pixels(self) -> int:
        return self.height * self.width


class Decoder:
    """A child process, started when first needed. Methods block, and are for threads.

    `begin` has a picture decoded and says how large it is; `fetch` brings its pixels over, which
    wait in the child until then. A decoder that raised `DecoderError` is of no more use.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._late = False
        self._pictures = 0
        self._working = Lock()

    @property
    def broken(self) -> bool:
        """Whether it was ended."""
        return self._killed

    @property
    def worn(self) -> bool:
        """Whether it has decoded enough and should be replaced."""
        return self._pictures >= PICTURES_A_PROCESS

    def begin(self, data: bytes, name: str) -> Header:
        """Decode a file.

        Raises:
            ImageError: it is no picture or over the limits, or its decoding broke them.
            DecoderError: the decoder cannot be started or ended unasked.
        """
        self._pictures += 1
        request = {"bytes": len(data), "name": name, "max_pixels": self._settings.max_pixels}
        with self._working, self._timed():
            try:
                process = self._started()
                _pipe(process.stdin).write(json.dumps(request).encode() + b"\n")
                _pipe(process.stdin).write(data)
                _pipe(process.stdin).flush()
                line = _pipe(process.stdout).readline(_LONGEST_LINE)
            except (OSError, ValueError):  # ValueError: closed meanwhile
                line = b""
            except DecoderError:
                if not self._late:
                    raise
                line = b""  # its time was over before it had started
        if self._late:
            raise ImageError(
                f"{name} is not decoded within {self._settings.decode_within:g} seconds; make it "
                "smaller or save it again."
            )
        if not line:
            raise DecoderError(f"the decoder ended while it worked on {name}.")
        return self._header(line)

    def fetch(self, header: Header, name: str, data: bytes) -> LoadedImage:
        """The pixels of the picture that was begun last.

        Raises:
            DecoderError: they do not come.
        """
        pixels = np.empty((header.height, header.width, 3), np.uint8)
        view = pixels.data.cast("B")
        with self._working, self._timed():
            try:
                stdout = _pipe(self._started().stdout)
                while view and (count := stdout.readinto(view)):  # type: ignore[attr-defined]
                    view = view[count:]
            except (OSError, ValueError) as error:
                raise DecoderError(f"the decoder gave no pixels of {name}.") from error
        if view:
            raise DecoderError(f"the decoder ended before it gave all pixels of {name}.")
        pixels.flags.writeable = False
        return LoadedImage(pixels, name, hashlib.sha256(data).hexdigest(), header.notes)

    def kill(self) -> None:
        """End it now, whatever it does; may be called from any thread."""
        self._killed = True
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def close(self) -> None:
        """End it and free its pipes, once no other thread works with it."""
        self.kill()
        with self._working:
            process = self._process
            if process is not None:
                for pipe in (process.stdin, process.stdout):
                    with contextlib.suppress(OSError):
                        _pipe(pipe).close()
                process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._killed:
            raise DecoderError("the decoder was ended.")
        if self._process is None:
            settings = self._settings
            environment = {k: v for k, v in os.environ.items() if k != API_KEY_VARIABLE}
            # Threads that it has no use for would reserve memory.
            environment |= {
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                "MALLOC_ARENA_MAX": "2",
            }
            arguments = [str(settings.decoder_bytes), str(settings.decode_within)]
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "rsfiqa.service.decoder_process", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=None if os.environ.get("RSFIQA_DEBUG") else subprocess.DEVNULL,
                    env=environment,
                    # Ctrl+C in a terminal is for the server, which ends its decoders itself.
                    start_new_session=True,
                )
            except OSError as error:
                raise DecoderError(f"no decoder can be started: {error.strerror}.") from error
            self._end_if_killed()
        return self._process

    def _end_if_killed(self) -> None:
        """For a call of `kill` that came while the process was started."""
        if self._killed:
            self.kill()

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        def end() -> None:
            self._late = True
            self.kill()

        timer = Timer(self._settings.decode_within, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _header(self, line: bytes) -> Header:
        """What the decoder says, believed only as far as it is possible."""
        try:
            reply = json.loads(line)
            if "error" in reply:
                raise ImageError(str(reply["error"]))
            header = Header(
                int(reply["height"]), int(reply["width"]), tuple(map(str, reply["notes"]))
            )
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, ImageError):
                raise
            raise DecoderError("the decoder answered without sense.") from error
        if not (header.height > 0 < header.width and header.pixels <= self._settings.max_pixels):
            raise DecoderError("the decoder answered with an impossible size.")
        return header


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise DecoderError("the decoder has no pipe.")
    return pipe
