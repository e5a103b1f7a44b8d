"""`rsfiqa bench collection`: a whole collection's pace and memory, as a table, JSON and a plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.cli.reader_options import ReaderOption
from rsfiqa.errors import ConfigError
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rich.table import Table


def collection(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Photographs or folders of them, of which the collection is made.",
            show_default="the sample photographs",
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option(help="How many pictures; 240 of them differ at most.", min=1)
    ] = 40,
    sides: Annotated[
        tuple[int, int],
        typer.Option(metavar="LOW HIGH", help="Shortest and longest long side, in pixels."),
    ] = (256, 4000),
    command: Annotated[
        str,
        typer.Option(
            metavar="assess|read",
            help="What is measured; read, with --segmenter grid and --reader none, needs no network.",
        ),
    ] = "assess",
    segmenter: common.SegmenterOption = "embedded",
    reader: ReaderOption = DEFAULT_READER,
    model: common.ModelOption = None,
    precision: common.PrecisionOption = "fp32",
    stages: Annotated[
        bool, typer.Option("--stages/--no-stages", help="Measure each stage by itself, too.")
    ] = True,
    seed: common.SeedOption = 0,
    out: common.FiguresOption = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw pace and memory into this file.")
    ] = None,
) -> None:
    """Many pictures of mixed sizes, one in fifty damaged: how fast, how near to what the cores allow,
    and does memory stay flat?

    Whole and stages have processes of their own; always on the CPU, with nothing kept from run to run.
    """
    from rich.console import Console

    from rsfiqa.atomic import write_whole
    from rsfiqa.collection_benchmark import Plan, bench_collection
    from rsfiqa.collection_benchmark_jobs import Setting
    from rsfiqa.collection_benchmark_plot import collection_png
    from rsfiqa.score_benchmark_plot import require_plots

    for path in (out, plot):
        outputs.require_writable_figures(path)
    if plot is not None:
        require_plots()
    errors = Console(stderr=True)
    setting = Setting(command, segmenter, reader, precision, model)
    figures = bench_collection(
        Plan(pictures, _sources(paths or []), sides, setting, stages, seed),
        told=lambda what: errors.print(f"measuring: {what}", style="dim"),
    )
    console = Console()
    console.print(_table(figures))
    for line in _lines(figures):
        console.print(line, soft_wrap=True)
    outputs.write_figures(figures, out)
    if plot is not None:
        write_whole(plot, collection_png(figures))


def _sources(paths: list[str]) -> tuple[str, ...]:
    from rsfiqa.inputs import find_images

    found = find_images(paths)
    bad = [given for given in found if not isinstance(given, str)]
    if bad:
        raise ConfigError(bad[0].error)
    return tuple(given for given in found if isinstance(given, str))


def _table(figures: Mapping[str, Any]) -> Table:
    from rich.table import Table

    plan, whole, bounds = figures["plan"], figures["whole"], figures["bounds"]
    low, high = plan["sides"]
    table = Table(
        title=f"rsfiqa {plan['setting']['command']}, {whole['pictures']:,} pictures of {low} to {high} "
        f"pixels, {figures['machine']['cores']} cores",
        title_justify="left",
    )
    table.add_column("", no_wrap=True)
    table.add_column("pictures\na second", justify="right")
    table.add_column("processor\nms a picture", justify="right")
    for name, stage in figures["stages"].items():
        table.add_row(f"{name} alone", f"{stage['rate']:.2f}", f"{1000 * stage['cpu']:.1f}")
    if bounds is not None:
        cpu = 1000 * sum(stage["cpu"] for stage in figures["stages"].values())
        table.add_row("stages in a row", f"{bounds['in_a_row']:.2f}", f"{cpu:.1f}")
        table.add_row(f"bound: {bounds['bound_by']}", f"{bounds['bound']:.2f}", "")
    table.add_row("the whole", f"{whole['rate']:.2f}", f"{1000 * whole['cpu']:.1f}")
    return table


def _lines(figures: Mapping[str, Any]) -> list[str]:
    whole, bounds, memory = figures["whole"], figures["bounds"], figures["memory"]
    lines = []
    if bounds is not None:
        why = (
            f"processor time of all stages over the {bounds['cores']:.2f} cores that the machine gave"
            if bounds["bound_by"] == "cores"
            else f"the stage {bounds['bound_by']} alone, which waits for more than the cores"
        )
        lines.append(
            f"The whole runs at {bounds['of_row']:.0%} of the stages in a row (each alone with all "
            f"cores, by the clock), and at {bounds['of_bound']:.0%} of the bound ({why})."
        )
    lines.append(
        f"{whole['failed']} of {whole['pictures']:,} failed; {figures['damaged']} are damaged."
    )
    if memory["most_mb"] is None:
        lines.append("Memory cannot be seen on this platform.")
    elif memory["growth_mb"] is None:
        lines.append(
            f"Memory: {memory['most_mb']:,.0f} MB at most; too few pictures to tell of growth."
        )
    else:
        lines.append(
            f"Memory: {memory['most_mb']:,.0f} MB at most; {memory['growth_mb']:+.2f} MB for 1,000 "
            f"pictures from the second quarter to the last: {'flat' if memory['flat'] else 'NOT flat'}."
        )
    return lines
