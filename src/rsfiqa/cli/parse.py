"""`rsfiqa parse`: the regions of a whole data set, read once and kept in the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsfiqa.cli import common, outputs, runs
from rsfiqa.cli.read import why_incomplete
from rsfiqa.cli.reader_options import CacheOption, ReaderOption, ReaderSettings
from rsfiqa.cli.unfolding import unfolded
from rsfiqa.errors import ConfigError
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rsfiqa.bulk import Outcome
    from rsfiqa.parsing import Parsed


@unfolded
def parse(
    *,
    datasets: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET",
            help="CSV files of a data set (image,mos), NAME:FOLDER for a data set that rsfiqa data "
            "knows, pictures, folders (searched with their sub-folders), globs, or - for a list on "
            "standard input.",
            show_default=False,
        ),
    ],
    reader: ReaderOption = DEFAULT_READER,
    reading: ReaderSettings,
    cache: CacheOption = None,
    segmenter: common.SegmenterOption = "embedded",
    regions: common.RegionsOption = None,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    max_pixels: common.MaxPixelsOption = None,
    image_column: common.ImageColumnOption = "image",
    score_column: common.ScoreColumnOption = "mos",
    quiet: common.QuietOption = False,
) -> None:
    """Divide and read all pictures of a data set ahead of time: training and later runs find them.

    What has been read is skipped, so that an interrupted run goes on. Regions that could not be
    read are named, give exit status 1, and are tried again next time.
    """
    if reader == "none":
        raise ConfigError(
            "the reader none reads nothing that could be kept; give --reader embedded, hf:MODEL or "
            "server:URL."
        )
    from rsfiqa.assets import cache_folder
    from rsfiqa.bulk import work_through
    from rsfiqa.inputs import find_images

    folder = cache or cache_folder()
    outputs.require_writable_folder(folder)
    inputs = find_images(_pictures_of(datasets, image_column, score_column))
    if not any(isinstance(given, str) for given in inputs):
        runs.give_up(inputs, to_standard_output=False)
    chosen_reader = common.make_reader(
        reader,
        options=reading.kept_in(folder),
        device=device,
        encoder_precision=precision,
    )
    parser = common.make_parser(
        chosen_reader,
        segmenter=segmenter,
        regions=regions,
        device=device,
        precision=precision,
        cache=folder,
    )
    run = _Run()
    ready = work_through(
        parser.parse,
        inputs,
        is_kept=parser.is_kept,
        workers=parser.workers,
        max_pixels=max_pixels,
    )
    shown = not quiet and common.on_terminal()
    tally = runs.take_all(run.take, ready, "parsing", len(inputs), shown=shown)
    notes = parser.notes
    if run.failed_regions:
        notes = [
            f"{run.failed_regions} regions could not be read; run it again to try them.",
            *notes,
        ]
    runs.summarise(tally, "read", notes, quiet=quiet)
    raise typer.Exit(1 if tally.failures or parser.notes else 0)


def _pictures_of(given: Iterable[str], image_column: str, score_column: str) -> Iterator[str]:
    """The pictures of CSV files and of named data sets in their place; everything else as it is."""
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.known_sets.loading import named_set

    for path in given:
        is_csv = Path(path).suffix.lower() == ".csv" and Path(path).is_file()
        if is_csv or named_set(path) is not None:
            scored = ScoredImages.from_csv(
                path, image_column=image_column, score_column=score_column
            )
            yield from (str(row.path) for row in scored)
        else:
            yield path


class _Run:
    """Counts what became of the pictures; what was read of them is in the cache already."""

    def __init__(self) -> None:
        self.failed_regions = 0

    def take(self, outcomes: Sequence[Outcome[Parsed]], tally: runs.Tally) -> None:
        for outcome in outcomes:
            parsed = outcome.result
            error = outcome.error if parsed is None else why_incomplete(parsed)
            if error is not None:
                tally.failures.append((outcome.name, error))
            elif parsed is not None:
                tally.done += 1
            else:
                tally.kept += 1
            self.failed_regions += len(parsed.failed) if parsed is not None else 0
