"""`rsfiqa assess`: pictures in, one JSON object a picture out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs, runs
from rsfiqa.cli.assess_ray import (
    ENGINES,
    EngineOptions,
    assess_by_ray,
    make_recipe,
    names_of,
    unfamiliar_notes,
)
from rsfiqa.cli.reader_options import ReaderOption, ReaderOptions
from rsfiqa.cli.unfolding import unfolded
from rsfiqa.errors import ConfigError
from rsfiqa.reading.build import DEFAULT_READER
from rsfiqa.results import ResultsFile

if TYPE_CHECKING:
    from rsfiqa.bulk import Outcome
    from rsfiqa.distributed.publishing import Destination
    from rsfiqa.regions.given import GivenRegions
    from rsfiqa.shelf import Shelf
    from rsfiqa.sources import Source
    from rsfiqa.types import Assessment

REPORT_LIMIT = 200
"""A report shows the first pictures only, since a page of thousands opens in no browser."""


@unfolded
def assess(
    *,
    paths: common.PathsArgument,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Write the results here instead of to standard output (-): JSON Lines, or with a name "
            "in .parquet Parquet; also in object storage (s3://…). Pictures that are in it and "
            "unchanged are skipped, so that an interrupted run goes on. The documentation tells how to "
            "make a CSV of it.",
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write NAME.regions.png, NAME.attention.png and NAME.quality.png into this folder.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help=f"Write one HTML page to look at (of the first {REPORT_LIMIT} pictures).",
        ),
    ] = None,
    segmenter: common.SegmenterOption = "embedded",
    regions: common.RegionsOption = None,
    reader: ReaderOption = DEFAULT_READER,
    reading: ReaderOptions,
    model: common.ModelOption = None,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    max_pixels: common.MaxPixelsOption = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="At most so many pictures are worked on side by side.",
            show_default="one a core, or one on a GPU",
        ),
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks/--no-masks", help="Put the regions' masks into the JSON.")
    ] = True,
    work: EngineOptions,
    quiet: common.QuietOption = False,
) -> None:
    """Assess pictures: one JSON object a line, in the order of the input.

    PATH may also be Parquet or lie in object storage. A picture that cannot be assessed gives an object
    with its error in its place, and exit status 1. To look at results, add --report FILE.html.
    """
    from rsfiqa.bulk import assess_many
    from rsfiqa.distributed.publishing import Destination

    _check_engine(work.engine, overlay, report)
    destination = None if out in {None, "-"} else Destination.of(str(out))
    _check_outputs(destination, overlay, report)
    collection = work.gather(paths)
    inputs = collection.inputs
    if not any(isinstance(given, str) for given in inputs):
        runs.give_up(inputs, to_standard_output=destination is None)
    if work.engine == "ray":
        recipe = make_recipe(
            reading,
            model=model,
            segmenter=segmenter,
            regions=None if regions is None else str(regions),
            reader=reader,
            device=device,
            precision=precision,
            max_pixels=max_pixels,
            masks=masks,
        )
        tally, notes = assess_by_ray(collection, recipe, work, destination, quiet=quiet)
        runs.summarise(tally, "assessed", notes, quiet=quiet)
        raise typer.Exit(1 if tally.failures else 0)
    chosen_reader = common.make_reader(
        reader, options=reading, device=device, encoder_precision=precision
    )
    assessor = common.make_assessor(
        model=model,
        segmenter=segmenter,
        regions=regions,
        reader=chosen_reader,
        device=device,
        precision=precision,
        max_pixels=max_pixels,
    )
    with ExitStack() as stack:
        file: ResultsFile | None = None
        if destination is not None:
            destination.take_up()
            file = stack.enter_context(ResultsFile(destination.journal, assessor.info))
        names = names_of(inputs)
        overlays = outputs.OverlayFolder(overlay, names) if overlay else None
        run = _Run(
            names,
            file,
            overlays,
            assessor.regions,
            with_masks=masks,
            with_report=report is not None,
        )
        ready = assess_many(
            assessor,
            collection,
            is_kept=run.is_kept,
            batch_size=batch_size,
            max_pixels=max_pixels,
            finish=run.draw,
        )
        shown = not quiet and common.on_terminal(prints=file is None)
        tally = runs.take_all(run.take, ready, "assessing", len(inputs), shown=shown)
        if file is not None and destination is not None:
            file.finish(names)
            destination.publish()
        if report is not None:
            run.save_report(report, tally)
    run.notes.extend(unfamiliar_notes(run.unfamiliar))
    run.notes.extend(getattr(chosen_reader, "notes", ()))
    runs.summarise(tally, "assessed", run.notes, quiet=quiet)
    raise typer.Exit(1 if tally.failures else 0)


def _check_engine(engine: str, overlay: Path | None, report: Path | None) -> None:
    if engine not in ENGINES:
        raise ConfigError(f"--engine is {' or '.join(ENGINES)}; got {engine}.")
    if engine == "ray" and (overlay is not None or report is not None):
        raise ConfigError(
            "--overlay and --report are drawn on this machine; with --engine ray write --out, and make a "
            "page of it with rsfiqa report."
        )


def _check_outputs(
    destination: Destination | None, overlay: Path | None, report: Path | None
) -> None:
    """Find out before the work, not after it, that its results cannot be written."""
    if report is not None and report.suffix.lower() not in {".html", ".htm"}:
        raise ConfigError(f"--report takes a file name that ends in .html; got {report}.")
    if destination is not None:
        if Path(destination.location).suffix.lower() in {".csv", ".tsv", ".xls", ".xlsx"}:
            raise ConfigError(
                f"--out writes JSON Lines or Parquet; got {destination.location}. Name it "
                "results.jsonl, and make a table of it with "
                "rsfiqa.to_frame(read_results(...)).to_csv(...)."
            )
        outputs.require_writable_file(destination.journal)
        destination.require_writable()
    if report is not None:
        outputs.require_writable_file(report)
    if overlay is not None:
        outputs.require_writable_folder(overlay)


class _Run:
    """Where the outcomes of one run go.

    Overlays are written before the picture's line, so that a line says that all is there.
    """

    def __init__(
        self,
        names: Sequence[str],
        file: ResultsFile | None,
        overlays: outputs.OverlayFolder | None,
        regions: GivenRegions | None,
        *,
        with_masks: bool,
        with_report: bool,
    ) -> None:
        self.names = names
        self._file = file
        self._sink = outputs.StandardOutput() if file is None else file
        self._overlays = overlays
        self._regions = regions
        self._masks = with_masks
        self._shelf: Shelf | None = None
        self.unfamiliar: list[str] = []
        self._reported: set[str] = set()
        self.notes: list[str] = list(self._sink.notes)
        if with_report:
            from rsfiqa.shelf import Shelf

            self._shelf = Shelf()
            self._reported = set(names[:REPORT_LIMIT])
            if len(names) > REPORT_LIMIT:
                self.notes.append(
                    f"the report shows the first {REPORT_LIMIT} of {len(names)} pictures."
                )

    def is_kept(self, source: Source) -> bool:
        """Whether all that is asked for of this picture is there, and the picture unchanged.

        Regions that could not be read are tried again. A report shows a picture that is kept from its
        file; one that has none is assessed again for it.
        """
        name = source.name
        if name in self._reported and not source.is_file:
            return False
        masks = self._masks or name in self._reported
        if self._file is None or name not in self._file:
            return False
        segmenter = None if self._regions is None else self._regions.identity(name)
        if not self._file.has_result(name, masks=masks, segmenter=segmenter):
            return False
        if common.has_failed_readings(self._file.text_of(name)):
            return False
        if self._overlays is not None and not self._overlays.is_complete(name):
            return False
        return self._file.is_unchanged(name, source.sha256(), masks=masks, segmenter=segmenter)

    def draw(self, name: str, assessment: Assessment) -> None:
        """Draw what is asked for of a picture; called beside the others, before it is taken."""
        if self._overlays is not None:
            self._overlays.save(name, assessment)

    def take(self, outcomes: Sequence[Outcome[Assessment]], tally: runs.Tally) -> None:
        """Write what became ready, count it, and put aside what the report will show."""
        records: list[dict[str, Any]] = []
        for outcome in outcomes:
            if outcome.result is not None:
                tally.done += 1
                if outcome.result.familiar is False:
                    self.unfamiliar.append(outcome.name)
                records.append(outcome.result.to_dict(masks=self._masks))
                if self._shelf is not None and outcome.name in self._reported:
                    self._shelf.put(outcome.result)
            elif outcome.error is not None:
                tally.failures.append((outcome.name, outcome.error))
                if runs.names_a_picture(outcome.name):
                    records.append(runs.error_line(outcome, self._file))
            else:
                tally.kept += 1
                if (
                    self._file is not None
                    and self._shelf is not None
                    and outcome.name in self._reported
                ):
                    self._shelf.put_line(self._file.text_of(outcome.name), Path(outcome.name))
        if records:
            self._sink.write(records)

    def save_report(self, path: Path, tally: runs.Tally) -> None:
        from rsfiqa.report.html import save_report

        if self._shelf is None:
            return
        try:
            save_report(self._shelf, path, failures=tally.failures)
        except OSError as error:
            raise outputs.unwritable(path, error) from error
        self.notes.append(f"the report is at {path.resolve()}")
