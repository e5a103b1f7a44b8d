"""`rsfiqa export`: a scorer as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsfiqa.cli import common, outputs

if TYPE_CHECKING:
    from rich.table import Table

    from rsfiqa.export.onnx_file import Exported


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="The file to write.")],
    model: common.ModelOption = None,
    part: Annotated[
        str,
        typer.Option(
            help="scorer: features and regions to scores. encoder: pixels to features. whole: pixels "
            "and regions to scores."
        ),
    ] = "scorer",
    check: Annotated[
        bool, typer.Option(help="Compare the file, run by ONNX Runtime, with torch.")
    ] = True,
    quiet: common.QuietOption = False,
) -> None:
    """Write a scorer as ONNX, for other languages and machines without torch.

    Batch, grid, picture size and number of regions stay open. What goes in and comes out is in the
    file's metadata and printed here. Needs the extra onnx.
    """
    outputs.require_writable_file(out)
    from rsfiqa.export.onnx_file import export_onnx, require_onnx

    require_onnx(check=check)
    from rsfiqa.assessor import load_scorer
    from rsfiqa.encoders.build import build_encoder
    from rsfiqa.export.interface import require_part

    require_part(part)
    checkpoint = load_scorer(model)
    encoder = None if part == "scorer" else build_encoder(checkpoint.encoder)
    exported = export_onnx(checkpoint, out, part=part, encoder=encoder, check=check)
    if quiet:
        return
    from rich.console import Console

    console = Console(stderr=True)
    console.print(_table(exported))
    size = exported.path.stat().st_size / 1e6
    console.print(f"{exported.path}: {checkpoint.name}, {part}, {size:.1f} MB", soft_wrap=True)


def _table(exported: Exported) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in ("", "name", "what it is", "off by"):
        table.add_column(column, overflow="fold")
    for kind, ports in (
        ("in", exported.interface.inputs),
        ("out", exported.interface.outputs),
    ):
        for port in ports:
            gap = exported.differences.get(port.name) if kind == "out" else None
            off = "" if gap is None else f"{gap:.1g}"
            table.add_row(kind, port.name, escape(port.text), off)
    return table
