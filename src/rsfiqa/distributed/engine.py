"""Collections on a Ray cluster, by Ray Data (https://docs.ray.io/en/latest/data/data.html; extra `ray`).

Pictures go through pools of workers in tasks of one picture each (some, in collections of many tens of
thousands). Ray restarts a worker that ends abruptly and gives its task to another; a ledger sees to it
that a picture which kills one worker after the other becomes an error (`rsfiqa.distributed.ledger`).
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rsfiqa.bulk import Outcome
from rsfiqa.distributed.cluster import error_of, import_ray, ray_errors
from rsfiqa.distributed.collection import Collection, Part
from rsfiqa.distributed.kept import KeptPictures
from rsfiqa.distributed.ledger import Ledger
from rsfiqa.distributed.locations import is_address
from rsfiqa.distributed.pictures import StoredSource
from rsfiqa.inputs import BadInput

if TYPE_CHECKING:
    import ray.data

    from rsfiqa.distributed.plan import Plan, Pool
    from rsfiqa.distributed.rows import Finished
    from rsfiqa.distributed.stages import Loads
    from rsfiqa.distributed.tables import PictureTable

TABLE_CPUS = 0.5
"""What reading Parquet takes of a core: it waits for files."""

_MOST_TASKS = 20_000
"""Where there are more pictures, a task has several."""

_MOST_IN_TASK = 64
_BLOCK_BYTES = 1 << 20
"""A table's pictures become tasks of so many bytes; a larger picture is one alone."""


def describe(recipe: Loads, plan: Plan) -> dict[str, Any]:
    """Names and versions of the parts that a recipe makes, as results have them under `model`.

    They are asked for on the cluster, since this machine need not have a GPU for the model.

    Raises:
        RsfiqaError: as `Recipe.load_assessor`.
    """
    ray = import_ray()
    from rsfiqa.distributed.stages import describe_model

    task = ray.remote(describe_model).options(
        num_cpus=plan.assess.cpus, num_gpus=plan.assess.gpus, max_retries=1
    )
    with ray_errors():
        found, failure, kind = ray.get(task.remote(recipe))
    if failure is not None:
        raise error_of(kind, failure)
    model: dict[str, Any] = found
    return model


def assess_on_ray(
    collection: Collection,
    recipe: Loads,
    plan: Plan,
    *,
    kept: KeptPictures | None = None,
    in_order: bool = False,
) -> Generator[list[Outcome[bytes]], None, None]:
    """Assess a collection on the cluster that this process is connected to; see
    `rsfiqa.distributed.cluster.cluster`.

    Args:
        collection: from `gather`. Every machine must see its files under the same paths; relative ones
            begin in this process's folder.
        recipe: how the assessor is made; on every worker anew.
        plan: from `make_plan`.
        kept: pictures that need no work if they are unchanged.
        in_order: have outcomes come in the order of the collection. They come as they are ready
            otherwise, so that nothing that is done waits for something slow before it.

    Yields:
        Outcomes that became ready together; their results are lines of JSON as
        `rsfiqa.results.encode_line` makes them. A picture that cannot be assessed, or that kills its
        workers, gives an error outcome, and the others go on.

    Raises:
        RsfiqaError: every picture would fail the same way, or the cluster was lost.
    """
    ray = import_ray()
    from rsfiqa.distributed.stages import Job

    ledger = _RemoteLedger.start(ray)
    job = Job(recipe, kept or KeptPictures(), ledger, os.getcwd())  # noqa: PTH109
    try:
        for bad in () if in_order else collection.bad:
            yield [Outcome(bad.path, error=bad.error)]
        with _data_settings(ray, in_order=in_order):
            pictures = _pictures(ray, collection)
            found = iter(()) if pictures is None else _results(_staged(ray, pictures, job, plan))
            outcomes: Iterator[Outcome[bytes]] = map(_outcome, found)
            if in_order:
                outcomes = _with_bad(collection.inputs, outcomes)
            with ray_errors():
                for outcome in outcomes:
                    yield [outcome]
    finally:
        ledger.stop()


def _pictures(ray: Any, collection: Collection) -> ray.data.Dataset | None:
    """The pictures of all parts as one dataset of the schema `SOURCES`."""
    total = sum(len(part.inputs) for part in collection.parts)
    in_task = min(_MOST_IN_TASK, -(-total // _MOST_TASKS))
    parts = [_dataset(ray, part, in_task) for part in collection.parts]
    found = [part for part in parts if part is not None]
    return None if not found else found[0].union(*found[1:]) if found[1:] else found[0]


def _dataset(ray: Any, part: Part, in_task: int) -> ray.data.Dataset | None:
    from rsfiqa.distributed.rows import sources_table

    if part.table is not None:
        return _table_dataset(ray, part.table)
    sources = [StoredSource(given) for given in part.inputs if isinstance(given, str)]
    if not sources:
        return None
    return ray.data.from_arrow(
        [sources_table(sources[k : k + in_task]) for k in range(0, len(sources), in_task)]
    )


def _table_dataset(ray: Any, table: PictureTable) -> ray.data.Dataset:
    from rsfiqa.distributed.rows import sources_table

    def as_sources(batch: Any) -> Any:
        return sources_table([StoredSource(name, data) for name, data in table.read_rows(batch)])

    files, system = _for_ray(table.files)
    read = ray.data.read_parquet(
        files, filesystem=system, num_cpus=TABLE_CPUS, partitioning=None
    ).select_columns(table.columns)
    return read.map_batches(as_sources, batch_size=16, batch_format="pyarrow", num_cpus=TABLE_CPUS)


def _for_ray(files: Sequence[str]) -> tuple[list[str], Any]:
    """Paths of files and their file system, by fsspec where they are addresses."""
    if not is_address(files[0]):
        return [os.path.abspath(file) for file in files], None  # noqa: PTH100
    from fsspec.core import url_to_fs

    system = url_to_fs(files[0])[0]
    return [url_to_fs(file)[1] for file in files], system


def _staged(ray: Any, pictures: ray.data.Dataset, job: Any, plan: Plan) -> ray.data.Dataset:
    from rsfiqa.distributed.stages import AssessWorker, DivideWorker, ScoreWorker

    if plan.divide is None:
        return _stage(ray, pictures, AssessWorker, job, plan.assess)
    divided = _stage(ray, pictures, DivideWorker, job, plan.divide)
    return _stage(ray, divided, ScoreWorker, job, plan.assess)


def _stage(
    ray: Any, pictures: ray.data.Dataset, worker: type, job: Any, pool: Pool
) -> ray.data.Dataset:
    return pictures.map_batches(
        worker,
        fn_constructor_args=[job],
        batch_size=None,  # a task is a block, as it comes
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=pool.workers, max_tasks_in_flight_per_actor=2),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
    )


def _results(staged: ray.data.Dataset) -> Iterator[Finished]:
    from rsfiqa.distributed.rows import read_finished

    for table in staged.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from read_finished(table)


def _outcome(finished: Finished) -> Outcome[bytes]:
    if finished.fatal is not None:
        raise error_of(finished.fatal, finished.error or "")
    return Outcome(finished.name, finished.line, finished.error, finished.sha256)


def _with_bad(
    inputs: Sequence[str | BadInput], outcomes: Iterator[Outcome[bytes]]
) -> Iterator[Outcome[bytes]]:
    """Outcomes of pictures in order, with those of bad inputs in their places."""
    for given in inputs:
        yield (
            Outcome(given.path, error=given.error)
            if isinstance(given, BadInput)
            else next(outcomes)
        )


class _RemoteLedger:
    """A `Ledger` in a process of its own, which workers ask."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    @classmethod
    def start(cls, ray: Any) -> _RemoteLedger:
        kind = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Ledger)
        return cls(kind.remote())

    def begin(self, name: str) -> bool:
        import ray

        return bool(ray.get(self._actor.begin.remote(name)))

    def end(self, name: str) -> None:
        self._actor.end.remote(name)

    def stop(self) -> None:
        import ray

        ray.kill(self._actor)


@contextmanager
def _data_settings(ray: Any, *, in_order: bool) -> Iterator[None]:
    """Ray Data set up for our run, and put back afterwards."""
    context = ray.data.DataContext.get_current()
    own = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "target_max_block_size": _BLOCK_BYTES,
    }
    before = {name: getattr(context, name) for name in own}
    ordered = context.execution_options.preserve_order
    try:
        for name, value in own.items():
            setattr(context, name, value)
        context.execution_options.preserve_order = in_order
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        context.execution_options.preserve_order = ordered
