"""`rsfiqa bench score`: what scoring costs, stage by stage, as tables, JSON and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STAGES = {
    "whole": "whole",
    "encode": "  encode",
    "segment": "  segment",
    "labels": "  labels",
    "stem": "  stem",
    "attend": "  attend",
    "read": "read",
    "backbones": "backbones alone",
    "resnet50": "plain ResNet-50",
}
"""What the table calls each stage, in its order."""


def score(
    size: Annotated[
        list[int] | None,
        typer.Option(
            help="Side of a square picture in pixels; may be given again.",
            min=32,
            show_default="256, 512, 1024 and 2048",
        ),
    ] = None,
    regions: Annotated[
        list[int] | None,
        typer.Option(
            help="Number of regions; may be given again.", min=1, show_default="4, 16 and 64"
        ),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="eager, compile (slow to start), onnx (exports first); may be given again.",
            show_default="eager",
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32 or bf16; may be given again.", show_default="both"),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            help="Processor cores to use; may be given again.", min=1, show_default="1 and 2"
        ),
    ] = None,
    reader: Annotated[str, typer.Option(help="The reader that is timed, or none.")] = "embedded",
    model: common.ModelOption = None,
    repeats: Annotated[int, typer.Option(help="Measured turns of each stage, at most.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Time for the turns of one case.", min=0)] = 2.0,
    out: common.FiguresOption = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the times into this file.")
    ] = None,
) -> None:
    """Time and memory of scoring, beside a plain ResNet-50 and the same backbones without RSA.

    Each size is measured with 16 regions, each number of regions at 512 pixels; stages take turns, and
    every setting has a process of its own. Always on the CPU.
    """
    for path in (out, plot):
        outputs.require_writable_figures(path)
    from rich.console import Console

    from rsfiqa.atomic import write_whole
    from rsfiqa.score_benchmark import PRECISIONS, REGIONS, SIZES, Plan, bench_score, by_setting
    from rsfiqa.score_benchmark_plot import require_plots, score_png

    if plot is not None:
        require_plots()
    errors = Console(stderr=True)
    figures = bench_score(
        Plan(tuple(size or SIZES), tuple(regions or REGIONS), repeats, seconds, reader),
        engines=engine or ["eager"],
        precisions=precision or PRECISIONS,
        threads=threads or [1, 2],
        model=model,
        told=lambda what: errors.print(f"measuring {what}", style="dim"),
    )
    console = Console()
    console.print("Scoring a picture, in milliseconds\n")
    for title, rows in by_setting(figures["rows"]).items():
        console.print(_table(title, rows))
    _explain(figures, console)
    outputs.write_figures(figures, out)
    if plot is not None:
        write_whole(plot, score_png(figures))


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("pixels\nregions", no_wrap=True)
    for row in rows:
        heading = f"{row['size']}²\n{row['regions']}"
        table.add_column(heading, justify="right", no_wrap=True)
    for name, words in STAGES.items():
        found = [row["stages"].get(name) for row in rows]
        if not any(found):
            continue
        table.add_row(words, *("" if f is None else _milliseconds(f["median"]) for f in found))
        if name == "whole":
            for ends_of, end in (("  lowest", "low"), ("  highest", "high")):
                ends = [_milliseconds(f[end]) for f in found if f]
                table.add_row(ends_of, *ends, style="dim")
    for words, kind in (("regions add", "wall"), ("  without grid", "wall_after_grid")):
        added = ["" if row["added"] is None else f"{row['added'][kind]:.0%}" for row in rows]
        if any(added):
            table.add_row(words, *added)
    peaks = ["" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}" for row in rows]
    table.add_row("peak memory, MB", *peaks)
    return table


def _explain(figures: Mapping[str, Any], console: Console) -> None:
    console.print(
        "whole: from pixels to scores, without reading, with as many regions as the segmenter finds; "
        "read: what a reader takes beyond that. backbones alone: the same networks, pooled, without grid "
        "and regions. regions add: grid (in encode), labels, stem and attend, over backbones alone. "
        "Larger pictures than the pixel budget are shrunk to it."
    )
    for what, reason in figures["skipped"].items():
        console.print(f"not measured: {what} ({reason})")
    if goal := figures["goal"]:
        reference = figures["reference"]
        console.print(
            f"goal: labels, stem and attend add less than {goal['under']:.0%} at {reference['size']} "
            f"pixels and {reference['regions']} regions: {goal['added']:.1%} where it adds most, "
            f"{'reached' if goal['met'] else 'missed'} ({goal['with_grid']:.1%} with the grid)"
        )


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f}" if seconds < 0.0095 else f"{1000 * seconds:.0f}"
