"""The model in one thread: pictures that wait are assessed together, those nobody waits for not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

from rsfiqa.bulk import BATCH_PIXELS
from rsfiqa.errors import RsfiqaError
from rsfiqa.images import LoadedImage
from rsfiqa.service.faults import trail
from rsfiqa.types import Assessment, ModelInfo

_log = logging.getLogger(__name__)


class Assessor(Protocol):
    """What of `rsfiqa.RSFIQA` is needed here."""

    @property
    def info(self) -> ModelInfo: ...

    def assess_batch(
        self, pictures: list[LoadedImage], *, on_error: Literal["return"]
    ) -> list[Assessment | RsfiqaError]: ...


class UnexpectedError(RuntimeError):
    """The model failed in a way that is no fault of the picture's."""


@dataclass(frozen=True, eq=False)
class _Job:
    picture: LoadedImage
    reads: bool
    done: asyncio.Future[Assessment]

    @property
    def pixels(self) -> int:
        return self.picture.height * self.picture.width


class ModelWorker:
    """One model, one thread, and the pictures that wait for it, first come first served.

    While the model works, further pictures gather; the oldest and those that want the same of the
    model make the next batch. What else is in the batch changes no answer (`RSFIQA.assess_batch`).
    A picture whose client has left is dropped.

    Args:
        assessors: by whether regions are read; they share their weights.
        batch_size: pictures at once, at most.
        told: told of each batch: how many pictures, and the seconds they took.
    """

    def __init__(
        self,
        assessors: Mapping[bool, Assessor],
        batch_size: int,
        *,
        told: Callable[[int, float], None] = lambda pictures, seconds: None,
    ) -> None:
        self._assessors = assessors
        self._batch_size = batch_size
        self._told = told
        self._waiting: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._since: float | None = None

    @property
    def working_for(self) -> float:
        """Seconds since the present batch began; 0 between batches."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    @property
    def waiting(self) -> int:
        """Pictures that are decoded and wait for the model."""
        return len(self._waiting)

    async def assess(self, picture: LoadedImage, *, reads: bool) -> Assessment:
        """The assessment of one picture; cancelling this takes the picture out of the queue.

        Raises:
            RsfiqaError: it cannot be assessed.
            UnexpectedError: for a reason that should not be.
        """
        job = _Job(picture, reads, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._wake.set()
        try:
            return await job.done
        finally:
            if job in self._waiting:
                self._waiting.remove(job)

    async def run(self) -> None:
        """Work for as long as this is not cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            while not (batch := self._next_batch()):
                self._wake.clear()
                await self._wake.wait()
            self._since = time.monotonic()
            pictures = [job.picture for job in batch]
            assessor = self._assessors[batch[0].reads]
            results = await loop.run_in_executor(self._thread, _assess, assessor, pictures)
            self._told(len(batch), self.working_for)
            self._since = None
            for job, result in zip(batch, results, strict=True):
                if job.done.done():
                    continue
                if isinstance(result, Assessment):
                    job.done.set_result(result)
                else:
                    job.done.set_exception(result)
            del batch, pictures, results

    def close(self) -> None:
        """Take no more work; what the model works on is finished first."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _next_batch(self) -> list[_Job]:
        batch: list[_Job] = []
        others: deque[_Job] = deque()
        pixels = 0
        while self._waiting:
            job = self._waiting.popleft()
            if job.done.done():  # its client has left
                continue
            fits = not batch or (
                job.reads == batch[0].reads
                and len(batch) < self._batch_size
                and pixels + job.pixels <= BATCH_PIXELS
            )
            if fits:
                batch.append(job)
                pixels += job.pixels
            else:
                others.append(job)
        self._waiting = others
        return batch


def _assess(
    assessor: Assessor, pictures: Sequence[LoadedImage]
) -> list[Assessment | RsfiqaError | UnexpectedError]:
    """One result or error a picture; when a batch fails as a whole, one by one."""
    try:
        return list(assessor.assess_batch(list(pictures), on_error="return"))
    except Exception as error:
        if len(pictures) == 1:
            _log.error("unexpected %s in the model: %s", type(error).__name__, trail(error))
            return [UnexpectedError(type(error).__name__)]
    return [result for picture in pictures for result in _assess(assessor, [picture])]
