"""The help of the command line, as somebody new to it sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rsfiqa.cli import COMMANDS, PANELS, app


def commands(command: Any, context: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does work, with its path."""
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), context, f"{path} {name}".strip())


ROOT: Any = typer.main.get_command(app)
FOUND = dict(commands(ROOT, ROOT.context_class(ROOT, info_name="rsfiqa"), ""))


def test_every_command_stands_in_one_group_of_the_help_page() -> None:
    grouped = [name for names in PANELS.values() for name in names]
    assert sorted(grouped) == sorted(COMMANDS)
    ended = CliRunner().invoke(app, ["--help"])
    assert ended.exit_code == 0
    for panel in PANELS:
        assert panel in ended.output


@pytest.mark.parametrize("path", FOUND)
def test_every_command_and_option_says_what_it_is_in_a_sentence(path: str) -> None:
    command = FOUND[path]
    assert command.help
    assert command.help.partition("\n\n")[0].rstrip().endswith((".", "?", ":"))
    for parameter in command.params:
        if parameter.name == "help":
            continue
        text = parameter.help or ""
        assert text, f"{path}: {parameter.name} says nothing"
        assert not text.startswith(("Of ", "That ", "For how")), f"{path}: {parameter.name}"


def test_a_misspelt_command_is_told_what_was_probably_meant() -> None:
    ended = CliRunner().invoke(app, ["asess", "photo.jpg"])
    assert ended.exit_code == 2
    assert "asess" in ended.output
    if hasattr(ROOT, "suggest_commands"):  # in later versions of typer
        assert "assess" in ended.output


def test_licences_and_sources_of_weights_are_listed() -> None:
    from rsfiqa.assets import ASSETS

    ended = CliRunner().invoke(app, ["assets", "list"], env={"COLUMNS": "200"})
    assert ended.exit_code == 0
    words = " ".join(ended.output.split())
    for asset in ASSETS.values():
        assert asset.licence in words
        assert str(asset.source) in words
