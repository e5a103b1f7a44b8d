"""`rsfiqa schema`: the JSON Schema of the results, for programs that read them."""

from __future__ import annotations

import typer


def schema() -> None:
    """Print the JSON Schema of the results of rsfiqa assess: each line of them is valid by it."""
    from rsfiqa.schema import schema_text

    typer.echo(schema_text(), nl=False)
