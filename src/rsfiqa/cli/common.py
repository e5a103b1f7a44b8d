"""What several commands share: making the assessor, its options, progress."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, cast

import typer

from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA
    from rsfiqa.cli.reader_options import ReaderOptions
    from rsfiqa.devices import Precision
    from rsfiqa.parsing import Parser
    from rsfiqa.partitioning import Partitioner
    from rsfiqa.reading.base import Reader
    from rsfiqa.scoring.checkpoint import Checkpoint

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
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where models run: auto (a CUDA GPU where there is one, else the processor), cpu, cuda, "
        "cuda:1, mps."
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        help="Precision of the backbones: fp32, or bf16, which is faster on hardware made for it and "
        "moves scores by some tenths of a point."
    ),
]

MaxPixelsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Refuse pictures with more pixels.", show_default="200 million"),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no summary; failures are still named."),
]

BatchSizeOption = Annotated[
    int, typer.Option(min=1, help="Pictures that go through the model together.")
]

# Of measurements.
FiguresOption = Annotated[
    Path | None,
    typer.Option(
        "--out", "--json", metavar="FILE.json", help="Write all figures to this file, too."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed of all random choices.", min=0)]
LimitOption = Annotated[int | None, typer.Option(help="Use at most so many pictures.", min=1)]

# Of tables of human scores.
ImageColumnOption = Annotated[str, typer.Option(help="Column of the pictures' names.")]
ScoreColumnOption = Annotated[str, typer.Option(help="Column of the human scores.")]
ScoreRangeOption = Annotated[
    tuple[float, float] | None,
    typer.Option(help="Lowest and highest possible score.", show_default="from the values"),
]
FeatureCacheOption = Annotated[
    Path | None,
    typer.Option(help="Folder of cached features.", show_default="asset cache"),
]
LowerIsBetterOption = Annotated[bool, typer.Option(help="Low scores are good, as with DMOS.")]


def given_command() -> str:
    """This run's command line, as a shell takes it."""
    return " ".join(["rsfiqa", *map(shlex.quote, sys.argv[1:])])


def make_reader(
    reader: str = DEFAULT_READER,
    *,
    options: ReaderOptions | None = None,
    device: str = "auto",
    encoder_precision: str = "fp32",
) -> Reader:
    """Load the reader that the options ask for.

    Args:
        reader: its name, see `rsfiqa.reading.build.READERS`.
        options: how it is set up. Where they leave its precision open, the embedded reader, which
            reads the encoder's features, takes the encoder's.
        device: where a model on this machine runs.
        encoder_precision: of the encoder.

    Raises:
        ConfigError: an option is not among those accepted, or a folder is named for readings that
            are not to be kept.
        DataError: the named folder cannot be written.
    """
    from rsfiqa.cli.outputs import require_writable_folder
    from rsfiqa.cli.reader_options import ReaderOptions
    from rsfiqa.errors import ConfigError
    from rsfiqa.reading.build import build_reader, precision_of

    options = options or ReaderOptions()
    if options.cache is not None:
        if options.cache_readings is False:
            raise ConfigError("--cache names where to keep what --no-cache-readings forgets.")
        require_writable_folder(options.cache)
    settings = options.settings
    settings["precision"] = settings["precision"] or precision_of(reader, encoder_precision)
    keep = options.cache_readings if options.cache is None else options.cache
    return build_reader(reader, device=device, **settings, cache=keep)


def make_parser(
    reader: Reader,
    *,
    segmenter: str = "embedded",
    regions: Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    cache: Path | None = None,
) -> Parser:
    """Load what divides pictures and has them read, without a scorer."""
    from rsfiqa.parsing import Parser

    return Parser.build(
        segmenter,
        reader,
        regions=regions,
        device=device,
        precision=cast("Precision", precision),  # which it checks
        cache=cache,
    )


def make_assessor(
    *,
    model: str | Checkpoint | None = None,
    segmenter: str = "embedded",
    reader: str | Reader = DEFAULT_READER,
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


def has_failed_readings(line: bytes) -> bool:
    """Whether a line of results has regions that could not be read: these are tried again."""
    regions = json.loads(line).get("regions", ())
    return any(region.get("reading") == "failed" for region in regions)


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
