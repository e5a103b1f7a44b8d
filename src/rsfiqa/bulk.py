"""Many pictures through an assessor or other work: side by side, in order, in bounded memory.

A window slides over the pictures. Each picture in it is decoded and worked on in one thread, start to
end, and as soon as the first of the window is handed on, further ones come in at its end: no picture
waits for another, but for its turn to be written. The window is bounded by the pixels in it, so that
memory follows neither the number of pictures nor the largest of them times the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from operator import length_hint
from threading import BoundedSemaphore, Event
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from rsfiqa.errors import ConfigError, RsfiqaError
from rsfiqa.in_order import map_in_order
from rsfiqa.inputs import BadInput
from rsfiqa.sources import Source

if TYPE_CHECKING:
    from rsfiqa.images import LoadedImage
    from rsfiqa.types import Assessment

Result = TypeVar("Result")

AHEAD_PIXELS = 48_000_000
"""How many pixels may be in the window (3 bytes each, and 1 of the label map) where few pictures are
worked on side by side; a larger picture goes alone."""

BATCH_PIXELS = 24_000_000
"""How many pixels there may be in the window for each picture that is worked on: two photographs of
12 megapixels, one that is worked on and one that is ready."""

WINDOW = 8
"""How many pictures the window holds for each that is worked on: while one takes long, the others go
on so far beyond it."""


class BatchAssessor(Protocol):
    """What of `rsfiqa.RSFIQA` is needed here."""

    def assess_batch(
        self, pictures: list[LoadedImage], *, on_error: Literal["return"]
    ) -> list[Assessment | RsfiqaError]: ...


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one picture: a result, an error, or kept, being unchanged.

    Attributes:
        name: the picture's, as its source has it: the path as given, of a file.
        result: what the work gave, such as an assessment.
        error: why it gave nothing, in one sentence.
        sha256: hash of the file's bytes, where the file could be read.
    """

    name: str
    result: Result | None = None
    error: str | None = None
    sha256: str | None = None

    @property
    def kept(self) -> bool:
        return self.result is None and self.error is None


def assess_many(
    assessor: BatchAssessor,
    inputs: Iterable[str | Source | BadInput],
    *,
    is_kept: Callable[[Source], bool] = lambda _: False,
    batch_size: int | None = None,
    max_pixels: int | None = None,
    finish: Callable[[str, Assessment], None] | None = None,
) -> Generator[list[Outcome[Assessment]], None, None]:
    """Assess pictures side by side; see `work_through`.

    Args:
        assessor: such as `rsfiqa.RSFIQA`.
        inputs, is_kept, max_pixels, finish: as for `work_through`.
        batch_size: how many pictures are assessed side by side, at most; by default as many as there
            are cores, or one where networks run on an accelerator.
    """
    from rsfiqa.parallel import workers_on

    def assess(picture: LoadedImage) -> Assessment:
        (found,) = assessor.assess_batch([picture], on_error="return")
        if isinstance(found, RsfiqaError):
            raise found
        return found

    extractor = getattr(assessor, "extractor", None)  # which a stand-in need not have
    workers = batch_size or workers_on("cpu" if extractor is None else extractor.device)
    return work_through(
        assess, inputs, is_kept=is_kept, workers=workers, max_pixels=max_pixels, finish=finish
    )


def work_through(
    work: Callable[[LoadedImage], Result],
    inputs: Iterable[str | Source | BadInput],
    *,
    is_kept: Callable[[Source], bool] = lambda _: False,
    workers: int | None = None,
    max_pixels: int | None = None,
    finish: Callable[[str, Result], None] | None = None,
) -> Generator[list[Outcome[Result]], None, None]:
    """Work on pictures side by side; outcomes come in the order of the inputs.

    While the caller is busy with an outcome, such as writing it, later pictures are worked on.

    Args:
        work: gives the result of a picture, or raises; called by several threads at a time.
        inputs: pictures by the paths of their files, as `rsfiqa.inputs.find_images` gives them, or
            by their sources; a bad input becomes an error outcome in its place.
        is_kept: called in the background with each source, fetched, before anything is decoded, by
            several threads; when it returns True, the picture is not worked on, and its outcome is
            `kept`.
        workers: how many pictures are worked on at a time; by default as many as there are cores.
        max_pixels: the limit on a picture's pixels; None is the default limit.
        finish: called in the background with the name and result of each picture that was worked on,
            before its outcome comes: for what takes time and touches nothing else, such as drawing.
            What it raises ends the run in the picture's turn.

    Yields:
        Lists of outcomes that became ready together. A picture that cannot be read or
        worked on gives an error outcome, and the others go on.

    Raises:
        ConfigError: a setting is wrong, which every picture would fail by.
        KeyboardInterrupt: on Ctrl-C, after the outcomes of pictures that were being worked on.
    """
    from rsfiqa.heap import Trimmer
    from rsfiqa.parallel import cpu_workers, worker_pool

    most = workers or cpu_workers()
    most = max(1, min(most, length_hint(inputs, most)))
    at_work = BoundedSemaphore(most)
    stopping = Event()
    trim_at_times = Trimmer()

    def one(given: Source | BadInput) -> Outcome[Result]:
        if isinstance(given, BadInput):
            return Outcome(given.path, error=given.error)
        picture: LoadedImage | Outcome[Result] = prepare(given, is_kept, max_pixels)
        if isinstance(picture, Outcome):
            return picture
        with at_work:
            if stopping.is_set():
                raise CancelledError
            outcome = _work_on(work, picture)
            if finish is not None and outcome.result is not None:
                finish(outcome.name, outcome.result)
        return outcome

    # The thread more than there are pictures at work reads and decodes the next one meanwhile.
    with worker_pool(most, spare=1) as pool:
        for outcome in map_in_order(
            pool,
            one,
            (Source(given) if isinstance(given, str) else given for given in inputs),
            WINDOW * most,
            cost=lambda given: given.estimated_pixels() if isinstance(given, Source) else 0,
            budget=max(AHEAD_PIXELS, BATCH_PIXELS * most),
            interrupted=stopping.set,
        ):
            yield [outcome]
            del outcome  # so that it is not held while the next one is waited for
            trim_at_times()


def prepare(
    source: Source, is_kept: Callable[[Source], bool], max_pixels: int | None = None
) -> LoadedImage | Outcome[Any]:
    """The decoded picture, or its outcome where it is kept or cannot be read.

    Args:
        source: where it comes from.
        is_kept: asked with the source, fetched, before it is decoded.
        max_pixels: the limit on a picture's pixels; None is the default limit.

    Raises:
        ConfigError: a setting is wrong, which every picture would fail by.
    """
    try:
        source = source.fetched()
        if is_kept(source):
            return Outcome(source.name)
        return source.load(max_pixels)
    except ConfigError:
        raise
    except Exception as error:
        try:
            sha256: str | None = source.sha256()
        except (OSError, RsfiqaError):
            sha256 = None
        return Outcome(source.name, error=sentence_of(error), sha256=sha256)


def _work_on(work: Callable[[LoadedImage], Result], picture: LoadedImage) -> Outcome[Result]:
    try:
        return Outcome(picture.name, result=work(picture), sha256=picture.sha256)
    except ConfigError:  # no picture's fault: every other one would fail the same way
        raise
    except Exception as error:
        return Outcome(picture.name, error=sentence_of(error), sha256=picture.sha256)


def sentence_of(error: Exception) -> str:
    """An error in one sentence; one that was not foreseen says what it is.

    Raises:
        Exception: the error itself, where it was not foreseen and `RSFIQA_DEBUG` is set.
    """
    if isinstance(error, RsfiqaError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there was not enough memory for this picture."
    if os.environ.get("RSFIQA_DEBUG"):
        raise error
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split()) or 'no further word'}"
