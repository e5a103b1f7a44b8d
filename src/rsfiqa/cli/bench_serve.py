"""`rsfiqa bench serve`: the server under load, as a table and JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.reading.build import DEFAULT_READER


def serve(
    clients: Annotated[int, typer.Option(help="Clients that send at the same time.", min=1)] = 64,
    seconds: Annotated[float, typer.Option(help="How long they send.", min=1)] = 30.0,
    reader: Annotated[str, typer.Option(help="The server's reader, as for rsfiqa serve.")] = (
        DEFAULT_READER
    ),
    queue: Annotated[
        int, typer.Option(help="The server's queue, as for rsfiqa serve.", min=1)
    ] = 32,
    kill: Annotated[
        bool, typer.Option("--kill/--no-kill", help="Also kill a server and start another.")
    ] = True,
    out: common.FiguresOption = None,
) -> None:
    """A server of its own under load: proper answers, those of rsfiqa assess, and flat memory.

    Exit status 1 if anything was not as it should be.
    """
    from rich.console import Console
    from rich.table import Table

    from rsfiqa.benchmarks import machine
    from rsfiqa.service.load_bench import bench_serve

    outputs.require_writable_figures(out)
    errors = Console(stderr=True)
    figures = {"machine": machine()} | bench_serve(
        clients=clients,
        seconds=seconds,
        reader=reader,
        queue=queue,
        kill=kill,
        told=lambda step: errors.print(step, style="dim"),
    )
    table = Table(title=f"{clients} clients, {figures['took']:.0f} s, reader {reader}")
    table.add_column("")
    table.add_column("", justify="right")
    requests = figures["requests"]
    for status, count in requests["statuses"].items():
        table.add_row(f"answers with status {status}", str(count))
    table.add_row("clients that left on purpose", str(requests["left"]))
    table.add_row("wrong answers", str(requests["wrong"]))
    table.add_row("requests without an answer", str(sum(requests["broken"].values())))
    table.add_row("pictures a second", f"{figures['pictures_a_second']:.2f}")
    for name, value in figures["seconds"].items():
        table.add_row(f"seconds to an assessment, {name}", f"{value:.2f}")
    memory = figures["memory"]
    if memory["growth"] is not None:
        table.add_row("memory at most, with decoders", f"{memory['most_mb']:.0f} MB")
        table.add_row("last quarter's to second quarter's", f"{memory['growth']:.3f}")
    console = Console()
    console.print(table)
    for what, met in figures["met"].items():
        verdict = {True: "yes", False: "NO ", None: "too short to tell:"}[met]
        console.print(f"{verdict}  {what}", soft_wrap=True)
    outputs.write_figures(figures, out)
    raise typer.Exit(1 if False in figures["met"].values() else 0)
