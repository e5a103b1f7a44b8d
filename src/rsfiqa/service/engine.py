"""From a file's bytes to the answer: decode, assess, compose. What the routes call."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from rsfiqa.errors import RsfiqaError
from rsfiqa.results import error_record
from rsfiqa.service.admission import Admission
from rsfiqa.service.answers import answer_of, to_json
from rsfiqa.service.bodies import SentPicture
from rsfiqa.service.decoding import DecoderPool
from rsfiqa.service.metrics import Metrics
from rsfiqa.service.model_worker import Assessor, ModelWorker, UnexpectedError
from rsfiqa.service.options import Options
from rsfiqa.service.refusals import Refusal
from rsfiqa.service.settings import ServiceSettings
from rsfiqa.types import Assessment, ModelInfo

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA

T = TypeVar("T")

_STUCK_AFTER = 5.0
"""A batch that takes so many times as long as an answer may take will never end."""


class Engine:
    """One model with its decoders and its queue. Made and used in the event loop's thread.

    Args:
        assessors: by whether regions are read: `False` always, `True` where there is a reader.
        settings: limits.
    """

    def __init__(self, assessors: dict[bool, Assessor], settings: ServiceSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.admission = Admission(settings.queue, settings.queue_bytes)
        self._assessors = assessors
        self._decoders = DecoderPool(settings, on_death=self.metrics.decoder_replaced)
        self._worker = ModelWorker(assessors, settings.batch_size, told=self._learn)
        self._working = asyncio.get_running_loop().create_task(self._worker.run())
        self._composing = ThreadPoolExecutor(1, thread_name_prefix="composing")
        watch = self.metrics.watch
        watch("queue_pictures", "Pictures accepted and unanswered", lambda: self.admission.pictures)
        watch("waiting_pictures", "Decoded pictures that wait", lambda: self._worker.waiting)

    @property
    def reads(self) -> bool:
        """Whether there is a reader."""
        return True in self._assessors

    @property
    def info(self) -> ModelInfo:
        """The model, with its reader where it has one."""
        return self._assessors[self.reads].info

    @property
    def trouble(self) -> str | None:
        """Why no work should be sent here, or None."""
        if self.admission.closed:
            return "the server is stopping."
        if self._working.done():
            return "the model's thread has ended; restart the server."
        if self._worker.working_for > _STUCK_AFTER * self.settings.answer_within:
            return "the model has not answered for long; restart the server."
        return None

    async def one(self, picture: SentPicture, options: Options) -> bytes:
        """The answer for one picture, as JSON.

        Raises:
            Refusal: 422, the picture is not accepted or a reader is wanted where none is.
        """
        try:
            return await self._composed(_one_json, await self._assess(picture, options), options)
        except Refusal:
            raise
        except RsfiqaError as error:
            raise Refusal(422, str(error)) from error

    async def many(self, pictures: Sequence[SentPicture], options: Options) -> bytes:
        """The answers for a batch, as JSON; a picture that fails has its error in its place.

        Raises:
            Refusal: 422, a reader is wanted where none is.
        """
        self._require_reader(options)
        tasks = [asyncio.ensure_future(self._one_of_many(picture, options)) for picture in pictures]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return to_json({"results": answers})

    async def check(self, picture: bytes) -> None:
        """Decode a picture, to find out at the start that decoders work here.

        Raises:
            ImageError: they do not.
        """
        async with self._decoders.decoded(picture, "the picture made for a test"):
            pass

    async def stop(self) -> None:
        """Let nobody new in, and wait until everything accepted is answered, or for so long."""
        self.admission.closed = True
        try:
            await asyncio.wait_for(self.admission.until_empty(), self.settings.drain_within)
        except asyncio.TimeoutError:
            return

    async def close(self) -> None:
        """End threads and processes."""
        self.admission.closed = True
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)
        loop = asyncio.get_running_loop()
        for close in (self._decoders.close, self._worker.close, self._composing.shutdown):
            await loop.run_in_executor(None, close)

    async def _one_of_many(self, picture: SentPicture, options: Options) -> dict[str, Any]:
        try:
            assessment = await self._assess(picture, options)
            return await self._composed(answer_of, assessment, options)
        except RsfiqaError as error:
            return error_record(picture.name, str(error))
        except UnexpectedError:
            return error_record(picture.name, f"the server has a fault with {picture.name}.")

    async def _assess(self, picture: SentPicture, options: Options) -> Assessment:
        self._require_reader(options)
        reads = self.reads if options.reader is None else options.reader
        outcome = "failed"
        try:
            async with self._decoders.decoded(picture.data, picture.name) as loaded:
                assessment = await self._worker.assess(loaded, reads=reads)
            outcome = "assessed"
            return assessment
        except RsfiqaError:
            outcome = "refused"
            raise
        except asyncio.CancelledError:
            outcome = "left"
            raise
        finally:
            self.metrics.picture(outcome)

    def _require_reader(self, options: Options) -> None:
        if options.reader and not self.reads:
            raise Refusal(422, "this server has no reader; leave the option reader out.")

    async def _composed(
        self, compose: Callable[[Assessment, Options], T], assessment: Assessment, options: Options
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._composing, compose, assessment, options)

    def _learn(self, pictures: int, seconds: float) -> None:
        self.metrics.batch(pictures, seconds)
        self.admission.took(seconds / pictures)


def assessors_of(assessor: RSFIQA) -> dict[bool, Assessor]:
    """The assessor with its reader and without, sharing all weights.

    Example:
        >>> from types import SimpleNamespace
        >>> reading = SimpleNamespace(reader=SimpleNamespace(name="embedded"), sentences=object())
        >>> both = assessors_of(reading)  # type: ignore[arg-type]
        >>> both[True] is reading, both[False].reader.name, both[False].sentences
        (True, 'none', None)
    """
    from rsfiqa.reading.base import NoReader

    if assessor.reader.name == NoReader.name:
        return {False: assessor}
    # Not made anew: it is the same model, and need not know how it came to be.
    silent = copy.copy(assessor)
    silent.reader = NoReader()
    silent.sentences = None
    return {True: assessor, False: silent}


def _one_json(assessment: Assessment, options: Options) -> bytes:
    return to_json(answer_of(assessment, options))
