"""`rsfiqa demo`: sample photographs, whole and with one region spoiled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsfiqa.cli import common, outputs

if TYPE_CHECKING:
    from rich.table import Table

    from rsfiqa.demonstration import Spoiled
    from rsfiqa.types import Assessment

REPORT = "report.html"


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the pictures and the report.")
    ] = Path("demo-results"),
    model: common.ModelOption = None,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
) -> None:
    """Assess sample photographs, spoil one region of each, and see which region falls."""
    outputs.require_writable_folder(out)
    outputs.require_writable_file(out / REPORT)
    assessor = common.make_assessor(model=model, device=device, precision=precision)
    from rsfiqa.demonstration import demonstrate
    from rsfiqa.report.html import save_report
    from rsfiqa.samples import sample_names
    from rsfiqa.shelf import Shelf

    shelf = Shelf()
    spoiled: list[Spoiled] = []
    names = sample_names()
    with common.progress("assessing", len(names), shown=common.on_terminal()) as advance:
        for pair in demonstrate(assessor, names):
            _save_pictures(out, pair)
            shelf.put(pair.before)
            shelf.put(pair.after)
            spoiled.append(pair)
            advance(1)
    report = save_report(shelf, out / REPORT)
    _print(spoiled, report.resolve())


def _save_pictures(folder: Path, pair: Spoiled) -> None:
    """NAME.regions.png and its like, and NAME-FAMILY.png with overlays of its own."""
    from PIL import Image

    path = folder / f"{pair.name}-{pair.family}.png"
    try:
        Image.fromarray(pair.pixels).save(path)
    except OSError as error:
        raise outputs.unwritable(path, error) from error
    _save_overlays(folder, pair.name, pair.before)
    _save_overlays(folder, path.stem, pair.after)


def _save_overlays(folder: Path, stem: str, assessment: Assessment) -> None:
    for kind in outputs.OVERLAY_KINDS:
        outputs.save_overlay(assessment, kind, folder / f"{stem}.{kind}.png")


def _print(spoiled: list[Spoiled], report: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_table(spoiled))
    found = sum(pair.fell_most for pair in spoiled)
    console.print(f"The spoiled region fell most in {found} of {len(spoiled)} photographs.")
    console.print(f"Pictures: {report.parent}", soft_wrap=True)
    console.print(f"Report, to open in a browser: {report.as_uri()}", soft_wrap=True)


def _table(spoiled: list[Spoiled]) -> Table:
    from rich.table import Table

    table = Table(
        title="One region of each photograph is spoiled",
        caption="Scores are 0 to 100, higher is better; before → after.",
        caption_justify="left",
    )
    table.add_column("picture", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("spoiled region", no_wrap=True)
    table.add_column("its score", justify="right", no_wrap=True)
    table.add_column("fell most?", no_wrap=True)
    for pair in spoiled:
        before, after = pair.before.regions[pair.region], pair.after.regions[pair.region]
        furthest = max(range(len(pair.falls)), key=pair.falls.__getitem__)
        table.add_row(
            pair.name,
            f"{pair.before.score:.1f} → {pair.after.score:.1f}",
            f"{pair.region} ({before.area:.0%}): {pair.family.replace('_', ' ')}",
            f"{before.score:.1f} → {after.score:.1f}",
            "[green]yes[/]" if pair.fell_most else f"[yellow]no, region {furthest} did[/]",
        )
    return table
