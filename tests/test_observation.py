"""What a scorer is shown of readings at inference: by the checkpoint's word, and never made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from fake_reader import FakeReader
from fake_sentences import FakeSentences, replace_sentence_encoder
from rsfiqa import RSFIQA
from rsfiqa.errors import ConfigError
from rsfiqa.extraction import FeatureExtractor
from rsfiqa.observation import observe
from rsfiqa.scoring.checkpoint import load_checkpoint, save_checkpoint
from rsfiqa.scoring.model import RegionScorer

Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def crop(cat: Pixels) -> Pixels:
    return cat[60:188, 90:250]


@pytest.fixture(scope="session")
def reading_model_folder(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Path:
    """A scorer like the tiny one that says of itself that it was trained with readings."""
    checkpoint = load_checkpoint(tiny_model_folder)
    config = replace(checkpoint.scorer.config, description_dim=FakeSentences().width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        scorer = RegionScorer(config)
        with torch.no_grad():
            for parameter in scorer.parameters():
                if not parameter.any():
                    parameter.normal_(0, 0.3)
    folder = tmp_path_factory.mktemp("reading_model") / "reads"
    save_checkpoint(replace(checkpoint, name="reads", scorer=scorer, reader="fake/1"), folder)
    return folder


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[FakeSentences]:
    return replace_sentence_encoder(monkeypatch)


def test_a_scorer_trained_with_readings_sees_them(
    reading_model_folder: Path, crop: Pixels, loaded: list[FakeSentences]
) -> None:
    unread = RSFIQA.from_pretrained(reading_model_folder, reader="none").assess(crop)
    assert not loaded, "without a reader nothing needs embedding"
    read = RSFIQA.from_pretrained(reading_model_folder, reader=FakeReader()).assess(crop)
    assert len(loaded) == 1
    assert loaded[0].asked == [region.reading.description for region in read.regions]
    assert read.partition == unread.partition
    assert abs(read.score - unread.score) > 0.01
    added = sum(region.weight * region.score for region in read.regions)
    assert added == pytest.approx(read.score, abs=1e-4)
    assert sum(region.weight for region in read.regions) == pytest.approx(1, abs=1e-6)


def test_any_reader_serves(
    reading_model_folder: Path, crop: Pixels, loaded: list[FakeSentences]
) -> None:
    first, other = (
        RSFIQA.from_pretrained(reading_model_folder, reader=FakeReader(name)).assess(crop)
        for name in ("fake/1", "another/7")
    )
    assert first.score == other.score
    assert other.model.reader == "another/7"


def test_a_scorer_trained_without_readings_scores_alike_whoever_reads(
    tiny_model_folder: Path, crop: Pixels, loaded: list[FakeSentences]
) -> None:
    read = RSFIQA.from_pretrained(tiny_model_folder, reader=FakeReader()).assess(crop)
    unread = RSFIQA.from_pretrained(tiny_model_folder, reader="none").assess(crop)
    assert read.score == unread.score
    assert not loaded, "and no sentence encoder is loaded"
    assert {region.reading.status for region in read.regions} == {"ok"}


@pytest.mark.usefixtures("loaded")
def test_what_could_not_be_read_is_scored_as_unread(
    reading_model_folder: Path, crop: Pixels
) -> None:
    unread = RSFIQA.from_pretrained(reading_model_folder, reader="none").assess(crop)
    nothing = FakeReader(failing=range(99))
    failed = RSFIQA.from_pretrained(reading_model_folder, reader=nothing).assess(crop)
    assert failed.score == unread.score
    assert {region.reading.status for region in failed.regions} == {"failed"}
    some = RSFIQA.from_pretrained(reading_model_folder, reader=FakeReader(failing=[0]))
    mixed = some.assess(crop)
    assert mixed.score != unread.score
    added = sum(region.weight * region.score for region in mixed.regions)
    assert added == pytest.approx(mixed.score, abs=1e-4)


@pytest.mark.usefixtures("loaded")
def test_a_picture_read_in_a_batch_scores_as_it_does_alone(
    reading_model_folder: Path, crop: Pixels
) -> None:
    assessor = RSFIQA.from_pretrained(reading_model_folder, reader=FakeReader())
    pictures = [crop, crop[:, ::-1].copy(), crop[:96]]
    together = assessor.assess_batch(pictures)
    for picture, found in zip(pictures, together, strict=True):
        assert assessor.assess(picture).score == pytest.approx(found.score, abs=1e-4)  # type: ignore[union-attr]


def test_what_embeds_descriptions_must_be_given(reading_model_folder: Path) -> None:
    assessor = RSFIQA.from_pretrained(reading_model_folder, reader="none")
    parts = (assessor.checkpoint, assessor.extractor)
    with pytest.raises(ConfigError, match="give sentences=") as raised:
        RSFIQA(*parts, reader=FakeReader())
    assert "\n" not in str(raised.value)
    sentences = FakeSentences()
    assert RSFIQA(*parts, reader=FakeReader(), sentences=sentences).sentences is sentences
    assert RSFIQA(*parts, sentences=sentences).sentences is None, "nobody reads"


def test_the_picture_is_encoded_once_and_its_features_are_passed_on_to_a_reader_that_takes_them(
    tiny_model_folder: Path, crop: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = RSFIQA.from_pretrained(tiny_model_folder, reader="none").extractor
    encoded: list[int] = []
    encode = FeatureExtractor.encode

    def count(self: FeatureExtractor, pixels: Pixels) -> object:
        encoded.append(1)
        return encode(self, pixels)

    monkeypatch.setattr(FeatureExtractor, "encode", count)
    reader = FakeReader()
    observe(crop, extractor, reader)
    reader.encoder_name = extractor.encoder.name
    seen = observe(crop, extractor, reader, FakeSentences())
    assert len(encoded) == 2
    assert [grid is None for grid in reader.grids] == [True, False]
    semantics = seen.features.semantics
    assert semantics is not None
    assert len(semantics.known) == len(seen.partition) == len(seen.readings)
    again = observe(crop, extractor, reader, None, seen.partition)
    assert again.features.semantics is None
