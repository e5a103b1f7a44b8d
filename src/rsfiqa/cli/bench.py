"""`rsfiqa bench`: the measurements behind the figures in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.cli.bench_ablation import ablation
from rsfiqa.cli.bench_collection import collection
from rsfiqa.cli.bench_read import read
from rsfiqa.cli.bench_rsa import rsa
from rsfiqa.cli.bench_sanity import sanity
from rsfiqa.cli.bench_score import score
from rsfiqa.cli.bench_segment import segment
from rsfiqa.cli.bench_serve import serve
from rsfiqa.reading.build import default_reader

app = typer.Typer(
    help="Measure speed, memory, locality, sanity, segmentation, reading, RSA, whole collections and the "
    "server on this machine.",
    no_args_is_help=True,
)
app.command()(segment)
app.command()(serve)
app.command()(ablation)
app.command()(read)
app.command()(rsa)
app.command()(sanity)
app.command()(score)
app.command()(collection)


@app.command()
def assess(
    out: common.FiguresOption = None,
    precision: common.PrecisionOption = "fp32",
    huge: Annotated[bool, typer.Option(help="Measure a picture of 100 megapixels, too.")] = True,
) -> None:
    """Time and memory of assessing pictures, and where the time goes."""
    from rich.console import Console
    from rich.table import Table

    from rsfiqa.benchmarks import bench_assess

    outputs.require_writable_figures(out)
    errors = Console(stderr=True)
    figures = bench_assess(
        precision, huge=huge, told=lambda case: errors.print(f"measuring {case}", style="dim")
    )
    table = Table(title=f"Assessing pictures, {precision}, {figures['machine']['cores']} cores")
    table.add_column("case")
    table.add_column("seconds", justify="right")
    table.add_column("peak memory", justify="right")
    for row in figures["measurements"]:
        peak = "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f} MB"
        table.add_row(row["case"], f"{row['seconds']:.2f}", peak)
    stages = Table(title="Where the time of a 512×512 picture goes")
    stages.add_column("stage")
    stages.add_column("milliseconds", justify="right")
    for stage, seconds in figures["stages"].items():
        stages.add_row(stage, f"{1000 * seconds:.0f}")
    console = Console()
    console.print(table)
    console.print(stages)
    outputs.write_figures(figures, out)


@app.command()
def locality(
    pictures: Annotated[Path, typer.Argument(help="A folder of clean photographs.")],
    out: common.FiguresOption = None,
    limit: common.LimitOption = 100,
    seed: common.SeedOption = 0,
    model: common.ModelOption = None,
    reader: Annotated[
        str | None,
        typer.Option(
            help="What reads the regions.", show_default="embedded where the scorer uses it"
        ),
    ] = None,
) -> None:
    """Spoil one region of each photograph: how often does that region's score fall most?"""
    from rich.console import Console
    from rich.table import Table

    from rsfiqa.assessor import load_scorer
    from rsfiqa.inputs import find_images
    from rsfiqa.learning.locality import measure_locality

    outputs.require_writable_figures(out)
    paths = [Path(p) for p in find_images([str(pictures)]) if isinstance(p, str)][:limit]
    scorer = load_scorer(model)
    assessor = common.make_assessor(model=scorer, reader=reader or default_reader(scorer.reads))
    with common.progress("spoiling", len(paths), shown=common.on_terminal()) as advance:
        figures = measure_locality(assessor, paths, seed=seed, told=lambda: advance(1))
    table = Table(title=f"One region spoiled, {figures['pictures']} photographs")
    for column in ("", "copies", "falls most", "its fall", "others' change", "picture's fall"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in figures["rows"].items():
        table.add_row(
            name,
            str(row["copies"]),
            f"{row['falls_most']:.0%}",
            f"{row['fall']:.1f}",
            f"{row['others_change']:.1f}",
            f"{row['picture_fall']:.1f}",
        )
    Console().print(table)
    outputs.write_figures(figures, out)
