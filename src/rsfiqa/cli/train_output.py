"""What `rsfiqa train` says on standard error: stages, epochs, the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.fine_tuning import FineTuningReport
    from rsfiqa.learning.prepared import Progress
    from rsfiqa.learning.training_reports import EpochReport


def say_data(console: Console, sets: dict[str, ScoredImages]) -> None:
    """Of each data set, how many pictures there are and how their scores are meant."""
    for name, data in sets.items():
        low, high = data.score_range
        guessed = " (guessed from the values)" if data.range_guessed else ""
        which = f"{name}: " if len(sets) > 1 else ""
        console.print(f"{which}{len(data)} pictures, scores {low:g}..{high:g}{guessed}")


def epoch_line(report: EpochReport) -> str:
    """One epoch in a line; of several data sets, each one's SRCC behind their mean.

    Example:
        >>> from rsfiqa.learning.training_reports import EpochReport
        >>> epoch_line(EpochReport(1, 0.25, 0.0, 0.5, None))
        'epoch   1  loss 0.2500  locality 0.0000  val SRCC 0.5000  PLCC (raw) -'
    """
    line = (
        f"epoch {report.epoch:3d}  loss {report.loss:.4f}  locality {report.locality:.4f}  "
        f"val SRCC {figure(report.srcc)}  PLCC (raw) {figure(report.plcc)}"
    )
    each = ", ".join(f"{one.name} {figure(one.srcc)}" for one in report.sets)
    return f"{line}  ({each})" if each else line


def branch_line(name: str, report: FineTuningReport) -> str:
    """One epoch of a fine-tuned branch in a line."""
    return (
        f"{name}: epoch {report.epoch:3d}  loss {report.loss:.4f}  alone, val SRCC "
        f"{figure(report.srcc)}  PLCC (raw) {figure(report.plcc)}"
    )


def figure(value: float | None) -> str:
    """Four digits, or a dash where there is no such figure."""
    return "-" if value is None else f"{value:.4f}"


@contextmanager
def stages(console: Console) -> Iterator[Progress]:
    """A progress bar a stage on a terminal, a line when each is done elsewhere."""
    if console.is_terminal:
        with _bars(console) as show:
            yield show
    else:

        def say(stage: str, done: int, total: int) -> None:
            if done == total:
                console.print(f"{stage}: {total}")

        yield say


@contextmanager
def _bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=console) as bars:
        tasks: dict[str, rich_progress.TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield show
