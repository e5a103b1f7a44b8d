"""Cached files are checked, and files made from them are made again when damaged."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NoReturn

import pytest

from rsfiqa import assets
from rsfiqa.errors import AssetError, ConfigError
from tiny_world import (
    READY,
    WEIGHTS,
    Shout,
    World,
    asset_of,
    change_unseen,
    make_wheel,
    refuse_with,
    sha256,
)


@pytest.mark.parametrize("spoil", [b"", WEIGHTS[:-1], WEIGHTS[:-1] + b"x"])
def test_a_changed_file_is_fetched_again(
    stocked: World, spoil: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = assets.ensure("tiny", progress=False)
    path.write_bytes(spoil)
    assert assets.check("tiny") == "damaged"
    assert assets.ensure("tiny").read_bytes() == WEIGHTS
    assert "damaged" in capsys.readouterr().err
    assert assets.check("tiny") == "ready"


def test_the_full_check_sees_what_the_stamp_hides_and_the_next_use_mends_it(stocked: World) -> None:
    path = assets.ensure("tiny", progress=False)
    change_unseen(path)
    assert assets.check("tiny") == "ready"
    assert assets.check("tiny", full=True) == "damaged"
    assert assets.ensure("tiny", progress=False).read_bytes() == WEIGHTS


@pytest.mark.parametrize("stamp", [None, b"", b"[]", b"\xff", b'{"sha256": 3}'])
def test_a_file_carried_over_without_its_stamp_is_taken(
    stocked: World, stamp: bytes | None
) -> None:
    path = assets.path_of("tiny")
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    if stamp is not None:
        path.with_name("tiny.bin.json").write_bytes(stamp)
    stocked.forbid_pip()
    assert assets.ensure("tiny", offline=True) == path
    assert stocked.files() == READY


def test_a_read_only_cache_serves_what_it_has(stocked: World) -> None:
    path = assets.path_of("tiny")
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    stocked.monkeypatch.setattr(Path, "mkdir", refuse_with(errno.EROFS))
    assert assets.ensure("tiny") == path
    assert not path.with_name("tiny.bin.json").exists()


def test_a_derived_file_is_made_once(stocked: World) -> None:
    shout = Shout()
    path = assets.derive("tiny.out", "tiny", shout, version="1", progress=False)
    assert path.read_bytes() == WEIGHTS[::-1]
    assert assets.derive("tiny.out", "tiny", shout, version="1") == path
    assert shout.runs == 1


def test_a_new_version_of_the_conversion_or_the_source_makes_a_new_file(stocked: World) -> None:
    shout = Shout()
    first = assets.derive("tiny.out", "tiny", shout, version="1", progress=False)
    second = assets.derive("tiny.out", "tiny", shout, version="2")
    stocked.know(asset_of(make_wheel(stocked.index, data=b"new"), sha256=sha256(b"new")))
    third = assets.derive("tiny.out", "tiny", shout, version="2", progress=False)
    assert shout.runs == 3
    assert len({first, second, third}) == 3
    assert third.read_bytes() == b"wen"
    assert first.exists()


@pytest.mark.parametrize("spoil", ["content", "stamp", "no stamp"])
def test_a_damaged_derived_file_is_made_again(stocked: World, spoil: str) -> None:
    shout = Shout()
    path = assets.derive("tiny.out", "tiny", shout, version="1", progress=False)
    stamp = path.with_name(f"{path.name}.json")
    if spoil == "content":
        path.write_bytes(b"spoiled")
    elif spoil == "stamp":
        stamp.write_text("{}")
    else:
        stamp.unlink()
    assert assets.derive("tiny.out", "tiny", shout, version="1").read_bytes() == WEIGHTS[::-1]
    assert shout.runs == 2


def test_a_derived_file_needs_its_source_no_more(stocked: World) -> None:
    path = assets.derive("tiny.out", "tiny", Shout(), version="1", progress=False)
    assets.ensure("tiny").unlink()
    stocked.forbid_pip()
    assert assets.derive("tiny.out", "tiny", Shout(), version="1", offline=True) == path


def test_a_conversion_that_fails_leaves_nothing(stocked: World) -> None:
    def half(_: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyError("backbone.weight")

    with pytest.raises(AssetError, match=r"KeyError: 'backbone\.weight'"):
        assets.derive("tiny.out", "tiny", half, version="1", progress=False)
    with pytest.raises(AssetError, match="wrote no file"):
        assets.derive("tiny.out", "tiny", lambda *_: None, version="1")
    assert stocked.files() == READY


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), RuntimeError("I/O: No space left on device")]
)
def test_a_conversion_on_a_full_disk(stocked: World, error: Exception) -> None:
    def build(*_: Path) -> NoReturn:
        raise error

    with pytest.raises(AssetError, match="disk is full"):
        assets.derive("tiny.out", "tiny", build, version="1", progress=False)


@pytest.mark.parametrize(
    ("name", "version"), [("../x.out", "1"), ("x.out", "a/b"), ("", "1"), ("x.json", "1")]
)
def test_names_of_derived_files_are_plain(stocked: World, name: str, version: str) -> None:
    with pytest.raises(ConfigError):
        assets.derive(name, "tiny", Shout(), version=version)
