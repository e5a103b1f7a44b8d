"""Pictures decoded in processes of their own, and no more pixels at a time than fit in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from rsfiqa.bulk import AHEAD_PIXELS
from rsfiqa.errors import ImageError
from rsfiqa.images import LoadedImage
from rsfiqa.service.decoder import Decoder, DecoderError
from rsfiqa.service.settings import ServiceSettings

P = ParamSpec("P")
T = TypeVar("T")


class PixelBudget:
    """Room for so many decoded pixels; who waits is served in turn.

    A picture larger than all the room waits until it is alone.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, pixels: int) -> AsyncIterator[None]:
        """Wait for room, and keep it for as long as the block lasts."""
        need = min(pixels, self._total)
        if self._waiting or need > self._free:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((need, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # its turn came in the same moment
                    self._free += need
                self._admit()
                raise
        else:
            self._free -= need
        try:
            yield
        finally:
            self._free += need
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            need, turn = self._waiting[0]
            if not turn.done():
                if need > self._free:
                    return
                self._free -= need
                turn.set_result(None)
            self._waiting.popleft()


class DecoderPool:
    """A few decoder processes; a picture that breaks one fails alone.

    Used from the event loop; the processes are started when first needed.

    Args:
        settings: limits of pictures and decoders.
        budget: pixels that may be decoded and not assessed yet.
        on_death: told of every decoder that had to be replaced.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        budget: int = AHEAD_PIXELS,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._budget = PixelBudget(budget)
        self._on_death = on_death
        self._idle: asyncio.LifoQueue[Decoder] = asyncio.LifoQueue()
        self._all: set[Decoder] = set()
        for _ in range(settings.decoders):
            self._idle.put_nowait(self._new())
        # Twice as many threads: one that still waits for a killed process holds nobody up.
        self._threads = ThreadPoolExecutor(2 * settings.decoders, thread_name_prefix="decoding")

    @asynccontextmanager
    async def decoded(self, data: bytes, name: str) -> AsyncIterator[LoadedImage]:
        """The picture in a file's bytes; it counts as held in memory while the block lasts.

        Raises:
            ImageError: no picture, over the limits, or its decoder broke its own.
        """
        decoder = await self._idle.get()
        back = False
        try:
            header = await self._call(decoder.begin, data, name)
            async with self._budget.hold(header.pixels):
                picture = await self._call(decoder.fetch, header, name, data)
                self._give_back(decoder)
                back = True
                yield picture
        except ImageError:
            if not back:
                self._give_back(decoder)
                back = True
            raise
        except DecoderError as error:
            raise ImageError(
                f"{name} cannot be decoded: it needs too much memory, or it is damaged."
            ) from error
        finally:
            if not back:
                self._replace(decoder)

    def close(self) -> None:
        """End all processes."""
        # Copies: who still waits for a decoder replaces it meanwhile, in the event loop's thread.
        for decoder in list(self._all):
            decoder.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for decoder in list(self._all):
            decoder.close()
        self._all.clear()

    def _give_back(self, decoder: Decoder) -> None:
        if decoder.broken or decoder.worn:
            self._replace(decoder)
        else:
            self._idle.put_nowait(decoder)

    def _replace(self, decoder: Decoder) -> None:
        """Put a new one in its place; the old one is closed when no thread works with it any more."""
        if decoder.broken or not decoder.worn:
            self._on_death()
        decoder.kill()
        self._all.discard(decoder)
        self._threads.submit(decoder.close)
        self._idle.put_nowait(self._new())

    def _new(self) -> Decoder:
        decoder = Decoder(self._settings)
        self._all.add(decoder)
        return decoder

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def call() -> T:
            return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
