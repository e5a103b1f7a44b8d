"""Readings in training: cached beside features, shown, shuffled, hidden, and learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from fake_reader import FakeReader
from fake_sentences import FakeSentences, replace_sentence_encoder
from rsfiqa import RSFIQA
from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import ConfigError
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.images import load_image
from rsfiqa.learning import recipe as recipes
from rsfiqa.learning.batches import stack
from rsfiqa.learning.card import model_card
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.features import FeatureCache, SpoilPlan
from rsfiqa.learning.recipe import Prepared, Recipe, prepare, train
from rsfiqa.learning.shown_readings import (
    donors,
    shuffle_readings,
    with_readings_of,
    without_readings,
)
from rsfiqa.learning.training import TrainingConfig, predict, train_scorer
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.checkpoint import save_checkpoint
from rsfiqa.scoring.model import ScorerConfig
from rsfiqa.scoring.semantics import Semantics
from rsfiqa.scoring.stem import Stem
from scored_pictures import write_scored_pictures
from test_training import MODEL, QUICK, data_set, spoiled_copies, srcc

Pixels = npt.NDArray[np.uint8]
Specs = list[dict[str, Any]]
PLAN = SpoilPlan(source=0, family="gaussian_blur", strength=4, choice=0.5, seed=7)
SENTENCES = FakeSentences()


# The cache


@pytest.fixture
def extractor(tiny_encoder_specs: Specs) -> FeatureExtractor:
    encoder = build_encoder(tiny_encoder_specs)
    stem = Stem(encoder.groups, 8, encoder.context_dim)
    return FeatureExtractor(encoder, EmbeddedSegmenter(), stem)


@pytest.fixture
def picture(tmp_path: Path, cat: Pixels) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(cat[40:136, 100:212]).save(path)
    return path


@pytest.fixture
def make_cache(tmp_path: Path, extractor: FeatureExtractor) -> Callable[..., FeatureCache]:
    def make(reader: FakeReader | None = None, sentences: Any = SENTENCES) -> FeatureCache:
        return FeatureCache(tmp_path / "cache", extractor, reader, sentences)

    return make


def semantics(features: PictureFeatures) -> Semantics:
    assert features.semantics is not None
    return features.semantics


def test_readings_are_kept_beside_features_and_read_once(
    make_cache: Callable[..., FeatureCache], picture: Path
) -> None:
    reader = FakeReader()
    first, partition = make_cache(reader).clean(picture)
    again, _ = make_cache(reader).clean(picture)
    assert len(reader.shapes) == 1
    pixels = load_image(picture).pixels
    wanted = FakeReader().read(pixels, partition)
    for found in (semantics(first), semantics(again)):
        assert found.known.tolist() == [True] * len(partition)
        overall = [row[-1].tolist() for row in found.ratings]
        assert overall == [pytest.approx(r.ratings["overall"].probabilities) for r in wanted]
        texts = SENTENCES.encode([r.description for r in wanted])
        torch.testing.assert_close(found.description.float(), texts, atol=1e-3, rtol=0)


def test_spoiled_copies_are_read_anew_with_the_clean_partition(
    make_cache: Callable[..., FeatureCache], picture: Path
) -> None:
    cache = make_cache(FakeReader())
    clean, partition = cache.clean(picture)
    copy = cache.spoiled(picture, replace(PLAN, family="overexpose"))
    assert copy is not None
    changed = (semantics(copy.features).ratings != semantics(clean).ratings).flatten(1).any(1)
    assert changed.tolist() == [k == copy.region for k in range(len(partition))]


def test_a_reader_makes_a_key_of_its_own_and_none_leaves_keys_alone(
    make_cache: Callable[..., FeatureCache], picture: Path, tmp_path: Path
) -> None:
    def count() -> int:
        return len(list((tmp_path / "cache").rglob("*.safetensors")))

    other = FakeSentences()
    other.name = "letters/2"
    kinds = (
        make_cache(),
        make_cache(FakeReader()),
        make_cache(FakeReader("fake/2")),
        make_cache(FakeReader(), other),
    )
    for expected, cache in enumerate(kinds, start=1):
        features, _ = cache.clean(picture)
        assert (features.semantics is None) == (expected == 1)
        assert count() == expected
    make_cache(None, None).clean(picture)
    make_cache(FakeReader("none")).clean(picture)
    assert count() == len(kinds)


def test_what_failed_is_read_again_by_the_next_run_and_once_only(
    make_cache: Callable[..., FeatureCache], picture: Path
) -> None:
    failing = FakeReader(failing=[0])
    cache = make_cache(failing)
    for _ in range(3):
        features, _ = cache.clean(picture)
        assert not semantics(features).known[0]
        assert semantics(features).known[1:].all()
    assert len(failing.shapes) == 1
    reader = FakeReader()
    healed, _ = make_cache(reader).clean(picture)
    assert semantics(healed).known.all()
    assert len(reader.shapes) == 1
    make_cache(failing).clean(picture)
    assert len(failing.shapes) == 1, "whole by now"


def test_readings_cannot_be_learned_from_without_vectors(
    make_cache: Callable[..., FeatureCache],
) -> None:
    with pytest.raises(ConfigError, match="without an encoder of sentences"):
        make_cache(FakeReader(), None)


# Which readings are shown


def with_semantics(pictures: list[PictureFeatures], values: list[Tensor]) -> list[PictureFeatures]:
    """Pictures whose `overall` readings tell a number between 0 and 1 of each region."""
    found = []
    for features, value in zip(pictures, values, strict=True):
        ratings = torch.full((len(value), 5, 5), 0.2)
        ratings[:, -1] = 0
        ratings[:, -1, 0], ratings[:, -1, 4] = 1 - value, value
        known = torch.ones(len(value), dtype=torch.bool)
        said = Semantics(torch.zeros(len(value), 4), ratings, known)
        found.append(replace(features, semantics=said))
    return found


@given(st.integers(2, 40), st.integers(0, 1000))
def test_everybody_is_given_somebody_elses(count: int, seed: int) -> None:
    found = donors(count, seed)
    assert sorted(found) == list(range(count))
    assert all(i != donor for i, donor in enumerate(found))
    assert found == donors(count, seed)


@settings(max_examples=20)
@given(st.integers(2, 12), st.integers(0, 100))
def test_shuffling_deals_out_whole_pictures_readings_round_their_regions(
    count: int, seed: int
) -> None:
    pictures, _, faults = data_set(count, seed=seed)
    read = with_semantics(pictures, faults)
    shuffled = shuffle_readings(read, seed)
    for mine, now, donor in zip(read, shuffled, donors(count, seed), strict=True):
        assert torch.equal(now.positions, mine.positions)
        given_ = semantics(read[donor]).ratings
        wanted = [given_[k % len(given_)] for k in range(len(mine.area))]
        assert torch.equal(semantics(now).ratings, torch.stack(wanted))


def test_pictures_nobody_read_stay_unread() -> None:
    pictures, _, faults = data_set(3, seed=1)
    assert all(p.semantics is None for p in shuffle_readings(pictures, 0))
    read = with_semantics(pictures, faults)
    assert with_readings_of(read[0], pictures[1]).semantics is None
    assert all(p.semantics is None for p in without_readings(read))


# Learning from them


def hidden_rule(count: int, seed: int) -> tuple[list[PictureFeatures], list[float], list[Tensor]]:
    """Pictures whose faults only their readings tell."""
    pictures, scores, faults = data_set(count, seed)
    blind = [
        replace(p, positions=torch.zeros_like(p.positions), context=torch.zeros_like(p.context))
        for p in pictures
    ]
    return with_semantics(blind, faults), scores, faults


def test_a_rule_that_only_readings_tell_is_learned_from_own_ones_alone() -> None:
    training, scores, _ = hidden_rule(120, seed=1)
    held, held_scores, _ = hidden_rule(50, seed=2)
    config = replace(QUICK, context_epochs=1)
    taught = train_scorer(MODEL, config, training, scores, held, held_scores).scorer
    assert srcc(predict(taught, held), held_scores) > 0.9
    other = shuffle_readings(held, 0)
    assert abs(srcc(predict(taught, other), held_scores)) < 0.5
    untaught = train_scorer(
        MODEL, config, shuffle_readings(training, 0), scores, other, held_scores
    )
    assert (untaught.best.srcc or 0) < 0.6


def test_predictions_from_readings_do_not_depend_on_company() -> None:
    pictures, scores, _ = hidden_rule(12, seed=3)
    pictures[3:5] = without_readings(pictures[3:5])
    config = replace(QUICK, epochs=1, context_epochs=1)
    scorer = train_scorer(MODEL, config, pictures, scores, pictures, scores).scorer
    together = predict(scorer, pictures)
    assert together == pytest.approx([predict(scorer, [p])[0] for p in pictures], abs=1e-4)
    assert predict(scorer, pictures[::-1], size=5) == pytest.approx(together[::-1], abs=1e-4)


def test_spoiled_copies_with_readings_can_be_learned_from() -> None:
    training, scores, faults = hidden_rule(20, seed=4)
    copies = spoiled_copies(training, faults, seed=0)
    config = replace(QUICK, epochs=2, locality_weight=0.5, spoiled_per_step=4)
    result = train_scorer(MODEL, config, training, scores, training, scores, copies)
    assert all(report.locality > 0 for report in result.history)
    half_read = [*training[:10], *without_readings(training[10:])]
    result = train_scorer(MODEL, config, half_read, scores, half_read, scores, copies)
    assert all(np.isfinite(report.loss) for report in result.history)


def test_batches_carry_readings_padded_to_the_largest_partition() -> None:
    pictures, _, faults = data_set(8, seed=5)
    read = with_semantics(pictures, faults)
    batch = stack(read, range(8))
    assert batch.semantics is not None
    assert batch.semantics.known.shape == batch.area.shape
    assert torch.equal(batch.semantics.known, batch.area > 0)
    assert stack(pictures, range(8)).semantics is None


# The recipe


SMALL = ScorerConfig(channels=0, context_dim=0, dim=8, hidden=16, description_dim=SENTENCES.width)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ScoredImages:
    folder = tmp_path_factory.mktemp("scored") / "data"
    write_scored_pictures(folder, 12, splits=("train", "train", "val"))
    return ScoredImages.from_csv(folder)


@pytest.fixture(scope="module")
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture(scope="module")
def recipe(tiny_encoder_specs: Specs) -> Recipe:
    quick = TrainingConfig(epochs=2, batch_size=8, spoiled_per_step=4)
    return Recipe(
        model=SMALL,
        training=quick,
        encoder=tiny_encoder_specs,
        spoiled=4,
        graded=2,
        reader="embedded",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def prepared(data: ScoredImages, recipe: Recipe, reader: FakeReader, folder: Path) -> Prepared:
    with pytest.MonkeyPatch.context() as patch:
        replace_sentence_encoder(patch)
        patch.setattr(recipes, "build_reader", lambda *_, **__: reader)
        return prepare(data, recipe, folder)


def shown(prepared: Prepared, readings: str, epochs: int = 2) -> Prepared:
    training = replace(prepared.recipe.training, epochs=epochs)
    return replace(prepared, recipe=replace(prepared.recipe, readings=readings, training=training))


def test_a_scorer_learned_with_readings_says_so_and_is_used_with_them(
    prepared: Prepared,
    data: ScoredImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace_sentence_encoder(monkeypatch)
    checkpoint = train(prepared, "read")
    assert checkpoint.reader == "fake/1"
    told = checkpoint.training
    assert (told["reader"], told["readings"], told["regions_read"]) == ("fake/1", "own", 1.0)
    assert told["validation_unread"].keys() == told["validation"].keys()
    assert checkpoint.scorer.config.description_dim == SENTENCES.width
    save_checkpoint(checkpoint, tmp_path)
    assessor = RSFIQA.from_pretrained(tmp_path, reader=FakeReader())
    found = [assessor.assess(row.path).score for row in data.split("val")]
    wanted = predict(checkpoint.scorer, prepared.validation)
    assert found == pytest.approx(wanted, abs=0.2), "but for half precision on disk"
    card = model_card(checkpoint, "rsfiqa train")
    assert "| readings | fake/1, of 100.0% of the regions |" in card
    assert "Without a reader: SRCC" in card


def test_shuffled_and_hidden_readings_need_no_new_features_and_make_scorers_that_see_none(
    prepared: Prepared, reader: FakeReader
) -> None:
    read = len(reader.shapes)
    own, shuffled, none = (train(shown(prepared, r, 6), r) for r in ("own", "shuffled", "none"))
    assert len(reader.shapes) == read
    assert own.reads
    assert not shuffled.reads
    assert not none.reads
    assert shuffled.training["readings"] == "shuffled"
    assert "shuffled among pictures: an ablation" in model_card(shuffled, "")
    assert "reader" not in none.training
    assert "| readings | none |" in model_card(none, "")
    names = {c.name.rpartition("-")[2] for c in (own, shuffled, none)}
    assert len(names) == 3


def test_hidden_readings_train_the_scorer_that_nobody_read_for(
    prepared: Prepared, data: ScoredImages, recipe: Recipe, folder: Path
) -> None:
    unread = prepare(data, replace(recipe, reader="none"), folder)
    assert train(unread, "x").name == train(shown(prepared, "none"), "x").name


def test_nobody_reads_for_the_twin_without_regions(
    data: ScoredImages, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "build_reader", lambda *_, **__: pytest.fail("it was built"))
    twin = prepare(data, replace(recipe, model=replace(SMALL, aggregation="pooling")), tmp_path)
    assert twin.reader == "none"
    assert train(twin, "twin").reader == "none"


@pytest.mark.parametrize(
    ("reader", "readings", "sentence"),
    [
        ("embedded", "theirs", "readings are own, shuffled, none; got 'theirs'"),
        ("none", "shuffled", "there are no readings to shuffle"),
    ],
)
def test_readings_that_cannot_be_shown_are_refused(
    reader: str, readings: Any, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Recipe(reader=reader, readings=readings)


@pytest.mark.parametrize(
    ("recipe_precision", "settings_", "wanted"),
    [("bf16", {}, "bf16"), ("fp32", {"precision": "bf16"}, "bf16"), ("fp32", {}, "fp32")],
)
def test_the_embedded_reader_takes_the_encoders_precision_unless_told(
    monkeypatch: pytest.MonkeyPatch, recipe_precision: str, settings_: Any, wanted: str
) -> None:
    asked: list[Any] = []

    def build(spec: str, **given_: Any) -> FakeReader:
        asked.append((spec, given_))
        return FakeReader()

    monkeypatch.setattr(recipes, "build_reader", build)
    replace_sentence_encoder(monkeypatch)
    recipe = Recipe(reader="embedded", precision=recipe_precision, reader_settings=settings_)
    recipes._build_reading(recipe)
    assert asked == [("embedded", {"precision": wanted})]
