"""Fixtures that several files share: real assets where they can be had, and a tiny whole model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, settings

from fake_reader import FakeReader, serve
from rsfiqa import assets
from tiny_world import World, asset_of, make_wheel

# Examples, and the drawing of them, take as long as the machine is busy: their time says nothing.
settings.register_profile("rsfiqa", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rsfiqa")

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(autouse=True)
def _the_same_random_numbers() -> None:
    """Of torch, in every run, whichever tests ran before and however many numbers they drew."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def real_asset() -> Callable[[str], Path]:
    """`real_asset(NAME)` is the file of a registered asset; the test is skipped without it."""
    from rsfiqa.assets import ensure
    from rsfiqa.errors import AssetError

    reasons: dict[str, str] = {}

    def path_or_skip(name: str) -> Path:
        if name not in reasons:
            try:
                return ensure(name)
            except AssetError as error:
                # Remembered, so that a machine without a network waits for it once.
                reasons[name] = str(error)
        pytest.skip(f"{name} cannot be had here: {reasons[name]}")

    return path_or_skip


@pytest.fixture(scope="session")
def cat() -> Pixels:
    """A photograph, 300×451 RGB."""
    from skimage import data

    pixels: Pixels = data.chelsea()
    return pixels


@pytest.fixture(scope="session")
def tiny_encoder_specs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two tiny backbones, a plain ViT and a convolutional network, as `build_encoder` takes them.

    Their weights are random but saved: every build from these specs gives the same features.
    """
    import timm
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny_encoder")
    specs = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2508)
        for name, indices in (("test_vit", [2, 5]), ("test_efficientnet", [0, 2, 4])):
            path = folder / f"{name}.safetensors"
            save_file(timm.create_model(name).state_dict(), path)
            specs.append({"backbone": f"timm:{name}", "indices": indices, "weights": str(path)})
    return specs


@pytest.fixture(scope="session")
def tiny_model_folder(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder_specs: list[dict[str, Any]], cat: Pixels
) -> Path:
    """A saved scorer on the tiny encoder, untrained but with uneven attention and gate."""
    from rsfiqa.encoders.build import build_encoder
    from rsfiqa.encoders.grid import to_tensor
    from rsfiqa.scoring.checkpoint import Checkpoint, save_checkpoint
    from rsfiqa.scoring.model import RegionScorer, ScorerConfig
    from rsfiqa.scoring.stem import Stem

    encoder = build_encoder(tiny_encoder_specs)
    grid = encoder(to_tensor(cat[:128, :160]))
    stem = Stem(encoder.groups, 8, encoder.context_dim)
    stem.fit([(grid.positions[0], grid.context[0])])
    # One picture says nothing of how context varies; its own size will do as a scale.
    stem.context_scale.copy_(1 / grid.context[0].abs().clamp_min(1e-2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7818)
        config = ScorerConfig(stem.channels, encoder.context_dim, dim=8, hidden=16, members=2)
        scorer = uneven(RegionScorer(config))
    folder = tmp_path_factory.mktemp("tiny_model") / "tiny"
    save_checkpoint(
        Checkpoint("tiny-test", scorer, stem, tiny_encoder_specs, training={"data": "none"}), folder
    )
    return folder


def uneven(module: torch.nn.Module, scale: float = 0.3) -> torch.nn.Module:
    """The module with its layers that start at zero filled with noise, as training would do."""
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, scale)
    return module


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, which is not there yet."""
    monkeypatch.setenv("RSFIQA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    """What stands for every `server:URL`."""
    fake = FakeReader()
    serve(monkeypatch, fake)
    return fake


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An empty cache, and a package index with one tiny asset, for tests of the assets."""
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
    """The same with no other asset registered."""
    for name in [n for n in assets.ASSETS if n != "tiny"]:
        stocked.monkeypatch.delitem(assets.ASSETS, name)
    return stocked
