"""What workers on Ray do: assess pictures whole, or divide them first and score them elsewhere.

A worker does one picture at a time, in its own process with a model of its own, and never fails for a
picture: what goes wrong becomes that picture's error. None of it knows Ray.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rsfiqa.bulk import Outcome, prepare, sentence_of
from rsfiqa.distributed.kept import KeptPictures
from rsfiqa.distributed.ledger import MOST_TRIES, Ledger
from rsfiqa.distributed.rows import (
    DIVIDED,
    Divided,
    Finished,
    divided_table,
    finished_table,
    read_divided,
    read_sources,
)
from rsfiqa.errors import ConfigError, RsfiqaError
from rsfiqa.results import encode_line
from rsfiqa.sources import Source

if TYPE_CHECKING:
    import pyarrow as pa

    from rsfiqa.images import LoadedImage
    from rsfiqa.types import Assessment

Done = TypeVar("Done")

GIVEN_UP = (
    f"its worker ended abruptly {MOST_TRIES} times over it (killed, out of memory, or crashed), so it was "
    "given up."
)


class Loads(Protocol):
    """What of `Recipe` is needed here."""

    @property
    def max_pixels(self) -> int | None: ...

    @property
    def masks(self) -> bool: ...

    def load_assessor(self, *, divided: bool = False) -> Any: ...

    def load_divider(self) -> Any: ...


class Counts(Protocol):
    """What of `Ledger` is needed here."""

    def begin(self, name: str) -> bool: ...

    def end(self, name: str) -> None: ...


@dataclass(frozen=True)
class Job:
    """What every worker of a run is told.

    Attributes:
        recipe: how models are made.
        kept: pictures that need no work.
        ledger: where workers enter what they begin.
        folder: where relative paths begin; None for where the process is.
    """

    recipe: Loads
    kept: KeptPictures = field(default_factory=KeptPictures)
    ledger: Counts = field(default_factory=Ledger)
    folder: str | None = None

    def is_kept(self, source: Source) -> bool:
        """Whether a picture needs no work; its file is hashed only where there is anything kept."""
        return bool(len(self.kept)) and (source.name, source.sha256()) in self.kept


class _Worker:
    """A process with a model of its own.

    Args:
        job: what it is told.
        load: makes the model. When that fails as the user can mend, every picture says so.
    """

    def __init__(self, job: Job, load: Callable[[], Any]) -> None:
        self.job = job
        if job.folder is not None:
            with suppress(OSError):  # another machine need not have that folder
                os.chdir(job.folder)
        self.model: Any = None
        self._failure: RsfiqaError | None = None
        try:
            self.model = load()
        except RsfiqaError as error:
            self._failure = error

    def watched(self, name: str, work: Callable[[], Done]) -> Done | Finished:
        """Do the work on a picture, entered in the ledger for as long as it takes."""
        if self._failure is not None:
            return _fatal(name, self._failure)
        key = f"{type(self).__name__} {name}"
        if not self.job.ledger.begin(
            key
        ):  # and not ended: should it come again, it is given up at once
            return Finished(name, error=GIVEN_UP)
        try:
            return work()
        except ConfigError as error:  # no picture's fault: every other one would fail the same way
            return _fatal(name, error)
        finally:
            self.job.ledger.end(key)

    def with_picture(self, source: Source, work: Callable[[LoadedImage], Done]) -> Done | Finished:
        """Decode a picture and work on it; what fails becomes its error."""
        picture = prepare(source, self.job.is_kept, self.job.recipe.max_pixels)
        if isinstance(picture, Outcome):
            return Finished(
                picture.name, error=picture.error, sha256=picture.sha256, kept=picture.kept
            )
        return _isolated(picture, partial(work, picture))

    def finished(self, picture: LoadedImage, assessment: Assessment) -> Finished:
        """The picture with its result as a line of JSON."""
        line = encode_line(assessment.to_dict(masks=self.job.recipe.masks))
        return Finished(picture.name, line=line, sha256=picture.sha256)


class AssessWorker(_Worker):
    """Assesses pictures from file to result.

    Called with a table of the schema `SOURCES`, it gives tables of the schema `FINISHED`.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job, job.recipe.load_assessor)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for source in read_sources(batch):
            work = partial(self.with_picture, source, self._assess)
            yield finished_table(self.watched(source.name, work))

    def _assess(self, picture: LoadedImage) -> Finished:
        return self.finished(picture, self.model.assess(picture))


class DivideWorker(_Worker):
    """Decodes pictures and divides them into regions, on the processor.

    Called with a table of the schema `SOURCES`, it gives tables of the schema `DIVIDED`.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job, job.recipe.load_divider)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for source in read_sources(batch):
            work = partial(self.with_picture, source, self._divide)
            done = self.watched(source.name, work)
            if isinstance(done, Finished):
                yield finished_table(done, DIVIDED)
            else:
                yield divided_table(done)

    def _divide(self, picture: LoadedImage) -> Divided:
        divided: Divided = self.model.divide(picture)
        return divided


class ScoreWorker(_Worker):
    """Reads and scores pictures that are divided, where the GPU is.

    Called with a table of the schema `DIVIDED`, it gives tables of the schema `FINISHED`.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job, partial(job.recipe.load_assessor, divided=True))

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for given in read_divided(batch):
            if isinstance(given, Divided):
                work = partial(_isolated, given.picture, partial(self._score, given))
                yield finished_table(self.watched(given.picture.name, work))
            else:
                yield finished_table(given)

    def _score(self, divided: Divided) -> Finished:
        found = self.model.assess(divided.picture, partition=divided.partition)
        model = replace(found.model, segmenter=divided.segmenter)
        return self.finished(divided.picture, replace(found, model=model))


def describe_model(recipe: Loads) -> tuple[dict[str, Any] | None, str | None, str | None]:
    """Names and versions of the parts that a recipe makes, or a sentence on why not and its class."""
    try:
        return asdict(recipe.load_assessor().info), None, None
    except RsfiqaError as error:
        return None, str(error), type(error).__name__


def _isolated(picture: LoadedImage, work: Callable[[], Done]) -> Done | Finished:
    """What the work gives; what it raises for this picture alone is the picture's error."""
    try:
        return work()
    except ConfigError:
        raise
    except Exception as error:
        return Finished(picture.name, error=sentence_of(error), sha256=picture.sha256)


def _fatal(name: str, error: RsfiqaError) -> Finished:
    return Finished(name, error=str(error), fatal=type(error).__name__)
