"""`rsfiqa teach`: make instruction data, and teach a reader with it."""

from __future__ import annotations

import typer

from rsfiqa.cli.teach_data import data

app = typer.Typer(help="Make instruction data, and teach a reader with it.", no_args_is_help=True)
app.command()(data)


@app.callback()
def _root() -> None:
    """Keeps `teach` a group of commands even with one of them."""
