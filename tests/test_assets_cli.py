"""`rsfiqa assets` on the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsfiqa import assets
from rsfiqa.cli.assets import app
from tiny_world import (
    Shout,
    World,
    change_unseen,
    sha256,
)


@dataclass
class Told:
    status: int
    out: str
    err: str


def command(*arguments: str) -> Told:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Told(result.exit_code, result.stdout, result.stderr)


def test_list_shows_the_state(only_tiny: World) -> None:
    told = command("list")
    assert told.status == 0
    for part in ("tiny", "a few bytes", "Apache-2.0", "not fetched", str(only_tiny.cache)):
        assert part in told.out
    assets.ensure("tiny", progress=False)
    assert "in the cache" in command("list").out


@pytest.mark.parametrize("arguments", [(), ("--all",), ("tiny",), ("tiny", "tiny")])
def test_fetch(only_tiny: World, arguments: tuple[str, ...]) -> None:
    told = command("fetch", *arguments)
    assert (told.status, told.out) == (0, f"tiny: {assets.path_of('tiny')}\n")
    assert assets.check("tiny") == "ready"


def test_fetch_goes_on_after_a_failure(only_tiny: World) -> None:
    only_tiny.know(replace(only_tiny.asset, name="bad", sha256=sha256(b"another file")))
    told = command("fetch", "bad", "tiny")
    assert told.status == 1
    assert "error: bad: " in told.err
    assert assets.check("tiny") == "ready"


@pytest.mark.parametrize(
    "arguments",
    [("fetch", "tinny"), ("verify", "tinny"), ("path", "tinny"), ("fetch", "--all", "x")],
)
def test_wrong_usage_is_2(only_tiny: World, arguments: tuple[str, ...]) -> None:
    told = command(*arguments)
    assert told.status == 2
    assert told.err.startswith("error: ")


def test_path_is_for_scripts(only_tiny: World) -> None:
    told = command("path", "tiny")
    assert (told.status, told.out) == (1, "")
    assert "rsfiqa assets fetch tiny" in told.err
    path = assets.ensure("tiny", progress=False)
    told = command("path", "tiny")
    assert (told.status, told.out, told.err) == (0, f"{path}\n", "")


def test_verify(only_tiny: World) -> None:
    assert command("verify").status == 0
    assert command("verify", "tiny").status == 1
    derived = assets.derive("tiny.out", "tiny", Shout(), version="1", progress=False)
    told = command("verify")
    assert (told.status, told.out) == (0, f"tiny: ok\n{derived.name}: ok\n")

    change_unseen(derived)
    told = command("verify")
    assert told.status == 1
    assert "made again" in told.err
    change_unseen(assets.path_of("tiny"))
    told = command("verify", "tiny")
    assert told.status == 1
    assert "tiny: damaged" in told.out
    assert command("fetch").status == 0
    assert command("verify", "tiny").status == 0


@pytest.mark.parametrize("arguments", [("list",), ("fetch",), ("verify",), ("path", "tiny")])
def test_an_impossible_cache_is_one_sentence(
    only_tiny: World, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    only_tiny.monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "file"))
    told = command(*arguments)
    assert told.status == 1
    assert told.err.startswith("error: ")
    assert len(told.err.splitlines()) == 1
