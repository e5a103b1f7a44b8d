"""`rsfiqa assess --engine ray`, and pictures from Parquet and object storage on either engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, runs
from rsfiqa.errors import ConfigError
from rsfiqa.results import ResultsFile, encode_line

if TYPE_CHECKING:
    from rsfiqa.bulk import Outcome
    from rsfiqa.cli.reader_options import ReaderOptions
    from rsfiqa.distributed.collection import Collection
    from rsfiqa.distributed.kept import KeptPictures
    from rsfiqa.distributed.plan import Plan
    from rsfiqa.distributed.publishing import Destination
    from rsfiqa.distributed.recipe import Recipe

ENGINES = ("local", "ray")
PANEL = "Whole collections"

UNFAMILIAR_NAMED = 5
"""So many unfamiliar pictures are named at the end; their results tell of all."""


@dataclass(frozen=True)
class EngineOptions:
    """Where the work is done, and what Parquet is to be read; see `rsfiqa.cli.unfolding`."""

    engine: Annotated[
        str,
        typer.Option(
            metavar="|".join(ENGINES),
            rich_help_panel=PANEL,
            help="Where the work is done: in this process, or by the workers of a Ray cluster.",
        ),
    ] = "local"
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            rich_help_panel=PANEL,
            help="Address of the Ray cluster.",
            show_default="RAY_ADDRESS, or else a Ray of its own on this machine",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=PANEL,
            help="Ray workers that read and score, each with a model of its own.",
            show_default="as many as there is room for",
        ),
    ] = None
    cpus_per_worker: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            rich_help_panel=PANEL,
            help="Cores that each worker takes.",
            show_default="1; 0.5 where it waits for server:URL",
        ),
    ] = None
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            min=0,
            rich_help_panel=PANEL,
            help="GPUs that each worker takes; with 0.25, four share one.",
            show_default="1 where there are any",
        ),
    ] = None
    image_column: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=PANEL,
            help="Column of Parquet that holds pictures: their paths, or the bytes of their files.",
            show_default="image, path, file, …",
        ),
    ] = None
    name_column: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=PANEL,
            help="Column of Parquet with the names of pictures that are in it as bytes.",
            show_default="name, path, file_name, …",
        ),
    ] = None

    def gather(self, paths: Sequence[str]) -> Collection:
        """The pictures that are named.

        Raises:
            ConfigError, DataError, MissingExtraError: see `rsfiqa.distributed.collection.gather`.
        """
        from rsfiqa.distributed.collection import gather

        return gather(paths, image_column=self.image_column, name_column=self.name_column)

    def plan(self, cpus: float, gpus: float, recipe: Recipe, *, tables: bool) -> Plan:
        """How a cluster is shared out."""
        from rsfiqa.distributed.engine import TABLE_CPUS
        from rsfiqa.distributed.plan import make_plan

        return make_plan(
            cpus,
            gpus,
            segmenter=recipe.segmenter,
            reader=recipe.reader,
            device=recipe.device,
            workers=self.workers,
            cpus_per_worker=self.cpus_per_worker,
            gpus_per_worker=self.gpus_per_worker,
            spare_cpus=2 * TABLE_CPUS if tables else 0.0,
        )


def make_recipe(reading: ReaderOptions, **settings: Any) -> Recipe:
    """What workers make their assessors by.

    Args:
        reading: how the reader is set up.
        settings: the other fields of `Recipe`.

    Raises:
        ConfigError: a folder is named for readings that are not to be kept.
    """
    from rsfiqa.distributed.recipe import Recipe

    if reading.cache is not None and reading.cache_readings is False:
        raise ConfigError("--cache names where to keep what --no-cache-readings forgets.")
    keep = reading.cache_readings if reading.cache is None else str(reading.cache)
    return Recipe(**settings, reader_settings=reading.settings, cache_readings=keep)


def assess_by_ray(
    collection: Collection,
    recipe: Recipe,
    options: EngineOptions,
    destination: Destination | None,
    *,
    quiet: bool,
) -> tuple[runs.Tally, list[str]]:
    """Assess on Ray; returns what became of the pictures, and what the user should know.

    Raises:
        RsfiqaError: there is no cluster, the model cannot be loaded, or results cannot be written.
    """
    from rsfiqa.distributed.cluster import cluster
    from rsfiqa.distributed.engine import assess_on_ray

    tables = any(part.table is not None for part in collection.parts)
    inputs = collection.inputs
    # Ray says what happens to its workers on standard output, where results may go.
    stdout = typer.get_binary_stream("stdout")
    with (
        ExitStack() as stack,
        redirect_stdout(sys.stderr),
        cluster(options.ray_address) as (cpus, gpus),
    ):
        plan = options.plan(cpus, gpus, recipe, tables=tables)
        file = (
            None if destination is None else stack.enter_context(_open(destination, recipe, plan))
        )
        run = _RayRun(file, stdout.write if file is None else None)
        ready = assess_on_ray(
            collection, recipe, plan, kept=_kept(file, inputs, recipe), in_order=file is None
        )
        shown = not quiet and common.on_terminal(prints=file is None)
        tally = runs.take_all(run.take, ready, "assessing", len(inputs), shown=shown)
        stdout.flush()
        if file is not None and destination is not None:
            file.finish(names_of(inputs))
            destination.publish()
    return tally, [*run.notes, *unfamiliar_notes(run.unfamiliar)]


def _open(destination: Destination, recipe: Recipe, plan: Plan) -> ResultsFile:
    """The results file; which model works now is asked for where results are there already."""
    from rsfiqa.distributed.engine import describe

    model = describe(recipe, plan) if destination.take_up() else {}
    return ResultsFile(destination.journal, model)


def _kept(file: ResultsFile | None, inputs: Sequence[Any], recipe: Recipe) -> KeptPictures:
    """The pictures that need no work, unless their files have changed."""
    from rsfiqa.distributed.kept import KeptPictures
    from rsfiqa.errors import DataError
    from rsfiqa.regions.given import given_or_none

    if file is None or not len(file):
        return KeptPictures()
    regions = given_or_none(recipe.regions, recipe.segmenter)

    def pictures() -> Iterator[tuple[str, str]]:
        for name in names_of(inputs):
            if name not in file:
                continue
            try:
                segmenter = None if regions is None else regions.identity(name)
            except DataError:  # which its worker will say
                continue
            line = file.text_of(name)
            if file.has_result(name, masks=recipe.masks, segmenter=segmenter) and not (
                common.has_failed_readings(line)
            ):
                yield name, json.loads(line).get("sha256", "")

    return KeptPictures(pictures())


class _RayRun:
    """Where the outcomes of a run on Ray go: its results are lines of JSON."""

    def __init__(self, file: ResultsFile | None, write: Callable[[bytes], object] | None) -> None:
        self._file = file
        self._write = write
        self.notes: list[str] = [] if file is None else list(file.notes)
        self.unfamiliar: list[str] = []

    def take(self, outcomes: Sequence[Outcome[bytes]], tally: runs.Tally) -> None:
        records: list[dict[str, Any]] = []
        for outcome in outcomes:
            if outcome.result is not None:
                tally.done += 1
                records.append(json.loads(outcome.result))
                if records[-1].get("familiar") is False:
                    self.unfamiliar.append(outcome.name)
            elif outcome.error is not None:
                tally.failures.append((outcome.name, outcome.error))
                if runs.names_a_picture(outcome.name):
                    records.append(runs.error_line(outcome, self._file))
            else:
                tally.kept += 1
        if self._file is not None and records:
            self._file.write(records)
        elif self._write is not None:
            for record in records:
                self._write(encode_line(record))


def names_of(inputs: Sequence[Any]) -> list[str]:
    """The names of all inputs, those that lead to no picture included."""
    return [given if isinstance(given, str) else given.path for given in inputs]


def unfamiliar_notes(names: Sequence[str]) -> list[str]:
    """One sentence on pictures that the scorer knows nothing like, if there are any."""
    count = len(names)
    if not count:
        return []
    named = ", ".join(names[:UNFAMILIAR_NAMED])
    named += f" and {count - UNFAMILIAR_NAMED} more" if count > UNFAMILIAR_NAMED else ""
    return [
        f"unlike the pictures that the scorer was trained on, so take the score with care: {named}."
    ]
