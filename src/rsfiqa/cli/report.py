"""`rsfiqa report`: results of many pictures in, one page about all of them out."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.errors import ConfigError


def report(
    *,
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS",
            help="Results that rsfiqa assess --out or rsfiqa read --out wrote (.jsonl), and folders "
            "of them.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE.html",
            help="The page. Its thumbnails go into a folder beside it, FILE_files.",
        ),
    ] = Path("overview.html"),
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the pictures are, if they have moved.",
            show_default="where the results say, or beside them",
        ),
    ] = None,
    thumbnails: Annotated[
        bool,
        typer.Option(
            "--thumbnails/--no-thumbnails", help="Make thumbnails, with the regions over them."
        ),
    ] = True,
    quiet: common.QuietOption = False,
) -> None:
    """Show a collection: how its scores are spread, its problems, its worst and best pictures.

    Nothing is assessed again: pictures are only made small for the page, and those that are not
    found are named. Thumbnails that are there are kept, so that an interrupted run goes on.
    """
    if out.suffix.lower() not in {".html", ".htm"}:
        raise ConfigError(f"--out takes a file name that ends in .html; got {out}.")
    if pictures is not None and not pictures.is_dir():
        raise ConfigError(f"--pictures takes the folder of the pictures; {pictures} is none.")
    outputs.require_writable_file(out)
    from rsfiqa.report.collection import find_sources, save_collection_report

    sources = find_sources(results)
    total = sum(map(len, sources))
    start = time.perf_counter()
    shown = not quiet and common.on_terminal()
    with common.progress("reporting", total, shown=shown) as advance:
        made = save_collection_report(
            sources,
            out,
            pictures=pictures,
            thumbnails=thumbnails,
            workers=os.cpu_count() or 1,
            advance=advance,
        )
    if not quiet:
        failed = f", {made.failures:,} of the results are failures" if made.failures else ""
        seconds = time.perf_counter() - start
        typer.echo(
            f"rsfiqa: {made.path} shows {made.pictures:,} pictures{failed} ({seconds:.1f} s).",
            err=True,
        )
    for note in made.notes:
        typer.echo(f"rsfiqa: {note}", err=True)
    for name in made.missing:
        typer.echo(f"rsfiqa: not found: {name}", err=True)
