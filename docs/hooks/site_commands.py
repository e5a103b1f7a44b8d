"""The command line as Markdown, from its own help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

PROGRAM = "rsfiqa"
_TYPE = re.compile(r" <([^<>]+?)(?: range)?>")
_TYPES = {"str": "TEXT", "int": "N", "float": "NUMBER", "<float, float>": "LOW HIGH"}


def commands() -> str:
    """Every command with what it takes: a heading, the usage, the help, a table of options."""
    from rsfiqa.cli import app

    root = typer.main.get_command(app)
    return "\n\n".join(_sections(root, PROGRAM, None, 1))


def _sections(command: Any, path: str, parent: Any, level: int) -> Iterator[str]:
    # Typer brings its own copy of click in some versions, so the class is asked of the command.
    context = command.context_class(command, info_name=path.rpartition(" ")[2], parent=parent)
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    if level > 1:
        yield f"{'#' * level} {path}"
        yield f"```text\n{_usage(command, context, path)}\n```"
        yield command.help or ""
        if not names:
            yield from _tables(command, context)
    for name in names:
        yield from _sections(
            command.get_command(context, name), f"{path} {name}", context, level + 1
        )


def _usage(command: Any, context: Any, path: str) -> str:
    return " ".join([path, *command.collect_usage_pieces(context)])


def _tables(command: Any, context: Any) -> Iterator[str]:
    """A table for each of the panels in which the help shows parameters."""
    panels: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        is_argument = parameter.param_type_name == "argument"
        panel = "Takes" if is_argument else getattr(parameter, "rich_help_panel", None) or "Options"
        name = _TYPE.sub("" if is_argument else _plain_type, record[0])
        panels.setdefault(panel, []).append(f"| `{_cell(name)}` | {_cell(record[1])} |")
    for panel, rows in panels.items():
        yield "\n".join([f"| {panel} | |", "|---|---|", *rows])


def _plain_type(found: re.Match[str]) -> str:
    return f" {_TYPES.get(found[1], found[1].upper())}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
