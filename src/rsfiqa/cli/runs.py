"""What commands over many pictures share: taking outcomes, counting them, saying what failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.results import ResultsFile, error_record

if TYPE_CHECKING:
    from rsfiqa.bulk import Outcome
    from rsfiqa.inputs import BadInput

Result = TypeVar("Result")


@dataclass
class Tally:
    """What became of the pictures of a run."""

    done: int = 0
    kept: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0


def take_all(
    take: Callable[[Sequence[Outcome[Result]], Tally], None],
    ready: Generator[list[Outcome[Result]], None, None],
    what: str,
    total: int,
    *,
    shown: bool,
) -> Tally:
    """Hand outcomes on as they become ready, with a progress bar if it is to be shown."""
    tally = Tally()
    start = time.perf_counter()
    with (
        closing(ready),  # on an interrupt, too, its threads end before the file is closed
        common.progress(what, total, shown=shown) as advance,
    ):
        for outcomes in ready:
            take(outcomes, tally)
            advance(len(outcomes), f"{len(tally.failures)} failed" if tally.failures else "")
            del outcomes  # so that its pictures are not held while the next ones are waited for
    tally.seconds = time.perf_counter() - start
    return tally


def names_a_picture(name: str) -> bool:
    """Whether a failed input has a place among the results: folders and patterns have none."""
    return name not in {"", "-"} and not Path(name).is_dir() and not has_magic(name)


def error_line(outcome: Outcome[Any], file: ResultsFile | None) -> dict[str, Any]:
    """What stands in the place of a failed picture; a results file is told its hash, too."""
    record = error_record(outcome.name, outcome.error or "")
    if file is not None and outcome.sha256 is not None:
        record["sha256"] = outcome.sha256
    return record


def give_up(inputs: Sequence[str | BadInput], *, to_standard_output: bool) -> NoReturn:
    """Nothing that was named leads to a picture: say so without loading the model.

    A results file stays as it is.
    """
    bad = [given for given in inputs if not isinstance(given, str)]
    if to_standard_output:
        outputs.StandardOutput().write(
            [error_record(path, error) for path, error in bad if names_a_picture(path)]
        )
    name_failures(bad)
    raise typer.Exit(1)


def summarise(tally: Tally, verb: str, notes: Sequence[str], *, quiet: bool) -> None:
    """Say on standard error what was done ("3 assessed, 1 failed in 2.1 s"), and what failed."""
    if not quiet:
        parts = [f"{tally.done} {verb}"]
        if tally.kept:
            parts.append(f"{tally.kept} unchanged and kept")
        parts.append(f"{len(tally.failures)} failed")
        pace = f", {tally.seconds / tally.done:.2f} s a picture" if tally.done else ""
        typer.echo(f"rsfiqa: {', '.join(parts)} in {tally.seconds:.1f} s{pace}.", err=True)
        for note in notes:
            typer.echo(f"rsfiqa: {note}", err=True)
    name_failures(tally.failures)


def name_failures(failures: Iterable[tuple[str, str]]) -> None:
    """Name each failure on standard error."""
    for name, error in failures:
        named = error if name and name in error else f"{name}: {error}"
        typer.echo(f"rsfiqa: failed: {named}", err=True)
