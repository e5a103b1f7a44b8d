"""What several commands share: making the assessor, its options, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, cast

import typer

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA
    from rsfiqa.devices import Precision
    from rsfiqa.partitioning import Partitioner

PathsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH",
        help="Pictures, folders (searched with their sub-folders), globs, or - for a list on "
        "standard input.",
        show_default=False,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        help="A scorer of your own: a folder that rsfiqa train wrote, or a hub id.",
        show_default="the one in the package",
    ),
]
SegmenterOption = Annotated[
    str,
    typer.Option(
        help="What divides a picture into regions: embedded; grid or grid:N, N cells along the "
        "long side; sam:MODEL, a hub id or folder.",
    ),
]
RegionsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Regions of your own in place of a segmenter's: label maps or masks (.png, .npy, "
        ".json), named like the pictures.",
    ),
]
ReaderOption = Annotated[str, typer.Option(help="What describes and rates the regions.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
PrecisionOption = Annotated[str, typer.Option(help="fp32, or bf16 where that is faster.")]

MaxPixelsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Refuse pictures of more pixels.", show_default="200 million"),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no summary; failures are still named."),
]

ImageColumnOption = Annotated[str, typer.Option(help="Column of the pictures' names.")]
ScoreColumnOption = Annotated[str, typer.Option(help="Column of the human scores.")]
ScoreRangeOption = Annotated[
    tuple[float, float] | None,
    typer.Option(help="Lowest and highest possible score.", show_default="from the values"),
]
LowerIsBetterOption = Annotated[bool, typer.Option(help="Low scores are good, as with DMOS.")]


def make_assessor(
    *,
    model: str | None = None,
    segmenter: str = "embedded",
    reader: str = "none",
    regions: Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    max_pixels: int | None = None,
) -> RSFIQA:
    """Load the assessor that the options ask for; this is where torch is imported."""
    from rsfiqa.assessor import RSFIQA

    return RSFIQA.from_pretrained(
        model,
        segmenter=segmenter,
        reader=reader,
        regions=regions,
        device=device,
        precision=cast("Precision", precision),  # which it checks
        max_pixels=max_pixels,
    )


def make_partitioner(
    *,
    segmenter: str = "embedded",
    regions: Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
) -> Partitioner:
    """Load what divides pictures, without a scorer; this is where torch is imported."""
    from rsfiqa.partitioning import Partitioner

    return Partitioner.build(
        segmenter,
        regions=regions,
        device=device,
        precision=cast("Precision", precision),  # which it checks
    )


def on_terminal(*, prints: bool = False) -> bool:
    """Whether somebody watches standard error, where a progress bar is shown.

    Args:
        prints: results go to standard output meanwhile; on the same terminal they are progress
            enough, and a bar would garble them.
    """
    return sys.stderr.isatty() and not (prints and sys.stdout.isatty())


class Advance(Protocol):
    """Tells a progress bar that more is done, with a word on how it goes."""

    def __call__(self, count: int, word: str = "") -> None: ...


@contextmanager
def progress(what: str, total: int, *, shown: bool) -> Iterator[Advance]:
    """A progress bar on standard error, which vanishes when all is done; nothing unless `shown`."""
    if not shown:
        yield lambda count, word="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[word]}"),
    )
    with Progress(*columns, TimeLeft(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, word="")

        def advance(count: int, word: str = "") -> None:
            bar.update(task, advance=count, word=word)

        yield advance
