"""`rsfiqa bench rsa`: time and memory of region-aware semantic attention, as a table and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs

if TYPE_CHECKING:
    from rich.table import Table


def rsa(
    side: Annotated[
        list[int] | None,
        typer.Option(
            help="Side of a square feature map in positions; may be given again.",
            min=1,
            show_default="16, 32 and 64",
        ),
    ] = None,
    regions: Annotated[
        list[int] | None,
        typer.Option(
            help="Number of regions; may be given again.", min=1, show_default="4, 16, 64 and 256"
        ),
    ] = None,
    width: Annotated[
        int, typer.Option(help="Channels of the map, and width of attention.", min=1)
    ] = 64,
    heads: Annotated[int, typer.Option(help="Attention heads.", min=1)] = 4,
    batch: Annotated[int, typer.Option(help="Feature maps at once.", min=1)] = 1,
    repeats: Annotated[int, typer.Option(help="Measured runs of each.", min=1)] = 7,
    threads: Annotated[
        int, typer.Option(help="Processor cores to use; 0 for torch's own choice.", min=0)
    ] = 0,
    out: common.FiguresOption = None,
) -> None:
    """RSA forward and backward, against positions and regions, beside unmasked attention.

    Attention is one torch.nn.MultiheadAttention of the same width over the same positions; the two take
    turns. Memory is what a step adds to its process. Always on the CPU.
    """
    outputs.require_writable_figures(out)
    from rich.console import Console

    from rsfiqa.benchmarks import machine
    from rsfiqa.learning.rsa_bench import REGIONS, SIDES, bench_rsa

    errors = Console(stderr=True)
    figures: dict[str, Any] = {"machine": machine()} | bench_rsa(
        side or SIDES,
        regions or REGIONS,
        width=width,
        heads=heads,
        batch=batch,
        repeats=repeats,
        threads=threads,
        told=lambda case: errors.print(f"measuring {case}", style="dim"),
    )
    console = Console()
    console.print(_table(figures))
    console.print("fwd, bwd: milliseconds forward and backward; MB: what a step adds to memory")
    if goal := figures["goal"]:
        verdict = "reached" if goal["met"] else "missed"
        console.print(
            f"goal: 64 regions on 64×64 positions under {goal['under']:g} times attention's time: "
            f"{goal['ratio']:.2f}, {verdict}",
            soft_wrap=True,
        )
    outputs.write_figures(figures, out)


def _table(figures: Mapping[str, Any]) -> Table:
    from rich.table import Table

    threads = figures["rows"][0]["threads"]
    table = Table(
        title=f"RSA beside attention, width {figures['width']}, {figures['heads']} heads, batch "
        f"{figures['batch']}, {threads} thread{'s' if threads > 1 else ''}",
    )
    measured = [f"{name}\n{of}" for name in ("RSA", "attn.") for of in ("fwd", "bwd", "MB")]
    for column in ("positions", "regions", *measured, "time\nRSA/attn."):
        table.add_column(column, justify="right", no_wrap=True)
    for row in figures["rows"]:
        cells = [f"{row['side']}×{row['side']}", str(row["regions"])]
        for name in ("rsa", "attention"):
            cells += [f"{1000 * row[name][step]:.1f}" for step in ("forward", "backward")]
            cells.append(_megabytes(row[name]["peak_mb"]))
        table.add_row(*cells, f"{row['ratio']:.2f}")
    return table


def _megabytes(peak: float | None) -> str:
    return "unknown" if peak is None else f"{peak:.0f}"
