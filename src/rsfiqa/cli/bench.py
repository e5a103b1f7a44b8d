"""`rsfiqa bench`: the measurements behind the figures in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsfiqa.cli import outputs
from rsfiqa.cli.bench_read import read
from rsfiqa.cli.bench_rsa import rsa
from rsfiqa.cli.bench_sanity import sanity
from rsfiqa.cli.bench_score import score
from rsfiqa.cli.bench_segment import segment
from rsfiqa.cli.bench_serve import serve
from rsfiqa.reading.build import DEFAULT_READER

app = typer.Typer(
    help="Measure speed, memory, locality, sanity, segmentation, reading, RSA and the server on this machine.",
    no_args_is_help=True,
)
app.command()(segment)
app.command()(serve)
app.command()(read)
app.command()(rsa)
app.command()(sanity)
app.command()(score)

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]


@app.command()
def assess(
    json_file: JsonOption = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    huge: Annotated[bool, typer.Option(help="Measure 100 megapixels too.")] = True,
) -> None:
    """Time and memory of assessing pictures, and where the time goes."""
    from rich.console import Console
    from rich.table import Table

    from rsfiqa.benchmarks import bench_assess

    outputs.require_writable_figures(json_file)
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
    outputs.write_figures(figures, json_file)


@app.command()
def locality(
    pictures: Annotated[Path, typer.Argument(help="A folder of clean photographs.")],
    json_file: JsonOption = None,
    limit: Annotated[int, typer.Option(help="Pictures at most.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Of regions and distortions.")] = 0,
    model: Annotated[
        str | None,
        typer.Option(help="A trained scorer's folder or hub id.", show_default="packaged"),
    ] = None,
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
    from rsfiqa.cli.common import make_assessor, on_terminal, progress
    from rsfiqa.inputs import find_images
    from rsfiqa.learning.locality import measure_locality

    outputs.require_writable_figures(json_file)
    paths = [Path(p) for p in find_images([str(pictures)]) if isinstance(p, str)][:limit]
    # A scorer that sees no readings scores the same without them, and sooner.
    scorer = load_scorer(model)
    reader = reader or (DEFAULT_READER if scorer.reads else "none")
    assessor = make_assessor(model=scorer, reader=reader)
    with progress("spoiling", len(paths), shown=on_terminal()) as advance:
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
    outputs.write_figures(figures, json_file)
