from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsfiqa.encoders.build import build_encoder
from rsfiqa.encoders.grid import GridEncoder, to_tensor
from rsfiqa.errors import AssetError, ConfigError
from rsfiqa.partition import Partition
from rsfiqa.reading.embedded import REGIONS_AT_ONCE, EmbeddedReader
from rsfiqa.reading.embedded_checkpoint import CONFIG, PROJECTOR, load_embedded, save_embedded
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.types import DIMENSIONS
from tiny_language import tiny_checkpoint, tiny_language


@pytest.fixture(scope="module")
def encoder(tiny_encoder_specs: Any) -> GridEncoder:
    return build_encoder(tiny_encoder_specs).eval()


@pytest.fixture(scope="module")
def reader(encoder: GridEncoder) -> EmbeddedReader:
    reader = EmbeddedReader(tiny_checkpoint(encoder), tiny_language())
    reader._encoder = encoder
    return reader


def test_every_region_is_read(cat: Any, reader: EmbeddedReader) -> None:
    partition = GridSegmenter(3).segment(cat, None)
    readings = reader.read(cat, partition)
    assert len(readings) == len(partition)
    for reading in readings:
        assert reading.status == "ok"
        assert set(reading.ratings) == set(DIMENSIONS)


def test_features_at_hand_give_the_same_readings(
    cat: Any, reader: EmbeddedReader, encoder: GridEncoder
) -> None:
    partition = GridSegmenter(2).segment(cat, None)
    assert reader.encoder_name == encoder.name
    with torch.inference_mode():
        grid = encoder(to_tensor(cat))
    alone, shared = reader.read(cat, partition), reader.read(cat, partition, grid)
    for a, b in zip(alone, shared, strict=True):
        assert a.values is not None and b.values is not None
        np.testing.assert_allclose(list(a.values.values()), list(b.values.values()), atol=1e-5)


def test_a_picture_over_the_budget_is_read(reader: EmbeddedReader) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 1100, 3), np.uint8)
    readings = reader.read(pixels, GridSegmenter(2).segment(pixels, None))
    assert [reading.status for reading in readings] == ["ok"] * 4


def test_a_region_too_thin_to_be_seen_fails_and_moves_no_other(reader: EmbeddedReader) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    labels = np.zeros((1500, 2000), np.int32)
    labels[:, 1000:] = 2
    labels[1, 1] = 1
    readings = reader.read(pixels, Partition(labels))
    assert [reading.status for reading in readings] == ["ok", "failed", "ok"]
    assert "too thin" in (readings[1].reason or "")


def test_more_regions_than_are_read_at_once(cat: Any, reader: EmbeddedReader) -> None:
    partition = GridSegmenter(7).segment(cat, None)
    readings = reader.read(cat, partition)
    assert len(readings) == len(partition) > REGIONS_AT_ONCE


def test_numbers_that_are_none_fail(cat: Any, encoder: GridEncoder) -> None:
    checkpoint = tiny_checkpoint(encoder)
    with torch.no_grad():
        checkpoint.projector.norm.weight.fill_(float("nan"))
    reader = EmbeddedReader(checkpoint, tiny_language())
    reader._encoder = encoder
    readings = reader.read(cat, GridSegmenter(2).segment(cat, None))
    assert {reading.status for reading in readings} == {"failed"}


def test_saved_readers_come_back(
    cat: Any, tmp_path: Path, reader: EmbeddedReader, encoder: GridEncoder
) -> None:
    checkpoint = tiny_checkpoint(encoder)
    save_embedded(checkpoint, tmp_path)
    loaded = load_embedded(tmp_path)
    assert loaded.name == checkpoint.name == reader.name
    again = EmbeddedReader(loaded, tiny_language())
    again._encoder = encoder
    partition = GridSegmenter(2).segment(cat, None)
    for a, b in zip(reader.read(cat, partition), again.read(cat, partition), strict=True):
        assert a.values is not None and b.values is not None
        # Weights are kept in half precision.
        np.testing.assert_allclose(list(a.values.values()), list(b.values.values()), atol=2e-2)


def test_other_weights_have_another_name(encoder: GridEncoder) -> None:
    checkpoint = tiny_checkpoint(encoder)
    before = checkpoint.name
    name = next(iter(checkpoint.adapter))
    checkpoint.adapter[name] = checkpoint.adapter[name] + 0.01
    assert checkpoint.name != before


def test_what_is_no_reader_is_refused(tmp_path: Path, encoder: GridEncoder) -> None:
    with pytest.raises(AssetError, match="holds no reader"):
        load_embedded(tmp_path)
    save_embedded(tiny_checkpoint(encoder), tmp_path)
    (tmp_path / PROJECTOR).write_bytes(b"nonsense")
    with pytest.raises(AssetError, match="cannot be read"):
        load_embedded(tmp_path)
    save_embedded(tiny_checkpoint(encoder), tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**config, "wording": "0"}))
    with pytest.raises(AssetError, match="another version"):
        load_embedded(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({**config, "projector": {"features": 1}}))
    with pytest.raises(AssetError, match="incomplete"):
        load_embedded(tmp_path)


def test_an_unwritable_folder_is_named(tmp_path: Path, encoder: GridEncoder) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        save_embedded(tiny_checkpoint(encoder), tmp_path / "file" / "reader")


def test_the_language_model_speaks(real_asset: Callable[[str], Path]) -> None:
    """Guards the conversion: a wrong layout of the weights gives gibberish."""
    from rsfiqa.reading.language_model import load_language_model

    real_asset("smollm2-135m-instruct")
    language = load_language_model()
    ids = torch.tensor([language.ids("The capital of France is")])
    with torch.inference_mode():
        words = language.model(ids).logits[0, -1].topk(3).indices.tolist()
    assert " Paris" in [language.text([word]) for word in words]


def test_a_reader_that_cannot_be_saved_leaves_the_old_one(
    tmp_path: Path, encoder: GridEncoder
) -> None:
    checkpoint = tiny_checkpoint(encoder)
    save_embedded(checkpoint, tmp_path)
    before, name = sorted(tmp_path.iterdir()), load_embedded(tmp_path).name
    with torch.no_grad():
        checkpoint.projector.levels.weight += 1
    checkpoint.training = {"by": object()}  # which JSON cannot hold
    with pytest.raises(TypeError):
        save_embedded(checkpoint, tmp_path)
    assert load_embedded(tmp_path).name == name
    assert sorted(tmp_path.iterdir()) == before


def test_features_of_its_own_are_made_in_its_precision(
    cat: Any, tiny_encoder_specs: Any, encoder: GridEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else its readings would differ from those that it gives an assessor, under the same name.
    monkeypatch.setattr(
        "rsfiqa.encoders.build.build_encoder", lambda: build_encoder(tiny_encoder_specs)
    )
    reader = EmbeddedReader(tiny_checkpoint(encoder), tiny_language(), precision="bf16")
    assert reader.name.endswith("+bf16")
    half = build_encoder(tiny_encoder_specs).eval()
    half.to_bf16()
    partition = GridSegmenter(2).segment(cat, None)
    alone, shared = reader.read(cat, partition), reader.read(cat, partition, half(to_tensor(cat)))
    assert [reading.ratings for reading in alone] == [reading.ratings for reading in shared]
