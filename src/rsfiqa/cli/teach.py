"""`rsfiqa teach`: make instruction data, and teach a reader with it."""

from __future__ import annotations

import typer

from rsfiqa.cli.teach_data import data
from rsfiqa.cli.teach_labels import labels
from rsfiqa.cli.teach_tune import tune

app = typer.Typer(help="Make instruction data, and teach a reader with it.", no_args_is_help=True)
app.command()(data)
app.command()(labels)
app.command()(tune)
