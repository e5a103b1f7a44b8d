"""`rsfiqa bench read`: the figures on step 2, as tables, JSON and plots."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.cli.reader_options import ReaderOption, ReaderOptions
from rsfiqa.cli.unfolding import unfolded
from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    from rsfiqa.learning.reading_bench import BenchOutcome

RELIABILITY_PLOT = "reliability.png"


@unfolded
def read(
    *,
    reader: ReaderOption = "embedded",
    spoiled: Annotated[
        Path | None,
        typer.Option(
            metavar="SET",
            help="Instruction data of photographs that the reader never learned from: does it find "
            "what was done?",
        ),
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            metavar="SET",
            help="Instruction data of labelled photographs that the reader never learned from: does "
            "it see the faults that somebody saw?",
        ),
    ] = None,
    taught_on: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="SET",
            help="The instruction data that the reader learned from: a linear head without a "
            "language model learns from it, too, and stands beside the reader. May be given "
            "several times.",
        ),
    ] = None,
    clean: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Clean photographs: do ratings of untouched regions stay when one is spoiled?",
        ),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="MMP-2k (CC BY-NC-SA: validation only): do ratings agree with the faults that "
            "people named?",
        ),
    ] = None,
    coco: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="COCO with panoptic labels: do descriptions name what the val split is labelled?",
        ),
    ] = None,
    timing: Annotated[
        bool, typer.Option(help="Measure time and memory, on the CPU and two cores.")
    ] = True,
    limit: Annotated[
        int | None,
        typer.Option(help="Use at most so many pictures of each set and folder.", min=1),
    ] = None,
    seed: common.SeedOption = 0,
    segmenter: common.SegmenterOption = "embedded",
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    reading: ReaderOptions,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write plots of the figures here.")
    ] = None,
    out: common.FiguresOption = None,
) -> None:
    """Readings: do they find what was done to regions, and only there; do people agree; what they cost.

    Each part is measured when its data is given. Goals are printed at the end.
    """
    given = (spoiled, labelled, clean, people, coco)
    if all(data is None for data in given) and not timing:
        raise ConfigError(
            "there is nothing to measure; give --spoiled, --labelled, --clean, --people or --coco, "
            "or leave timing on."
        )
    if taught_on and all(data is None for data in given[:-1]):
        raise ConfigError(
            "the linear head of --taught-on has nothing to be measured on; give --spoiled, "
            "--labelled, --clean or --people."
        )
    if reader == "none":
        raise ConfigError("the reader none reads nothing; name another with --reader.")
    outputs.require_writable_figures(out)
    if plots is not None:
        _require_plots(plots, spoiled)
    from rich.console import Console

    from rsfiqa.benchmarks import machine
    from rsfiqa.cli import bench_read_tables as tables
    from rsfiqa.learning.reading_goals import judge

    figures: dict[str, Any] = {"machine": machine()}
    console, errors = Console(), Console(stderr=True)
    if any(data is not None for data in given):
        from rsfiqa.devices import choose_device, require_precision
        from rsfiqa.learning.reading_bench import BenchData, bench_reading
        from rsfiqa.parallel import cpu_workers
        from rsfiqa.regions.build import build_segmenter

        require_precision(precision)
        where = choose_device(device)
        outcome = bench_reading(
            common.make_reader(reader, options=reading, device=device),
            BenchData(spoiled, taught_on or (), labelled, _photographs(clean), people, coco),
            build_segmenter(segmenter, device=where),
            limit=limit,
            seed=seed,
            device=where,
            precision=precision,
            workers=cpu_workers() if where.type == "cpu" else 1,
            progress=_progress,
        )
        figures |= outcome.figures
        if linear := figures.get("linear"):
            console.print(tables.linear_line(linear))
        for table in tables.quality_tables(figures):
            console.print(table)
        for note in outcome.notes:
            errors.print(f"note: {note}", style="yellow")
        if plots is not None:
            _plot(outcome, plots)
    if timing:
        from rsfiqa.learning.reading_timing import measure_timing

        figures["timing"] = measure_timing(
            reader,
            reading.settings,
            told=lambda case: errors.print(f"measuring {case}", style="dim"),
        )
        console.print(tables.timing_table(figures["timing"], reader))
    figures["goals"] = judge(figures)
    console.print(tables.goals_table(figures))
    if left_out := figures.get("left_out"):
        console.print(f"left out, for want of data: {', '.join(left_out)}")
    outputs.write_figures(figures, out)


def _photographs(folder: Path | None) -> list[Path]:
    from rsfiqa.inputs import find_images

    if folder is None:
        return []
    found = [Path(p) for p in find_images([str(folder)]) if isinstance(p, str)]
    if not found:
        raise ConfigError(f"{folder} holds no photographs; --clean names a folder of them.")
    return found


def _require_plots(folder: Path, spoiled: Path | None) -> None:
    from rsfiqa.learning.reading_plots import require_plots

    if spoiled is None:
        raise ConfigError("--plots draws what --spoiled finds; give both.")
    require_plots()
    outputs.require_writable_folder(folder)


def _plot(outcome: BenchOutcome, folder: Path) -> None:
    from rsfiqa.learning.reading_plots import reliability_png
    from rsfiqa.learning.reading_raters import LINEAR, is_read
    from rsfiqa.learning.reading_spoiled import reliability_of

    rated = outcome.rated
    if rated is None:
        return
    shown = {
        "linear head" if name == LINEAR else name: reliability_of(rated, name)
        for name, levels in rated.levels.items()
        if is_read(levels).any()
    }
    if shown:
        (folder / RELIABILITY_PLOT).write_bytes(reliability_png(shown))


def _progress(what: str, total: int) -> AbstractContextManager[common.Advance]:
    return common.progress(what, total, shown=common.on_terminal())
