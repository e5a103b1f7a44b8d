"""Many pictures through an assessor or other work: read ahead, in batches, in order, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from rsfiqa.errors import ConfigError, RsfiqaError
from rsfiqa.readahead import read_ahead

if TYPE_CHECKING:
    from rsfiqa.images import LoadedImage
    from rsfiqa.inputs import BadInput
    from rsfiqa.types import Assessment

Result = TypeVar("Result")

AHEAD_PIXELS = 48_000_000
"""How many decoded pixels may wait for the model (3 bytes each); a larger picture waits alone."""

BATCH_PIXELS = 24_000_000
"""How many pixels make a batch full, however few pictures they are."""

_GROUP = 64
"""How many outcomes are held back at most, for instance when nothing can be read."""


class BatchAssessor(Protocol):
    """What of `rsfiqa.RSFIQA` is needed here."""

    def assess_batch(
        self, pictures: list[LoadedImage], *, on_error: Literal["return"]
    ) -> list[Assessment | RsfiqaError]: ...


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of one picture: a result, an error, or kept, being unchanged.

    Attributes:
        name: the picture's path, as given.
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


@dataclass(frozen=True)
class _Waiting:
    """A picture that is ready for the model."""

    picture: LoadedImage

    @property
    def pixels(self) -> int:
        return self.picture.height * self.picture.width


def assess_many(
    assessor: BatchAssessor,
    inputs: Iterable[str | BadInput],
    *,
    is_kept: Callable[[str], bool] = lambda _: False,
    batch_size: int = 4,
    max_pixels: int | None = None,
) -> Generator[list[Outcome[Assessment]], None, None]:
    """Assess picture files, some at a time; see `work_through`."""

    def assess(pictures: list[LoadedImage]) -> Sequence[Assessment | RsfiqaError]:
        return assessor.assess_batch(pictures, on_error="return")

    return work_through(
        assess, inputs, is_kept=is_kept, batch_size=batch_size, max_pixels=max_pixels
    )


def work_through(
    work: Callable[[list[LoadedImage]], Sequence[Result | RsfiqaError]],
    inputs: Iterable[str | BadInput],
    *,
    is_kept: Callable[[str], bool] = lambda _: False,
    batch_size: int = 4,
    max_pixels: int | None = None,
) -> Generator[list[Outcome[Result]], None, None]:
    """Work on picture files, some at a time; outcomes come in the order of the inputs.

    Args:
        work: gives a result, or the error in its place, for each picture of a batch.
        inputs: paths of picture files, as `rsfiqa.inputs.find_images` gives them; a bad input
            becomes an error outcome in its place.
        is_kept: called in the background with each path before anything is decoded; when it
            returns True, the picture is not worked on, and its outcome is `kept`.
        batch_size: how many pictures are worked on together, at most.
        max_pixels: the limit on a picture's pixels; None is the default limit.

    Yields:
        Lists of outcomes that became ready together. A picture that cannot be read or
        worked on gives an error outcome, and the others go on.
    """

    def prepare(given: str | BadInput) -> _Waiting | Outcome[Result]:
        if isinstance(given, str):
            return _prepare(given, is_kept, max_pixels)
        return Outcome(given.path, error=given.error)

    def pixels(ready: _Waiting | Outcome[Result]) -> int:
        return ready.pixels if isinstance(ready, _Waiting) else 0

    group: list[_Waiting | Outcome[Result]] = []
    held = held_pixels = 0
    for ready in read_ahead(inputs, prepare, cost=pixels, budget=AHEAD_PIXELS):
        group.append(ready)
        held += isinstance(ready, _Waiting)
        held_pixels += pixels(ready)
        if held >= batch_size or held_pixels >= BATCH_PIXELS or len(group) >= _GROUP or not held:
            yield _work_on_group(work, group)
            group = []
            held = held_pixels = 0
        del ready
    if group:
        yield _work_on_group(work, group)


def _prepare(
    name: str, is_kept: Callable[[str], bool], max_pixels: int | None
) -> _Waiting | Outcome[Result]:
    from rsfiqa.images import hash_file, load_image

    path = Path(name)
    try:
        if is_kept(name):
            return Outcome(name)
        return _Waiting(load_image(path, name=name, max_pixels=max_pixels))
    except ConfigError:  # no picture's fault: every other one would fail the same way
        raise
    except Exception as error:
        try:
            sha256: str | None = hash_file(path)
        except (OSError, RsfiqaError):
            sha256 = None
        return Outcome(name, error=_sentence(error), sha256=sha256)


def _work_on_group(
    work: Callable[[list[LoadedImage]], Sequence[Result | RsfiqaError]],
    group: list[_Waiting | Outcome[Result]],
) -> list[Outcome[Result]]:
    pictures = [ready.picture for ready in group if isinstance(ready, _Waiting)]
    results = iter(_work_on(work, pictures))
    return [
        ready if isinstance(ready, Outcome) else _outcome(ready.picture, next(results))
        for ready in group
    ]


def _work_on(
    work: Callable[[list[LoadedImage]], Sequence[Result | RsfiqaError]],
    pictures: list[LoadedImage],
) -> list[Result | Exception]:
    """Work on a batch; when it fails as a whole, one by one, so that one picture fails alone."""
    if not pictures:
        return []
    try:
        return list(work(pictures))
    except Exception as error:
        if os.environ.get("RSFIQA_DEBUG"):
            raise
        if len(pictures) == 1:
            return [error]
        return [result for picture in pictures for result in _work_on(work, [picture])]


def _outcome(picture: LoadedImage, result: Result | Exception) -> Outcome[Result]:
    if isinstance(result, Exception):
        return Outcome(picture.name, error=_sentence(result), sha256=picture.sha256)
    return Outcome(picture.name, result=result, sha256=picture.sha256)


def _sentence(error: Exception) -> str:
    """An error in one sentence; one that was not foreseen says what it is."""
    if isinstance(error, RsfiqaError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there was not enough memory for this picture."
    if os.environ.get("RSFIQA_DEBUG"):
        raise error
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split()) or 'no further word'}"
