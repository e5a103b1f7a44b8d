"""Pictures of object storage and Parquet assessed in this process, as `rsfiqa.bulk` does with files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Protocol

from rsfiqa.bulk import Outcome, sentence_of
from rsfiqa.distributed.collection import Collection
from rsfiqa.distributed.pictures import Source, prepare
from rsfiqa.errors import ConfigError
from rsfiqa.images import LoadedImage
from rsfiqa.in_order import map_in_order
from rsfiqa.inputs import BadInput
from rsfiqa.types import Assessment

_AHEAD = 2
"""Pictures in the window for each that is worked on: they come over a network, of unknown size."""


class Assessor(Protocol):
    """What of `rsfiqa.RSFIQA` is needed here."""

    def assess(self, picture: LoadedImage) -> Assessment: ...


def assess_here(
    assessor: Assessor,
    collection: Collection,
    *,
    is_kept: Callable[[str, Callable[[], str]], bool],
    workers: int,
    max_pixels: int | None = None,
    finish: Callable[[str, Assessment], None] = lambda *_: None,
) -> Generator[list[Outcome[Assessment]], None, None]:
    """Assess a collection; outcomes come in its order.

    Args:
        assessor: such as `rsfiqa.RSFIQA`.
        collection: from `gather`.
        is_kept: see `prepare`; called by several threads.
        workers: how many pictures are worked on at a time.
        max_pixels: the limit on a picture's pixels; None is the default limit.
        finish: called by the same threads with what was assessed, before its outcome comes.

    Raises:
        ConfigError: a setting is wrong, which every picture would fail by.
        DataError: a table cannot be read.
    """
    from rsfiqa.parallel import worker_pool

    def one(given: Source | BadInput) -> Outcome[Assessment]:
        if isinstance(given, BadInput):
            return Outcome(given.path, error=given.error)
        picture = prepare(given, is_kept, max_pixels)
        if isinstance(picture, Outcome):
            return picture
        try:
            found = assessor.assess(picture)
        except ConfigError:
            raise
        except Exception as error:
            return Outcome(picture.name, error=sentence_of(error), sha256=picture.sha256)
        finish(picture.name, found)
        return Outcome(picture.name, result=found, sha256=picture.sha256)

    with worker_pool(workers) as pool:
        for outcome in map_in_order(pool, one, _sources(collection), _AHEAD * workers):
            yield [outcome]


def _sources(collection: Collection) -> Iterator[Source | BadInput]:
    for part in collection.parts:
        if part.table is not None:
            for name, data in part.table.pictures():
                yield Source(name, data)
        else:
            for given in part.inputs:
                yield Source(given) if isinstance(given, str) else given
