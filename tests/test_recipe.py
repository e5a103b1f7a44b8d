"""From a folder of scored pictures to a scorer that assesses new ones, with tiny backbones."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsfiqa import RSFIQA
from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import ConfigError, DataError, ImageError
from rsfiqa.extraction import FeatureExtractor
from rsfiqa.images import load_image
from rsfiqa.learning import recipe as recipes
from rsfiqa.learning.card import model_card
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.recipe import Prepared, Recipe, prepare, split, train
from rsfiqa.learning.training import EpochReport, TrainingConfig, predict
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.checkpoint import Checkpoint, save_checkpoint
from rsfiqa.scoring.model import ScorerConfig
from scored_pictures import read_scores, write_scored_pictures, write_scores

Specs = list[dict[str, Any]]
SMALL = ScorerConfig(channels=0, context_dim=0, dim=8, hidden=16)
QUICK = TrainingConfig(epochs=2, batch_size=8, spoiled_per_step=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures, a quarter of them for validation."""
    splits = ("train", "train", "train", "val")
    return write_scored_pictures(tmp_path_factory.mktemp("scored") / "data", splits=splits)


@pytest.fixture(scope="module")
def data(folder: Path) -> ScoredImages:
    return ScoredImages.from_csv(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def recipe(tiny_encoder_specs: Specs) -> Recipe:
    return Recipe(model=SMALL, training=QUICK, encoder=tiny_encoder_specs, spoiled=6, graded=2)


@pytest.fixture(scope="module")
def prepared(data: ScoredImages, recipe: Recipe, cache: Path) -> Prepared:
    return prepare(data, recipe, cache)


@pytest.fixture(scope="module")
def checkpoint(prepared: Prepared) -> Checkpoint:
    return train(prepared, "blur")


def test_a_trained_scorer_assesses_new_pictures(
    checkpoint: Checkpoint, tmp_path: Path, folder: Path
) -> None:
    save_checkpoint(checkpoint, tmp_path / "model")
    assessor = RSFIQA.from_pretrained(tmp_path / "model", reader="none")
    result = assessor.assess(folder / "picture-00.png")
    assert math.isfinite(result.score)
    added = sum(region.weight * region.score for region in result.regions)
    assert added == pytest.approx(result.score, abs=1e-4)
    assert result.model.scorer == checkpoint.name
    assert checkpoint.name.startswith("blur-")


def test_what_is_learned_is_what_is_used(
    checkpoint: Checkpoint, prepared: Prepared, data: ScoredImages, tmp_path: Path
) -> None:
    save_checkpoint(checkpoint, tmp_path)
    assessor = RSFIQA.from_pretrained(tmp_path, reader="none")
    wanted = predict(checkpoint.scorer, prepared.validation)
    found = [assessor.assess(row.path).score for row in data.split("val")]
    assert found == pytest.approx(wanted, abs=0.2), "but for half precision on disk"


def test_a_checkpoint_tells_how_it_was_made(checkpoint: Checkpoint, tmp_path: Path) -> None:
    told = checkpoint.training
    assert told["training_pictures"] == 12
    assert told["validation_pictures"] == 4
    assert 0 < told["spoiled_copies"] <= 6
    assert told["settings"]["epochs"] == QUICK.epochs
    assert told["precision"] == "fp32"
    assert len(told["members"]) == 1
    assert set(told["validation"]) >= {"srcc"}
    save_checkpoint(checkpoint, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert written["training"] == json.loads(json.dumps(told))
    assert written["name"] == checkpoint.name


def test_the_same_recipe_gives_the_same_scorer_and_another_seed_another(
    prepared: Prepared, checkpoint: Checkpoint
) -> None:
    again = train(prepared, "blur")
    assert again.name == checkpoint.name, "the name tells the weights"
    for one, same in zip(
        checkpoint.scorer.state_dict().values(), again.scorer.state_dict().values(), strict=True
    ):
        assert torch.equal(one, same)
    seeded = replace(prepared.recipe, training=replace(QUICK, seed=1))
    assert train(replace(prepared, recipe=seeded), "blur").name != checkpoint.name


def test_the_members_of_an_ensemble_are_trained_with_seeds_that_follow(
    prepared: Prepared, checkpoint: Checkpoint
) -> None:
    told: list[EpochReport] = []
    two = replace(prepared.recipe, model=replace(SMALL, members=2))
    both = train(replace(prepared, recipe=two), "blur", told.append)
    assert [report.epoch for report in told] == [1, 2, 1, 2]
    assert len(both.training["members"]) == 2
    first, second = both.scorer.members
    for name, tensor in checkpoint.scorer.members[0].state_dict().items():
        assert torch.equal(tensor, first.state_dict()[name])
    assert any(
        not torch.equal(tensor, second.state_dict()[name])
        for name, tensor in first.state_dict().items()
    )


def test_a_second_run_computes_nothing_and_is_given_the_same(
    data: ScoredImages,
    recipe: Recipe,
    prepared: Prepared,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> Any:
        pytest.fail("features were computed again")

    monkeypatch.setattr(FeatureExtractor, "encode", fail)
    again = prepare(data, recipe, cache)
    assert again.training_scores == prepared.training_scores
    for one, same in zip(
        [*prepared.training, *prepared.validation],
        [*again.training, *again.validation],
        strict=True,
    ):
        assert torch.equal(one.positions, same.positions)
        assert torch.equal(one.context, same.context)
    for copy, same_copy in zip(prepared.spoiled, again.spoiled, strict=True):
        assert (copy.source, copy.region, copy.strength) == (
            same_copy.source,
            same_copy.region,
            same_copy.strength,
        )


def test_the_features_follow_the_pictures(
    prepared: Prepared, data: ScoredImages, recipe: Recipe
) -> None:
    assert prepared.training_scores == [row.score for row in data.split("train")]
    assert prepared.validation_scores == [row.score for row in data.split("val")]
    assert len(prepared.training) == 12
    assert all(0 <= copy.source < 12 for copy in prepared.spoiled)
    channels = {features.positions.shape[0] for features in prepared.training}
    assert channels == {prepared.stem.channels}
    contexts = np.stack([features.context.numpy() for features in prepared.training])
    assert np.abs(contexts.mean(0)) == pytest.approx(np.zeros(contexts.shape[1]), abs=1e-3)


def test_the_twin_without_regions_needs_no_spoiled_copies(
    data: ScoredImages, recipe: Recipe, cache: Path
) -> None:
    pooling = replace(recipe, model=replace(SMALL, aggregation="pooling"))
    prepared = prepare(data, pooling, cache)
    assert prepared.spoiled == []
    checkpoint = train(prepared, "twin")
    assert checkpoint.scorer.config.aggregation == "pooling"
    assert checkpoint.training["spoiled_copies"] == 0


def test_progress_is_told_stage_by_stage(
    data: ScoredImages, recipe: Recipe, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    prepare(data, recipe, tmp_path, lambda *what: told.append(what))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == [
        "fitting the stem",
        "training pictures",
        "validation pictures",
        "spoiled copies",
        "graded copies",
    ]
    for stage in stages:
        steps = [(done, total) for name, done, total in told if name == stage]
        total = steps[0][1]
        assert steps == [(done, total) for done in range(1, total + 1)]


def test_the_shipped_stem_serves_other_data_of_the_same_encoder(
    data: ScoredImages,
    recipe: Recipe,
    checkpoint: Checkpoint,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped = tmp_path / "shipped"
    checkpoint.stem.context_center.data += 1
    save_checkpoint(checkpoint, shipped)
    checkpoint.stem.context_center.data -= 1
    monkeypatch.setattr(recipes, "default_folder", lambda: shipped)
    told: list[str] = []
    used = prepare(data, recipe, cache, lambda stage, *_: told.append(stage))
    assert "fitting the stem" not in told
    assert torch.equal(used.stem.context_center, checkpoint.stem.context_center + 1)
    told.clear()
    other = replace(recipe, encoder=recipe.encoder[:1], spoiled=0)
    prepare(data, other, cache, lambda stage, *_: told.append(stage))
    assert "fitting the stem" in told, "another encoder needs a stem of its own"


def test_bf16_has_features_of_its_own_and_is_told(
    data: ScoredImages, recipe: Recipe, prepared: Prepared, cache: Path
) -> None:
    half = prepare(data, replace(recipe, precision="bf16", spoiled=0), cache)
    assert not torch.equal(half.training[0].context, prepared.training[0].context)
    assert train(half, "half").training["precision"] == "bf16"


# What to train on


def test_the_datas_own_split_is_used(data: ScoredImages, recipe: Recipe) -> None:
    training, validation = split(data, recipe)
    assert {row.split for row in training} == {"train"}
    assert {row.split for row in validation} == {"val"}


def test_without_a_split_some_are_held_out_by_the_seed(data: ScoredImages, recipe: Recipe) -> None:
    unsplit = replace(data, rows=tuple(replace(row, split="") for row in data.rows))
    quarter = replace(recipe, validation_fraction=0.25)
    training, validation = split(unsplit, quarter)
    assert (len(training), len(validation)) == (12, 4)
    assert {row.image for row in training}.isdisjoint(row.image for row in validation)
    assert split(unsplit, quarter) == (training, validation)
    reseeded = replace(quarter, training=replace(QUICK, seed=5))
    assert split(unsplit, reseeded) != (training, validation)


def test_data_that_is_all_training_is_split_too(data: ScoredImages, recipe: Recipe) -> None:
    training, validation = split(data.split("train"), recipe)
    assert len(training) + len(validation) == 12
    assert len(validation) > 0


def test_a_test_split_is_left_alone(data: ScoredImages, recipe: Recipe) -> None:
    names = {"train": "train", "val": "test"}
    renamed = replace(data, rows=tuple(replace(row, split=names[row.split]) for row in data.rows))
    training, validation = split(renamed, recipe)
    assert len(training) + len(validation) == len(renamed.split("train"))
    assert {row.split for row in (*training, *validation)} == {"train"}


def test_splits_without_training_pictures_are_refused(data: ScoredImages, recipe: Recipe) -> None:
    renamed = replace(data, rows=tuple(replace(row, split="test") for row in data.rows))
    with pytest.raises(DataError, match="the splits are test; training needs train"):
        split(renamed, recipe)


def test_too_few_pictures_are_refused_before_any_work(
    data: ScoredImages, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "build_encoder", lambda *_: pytest.fail("work was begun"))
    few = replace(data, rows=data.rows[:6])
    with pytest.raises(ConfigError, match="at least 2 training and 3 validation pictures"):
        prepare(few, recipe, tmp_path)


def test_mirror_images_follow_the_pictures_and_are_cached_apart(
    data: ScoredImages, recipe: Recipe, prepared: Prepared, cache: Path
) -> None:
    flipped = prepare(data, replace(recipe, flips=True), cache)
    count = len(prepared.training)
    assert len(flipped.training) == 2 * count
    assert flipped.training_scores == prepared.training_scores * 2
    assert len(flipped.validation) == len(prepared.validation)
    for one, same in zip(prepared.training, flipped.training[:count], strict=True):
        assert torch.equal(one.positions, same.positions)
    mirrored = flipped.training[count:]
    assert not any(
        torch.equal(one.context, other.context)
        for one, other in zip(prepared.training, mirrored, strict=True)
    )
    pixels = load_image(data.split("train").rows[0].path).pixels[:, ::-1].copy()
    extractor = FeatureExtractor(build_encoder(recipe.encoder), EmbeddedSegmenter(), flipped.stem)
    wanted, _ = extractor.extract(pixels)
    assert torch.equal(mirrored[0].labels.long(), wanted.labels)
    torch.testing.assert_close(mirrored[0].context, wanted.context)
    assert all(copy.source < count for copy in flipped.spoiled)
    told = train(flipped, "flipped").training
    assert told["training_pictures"] == count
    assert told["flips"] is True
    assert "and their mirror images" in model_card(train(flipped, "flipped"), "rsfiqa train")


def test_a_limit_takes_some_of_both_and_copies_in_proportion(
    data: ScoredImages, recipe: Recipe, cache: Path
) -> None:
    trial = replace(recipe, limit=9, spoiled=8)
    training, validation = split(data, trial)
    assert (len(training), len(validation)) == (6, 3)
    assert {row.split for row in training} == {"train"}
    assert split(data, trial) == (training, validation)
    prepared = prepare(data, trial, cache)
    assert (len(prepared.training), len(prepared.validation)) == (6, 3)
    assert len(prepared.spoiled) <= 4, "6 of 12 pictures, so 4 of 8 copies"
    whole = split(data, replace(recipe, limit=99))
    assert whole == split(data, recipe)


@pytest.mark.parametrize(
    "settings", [{"spoiled": -1}, {"graded": -1}, {"limit": -1}, {"validation_fraction": 0.0}]
)
def test_recipes_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Recipe(**settings)


def test_an_unknown_precision_is_refused_before_any_work(
    data: ScoredImages, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "build_encoder", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(ConfigError, match="precision is fp32 or bf16; got 'fp16'"):
        prepare(data, replace(recipe, precision="fp16"), tmp_path)


def test_a_damaged_picture_is_named(tmp_path: Path, recipe: Recipe) -> None:
    folder = write_scored_pictures(tmp_path / "data", 8, splits=("train", "val"))
    (folder / "picture-02.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"picture-02\.png"):
        prepare(ScoredImages.from_csv(folder), recipe, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_a_data_error(
    data: ScoredImages, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match="features cannot be cached in"):
        prepare(data, recipe, tmp_path / "cache")


def test_pictures_of_mixed_sizes_train_together(tmp_path: Path, recipe: Recipe) -> None:
    splits = ("train", "train", "val")
    folder = write_scored_pictures(tmp_path / "data", 9, splits=splits)
    write_scored_pictures(tmp_path / "data" / "large", 6, splits=splits, side=160)
    rows = read_scores(folder)
    larger = [{**row, "image": f"large/{row['image']}"} for row in read_scores(folder / "large")]
    (folder / "large" / "scores.csv").unlink()
    write_scores(folder, [*rows, *larger])
    prepared = prepare(ScoredImages.from_csv(folder), recipe, tmp_path / "cache")
    grids = {tuple(features.labels.shape) for features in prepared.training}
    assert len(grids) == 2
    assert math.isfinite(train(prepared, "mixed").training["members"][0]["loss"])
