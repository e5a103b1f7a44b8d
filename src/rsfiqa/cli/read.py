"""`rsfiqa read`: pictures in, what a reader says of their regions out; no score."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs, runs
from rsfiqa.cli.reader_options import ReaderOption, ReaderOptions
from rsfiqa.cli.unfolding import unfolded
from rsfiqa.reading.build import DEFAULT_READER
from rsfiqa.results import ResultsFile

if TYPE_CHECKING:
    from rsfiqa.bulk import Outcome
    from rsfiqa.parsing import Parsed, Parser
    from rsfiqa.sources import Source


@unfolded
def read(
    *,
    paths: common.PathsArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Write the readings here instead of to standard output (-). Pictures that are in "
            "it, unchanged and read whole, are skipped, so that an interrupted run goes on.",
        ),
    ] = None,
    reader: ReaderOption = DEFAULT_READER,
    reading: ReaderOptions,
    segmenter: common.SegmenterOption = "embedded",
    regions: common.RegionsOption = None,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    max_pixels: common.MaxPixelsOption = None,
    masks: Annotated[
        bool, typer.Option("--masks/--no-masks", help="Put the regions' masks into the JSON.")
    ] = True,
    quiet: common.QuietOption = False,
) -> None:
    """Describe and rate the regions of pictures, without a score: one JSON object a line.

    A picture with regions that could not be read is named, and gives exit status 1; its line says
    which regions, and why, and it is read again next time. Where none could be read, the line is
    an error.
    """
    if out == Path("-"):
        out = None
    if out is not None:
        outputs.require_writable_file(out)
    from rsfiqa.bulk import work_through
    from rsfiqa.inputs import find_images

    inputs = find_images(paths)
    if not any(isinstance(given, str) for given in inputs):
        runs.give_up(inputs, to_standard_output=out is None)
    chosen_reader = common.make_reader(
        reader, options=reading, device=device, encoder_precision=precision
    )
    parser = common.make_parser(
        chosen_reader, segmenter=segmenter, regions=regions, device=device, precision=precision
    )
    names = [given if isinstance(given, str) else given.path for given in inputs]
    with ExitStack() as stack:
        file: ResultsFile | None = None
        if out is not None:
            file = stack.enter_context(ResultsFile(out, parser.info, mark="readings"))
        run = _Run(parser, file, with_masks=masks)
        ready = work_through(
            parser.parse,
            inputs,
            is_kept=run.is_kept,
            workers=parser.workers,
            max_pixels=max_pixels,
        )
        shown = not quiet and common.on_terminal(prints=file is None)
        tally = runs.take_all(run.take, ready, "reading", len(inputs), shown=shown)
        if file is not None:
            file.finish(names)
    notes = [*(file.notes if file is not None else ()), *parser.notes]
    runs.summarise(tally, "read", notes, quiet=quiet)
    raise typer.Exit(1 if tally.failures else 0)


def why_incomplete(parsed: Parsed) -> str | None:
    """Why a picture does not count as read, in one sentence; None where no region failed."""
    if not parsed.failed:
        return None
    of = f"{len(parsed.failed)} of {len(parsed.readings)} regions"
    reasons = list(dict.fromkeys(reading.reason or "" for reading in parsed.failed))
    more = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
    return f"{of} could not be read: {reasons[0]}{more}"


class _Run:
    """Where the readings of one run go."""

    def __init__(self, parser: Parser, file: ResultsFile | None, *, with_masks: bool) -> None:
        self._parser = parser
        self._file = file
        self._sink = outputs.StandardOutput() if file is None else file
        self._masks = with_masks

    def is_kept(self, source: Source) -> bool:
        """Whether the picture's line is there, with nothing failed, and the picture unchanged."""
        name = source.name
        if self._file is None or name not in self._file:
            return False
        asked: dict[str, Any] = {"masks": self._masks, "segmenter": self._parser.identity(name)}
        if not self._file.has_result(name, **asked):
            return False
        if common.has_failed_readings(self._file.text_of(name)):
            return False
        return self._file.is_unchanged(name, source.sha256(), **asked)

    def take(self, outcomes: Sequence[Outcome[Parsed]], tally: runs.Tally) -> None:
        """Write what became ready, and count it."""
        records: list[dict[str, Any]] = []
        for outcome in outcomes:
            parsed = outcome.result
            error = outcome.error if parsed is None else why_incomplete(parsed)
            if error is not None:
                tally.failures.append((outcome.name, error))
            elif parsed is not None:
                tally.done += 1
            else:
                tally.kept += 1
            if parsed is not None and len(parsed.failed) < len(parsed.readings):
                records.append(parsed.to_dict(self._parser.info, masks=self._masks))
            elif error is not None and runs.names_a_picture(outcome.name):
                # An error line, which replaces no readings of an earlier run.
                records.append(runs.error_line(replace(outcome, error=error), self._file))
        if records:
            self._sink.write(records)
