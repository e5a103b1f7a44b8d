"""`rsfiqa data`: the data sets of the field, copies of them, and splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsfiqa.cli import common, outputs

if TYPE_CHECKING:
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.known_sets.description import Description, Layout
    from rsfiqa.learning.known_sets.entries import Fault
    from rsfiqa.learning.splits import Splits

app = typer.Typer(
    help="Data sets of the field: what they are, whether a copy is whole, how it is split.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="A data set's name, as rsfiqa data list has it.")]
FolderArgument = Annotated[Path, typer.Argument(help="The folder of your copy.")]

_SHOWN = 5
"""Items of a fault that are named unless all are asked for."""


@app.command("list")
def list_sets() -> None:
    """Name the data sets that rsfiqa can read, for NAME:FOLDER in train and evaluate."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from rsfiqa.learning.known_sets.catalog import describe, set_names

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what")
    table.add_column("pictures", justify="right", no_wrap=True)
    table.add_column("faults", no_wrap=True)
    table.add_column("scores", no_wrap=True)
    for name in set_names():
        known = describe(name)
        count = f"{known.images:,}" if known.images else "any"
        table.add_row(name, known.title, count, known.kind, _scale(known))
    Console().print(table)


@app.command()
def show(name: NameArgument) -> None:
    """Tell how a copy of a data set should look, what its scores mean, and its terms."""
    from rsfiqa.learning.known_sets.catalog import describe

    known = describe(name)
    lines = [f"{known.title}: {known.summary}", ""]
    if known.images:
        made_of = f", made from {known.references} references" if known.references else ""
        lines.append(f"pictures   {known.images:,}{made_of}")
    note = f". {known.scale.note}" if known.scale and known.scale.note else ""
    lines += [f"scores     {_scale(known)}{note}", f"split      {known.split_note}"]
    for layout in known.layouts:
        lines += ["", f"layout     {layout.note}", *_layout(layout)]
    lines += ["", f"licence    {known.licence}", f"cite       {known.citation}"]
    lines += [f"from       {known.homepage}"] if known.homepage else []
    lines.append(f"known by   {known.knowledge}")
    typer.echo("\n".join(lines))


@app.command()
def check(
    name: NameArgument,
    folder: FolderArgument,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look for the pictures, but do not open them.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help=f"Name all faults, not the first {_SHOWN} of a kind.")
    ] = False,
    quiet: common.QuietOption = False,
) -> None:
    """Find out what is missing or odd in your copy of a data set; exit status 1 if anything is."""
    from rsfiqa.learning.known_sets.catalog import describe
    from rsfiqa.learning.known_sets.checking import check_copy
    from rsfiqa.learning.known_sets.entries import read_copy

    copy = read_copy(describe(name), folder)
    found = len({entry.image for entry in copy.entries if entry.exists})
    if not quiet:
        typer.echo(f"{copy.description.title}, {copy.layout.note}: {len(copy.entries)} rows")
    shown = not quiet and not quick and common.on_terminal()
    with common.progress("opening pictures", found, shown=shown) as advance:
        checked = check_copy(copy, opened=not quick, told=advance)
    for line in _faults(checked.faults, None if everything else _SHOWN):
        typer.echo(line, err=True)
    if checked.faults:
        raise typer.Exit(1)
    if not quiet:
        typer.echo("nothing is missing or odd" + (" (pictures not opened)" if quick else ""))


@app.command()
def splits(
    name: NameArgument,
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="The CSV to write: image, split_0, split_1, ...")],
    random: Annotated[
        bool, typer.Option("--random", help="Random splits, even where there is an official one.")
    ] = False,
    count: Annotated[int, typer.Option(min=1, help="How many random splits.")] = 10,
    fraction: Annotated[
        float, typer.Option(help="Fraction of the pictures, or references, that is for testing.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random splits.")] = 0,
    leaks: Annotated[
        bool,
        typer.Option(
            "--check-leaks/--no-check-leaks",
            help="Look for pictures that are on both sides: the same file, the same reference, or "
            "a near-duplicate. If there are any, name them and write nothing.",
        ),
    ] = True,
    quiet: common.QuietOption = False,
) -> None:
    """Write the official split of a data set or else ten random ones, grouped by reference."""
    from rsfiqa.learning.known_sets.catalog import describe
    from rsfiqa.learning.known_sets.loading import load_set
    from rsfiqa.learning.splits import official_splits, random_splits, write_splits

    outputs.require_writable_file(out)
    data = load_set(describe(name), folder)
    made = None if random else official_splits(data)
    what = "official split"
    if made is None:
        made = random_splits(data, count=count, fraction=fraction, seed=seed)
        what = f"{count} random splits by {'reference' if data.by_reference else 'picture'}"
    if leaks:
        _require_no_leaks(data, made, shown=not quiet and common.on_terminal())
    write_splits(made, out)
    if not quiet:
        typer.echo(f"{what} of {len(data)} pictures, written to {out}")


def _require_no_leaks(data: ScoredImages, made: Splits, *, shown: bool) -> None:
    from rsfiqa.learning.leaks import find_leaks, fingerprints, require_no_leak

    with common.progress("looking for near-duplicates", len(data), shown=shown) as advance:
        prints = fingerprints(data, advance)
    for index in range(len(made)):
        applied = made.apply(data, index)
        for part in ("val", "test"):
            if part in applied.splits and "train" in applied.splits:
                found = find_leaks(applied.split("train"), applied.split(part), prints=prints)
                require_no_leak(found, f"{part} (split_{index})")


def _scale(known: Description) -> str:
    if known.scale is None:
        return "from the values"
    best = "lower is better" if known.scale.lower_is_better else "higher is better"
    return f"{known.scale.low:g}..{known.scale.high:g}, {best}"


def _layout(layout: Layout) -> list[str]:
    lines = [f"  labels   {' or '.join(names)}" for names in layout.files]
    lines += [f"  score    {layout.score}"]
    lines += [f"  picture  {' or '.join(layout.image)}"]
    for what, template in (
        ("grouped", layout.reference),
        ("subset", layout.subset),
        ("split", layout.split),
    ):
        lines += [f"  {what:8} {template}"] if template else []
    return lines


def _faults(faults: Sequence[Fault], most: int | None) -> list[str]:
    lines = []
    for fault in faults:
        lines.append(f"rsfiqa: {fault.what}: {len(fault.items)}")
        lines += [f"  {item}" for item in fault.items[:most]]
        if most is not None and len(fault.items) > most:
            lines.append(f"  and {len(fault.items) - most} more; --all names them")
    return lines
