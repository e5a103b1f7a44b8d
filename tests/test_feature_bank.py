"""Features held once for many cuts, and one backbone's part of those that several made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rsfiqa.encoders.build import build_encoder
from rsfiqa.encoders.grid import to_tensor
from rsfiqa.errors import DataError
from rsfiqa.extraction import FeatureExtractor
from rsfiqa.images import load_image
from rsfiqa.learning.backbone_parts import backbone_parts
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.feature_bank import FeatureBank
from rsfiqa.learning.features import plan_spoiled
from rsfiqa.learning.graded import Graded, plan_graded
from rsfiqa.learning.prepared import Recipe, split
from rsfiqa.learning.recipe import prepare, prepare_bank, train
from rsfiqa.learning.training import TrainingConfig
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.model import ScorerConfig
from rsfiqa.scoring.stem import Stem
from scored_pictures import write_scored_pictures

Specs = list[dict[str, Any]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ScoredImages:
    folder = tmp_path_factory.mktemp("scored") / "data"
    return ScoredImages.from_csv(
        write_scored_pictures(folder, 12, splits=("train", "train", "train", "val"))
    )


@pytest.fixture(scope="module")
def recipe(tiny_encoder_specs: Specs) -> Recipe:
    return Recipe(
        model=ScorerConfig(channels=0, context_dim=0, dim=8, hidden=16),
        training=TrainingConfig(epochs=1, batch_size=8, spoiled_per_step=2, context_epochs=1),
        encoder=tiny_encoder_specs,
        spoiled=5,
        graded=3,
        flips=True,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def bank(data: ScoredImages, recipe: Recipe, cache: Path) -> FeatureBank:
    plans = {"spoiled": plan_spoiled(12, 8, 0), "graded": plan_graded(12, 7, 0)}
    return prepare_bank(data, recipe, cache, stem=data.split("train"), **plans)


def test_a_cut_of_the_bank_is_what_prepare_would_compute(
    bank: FeatureBank, data: ScoredImages, recipe: Recipe, cache: Path
) -> None:
    wanted = prepare(data, recipe, cache)
    training, validation = split(data, recipe)
    found = bank.prepared(recipe, training, validation)
    assert found.training_scores == wanted.training_scores
    assert found.validation_scores == wanted.validation_scores
    assert (found.segmenter, found.reader) == (wanted.segmenter, wanted.reader)
    for one, same in zip(
        [*found.training, *found.validation], [*wanted.training, *wanted.validation], strict=True
    ):
        assert torch.equal(one.positions, same.positions)
        assert torch.equal(one.context, same.context)
    plain = replace(recipe, flips=False)
    one, same = (replace(each, spoiled=[], graded=[]) for each in (found, wanted))
    assert train(one, "x").name == train(same, "x").name, "the name tells the weights"
    assert len(bank.prepared(plain, training, validation).training) == len(training)


def test_nothing_is_copied_and_copies_follow_their_pictures(
    bank: FeatureBank, data: ScoredImages, recipe: Recipe
) -> None:
    some, rest = data.take(7, seed=1), data.take(4, seed=2)
    prepared = bank.prepared(recipe, some, rest)
    held = {id(features) for features in (*bank.pictures, *bank.mirrored)}
    assert all(id(features) in held for features in prepared.training)
    mine = {row.path for row in some}
    wanted = [copy for copy in bank.spoiled if bank.paths[copy.source] in mine]
    assert [copy.features for copy in prepared.spoiled] == [copy.features for copy in wanted]
    assert [some.rows[copy.source].path for copy in prepared.spoiled] == [
        bank.paths[copy.source] for copy in wanted
    ]
    graded = [copy for copy in bank.graded if bank.paths[copy.source] in mine]
    assert graded
    assert [(some.rows[copy.source].path, copy.contexts) for copy in prepared.graded] == [
        (bank.paths[copy.source], copy.contexts) for copy in graded
    ]


def test_pictures_that_were_not_prepared_are_named(
    bank: FeatureBank, data: ScoredImages, recipe: Recipe
) -> None:
    other = replace(data, rows=(replace(data.rows[0], path=Path("/x/other.png")),))
    with pytest.raises(DataError, match=r"features of /x/other\.png were not prepared"):
        bank.prepared(recipe, other, data)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("width", [8, 64])
def test_a_backbones_part_is_what_it_gives_alone(
    tiny_encoder_specs: Specs, data: ScoredImages, index: int, width: int
) -> None:
    """The same numbers as of an encoder with that backbone alone, its stem and the same regions."""
    encoder = build_encoder(tiny_encoder_specs)
    stem = Stem(encoder.groups, width, encoder.context_dim)
    pictures = [load_image(row.path).pixels for row in data.rows[:4]]
    grids = [encoder(to_tensor(pixels)) for pixels in pictures]
    stem.fit((grid.positions[0], grid.context[0]) for grid in grids)
    whole = FeatureExtractor(encoder, EmbeddedSegmenter(), stem)
    part = backbone_parts(encoder, tiny_encoder_specs, stem)[index]

    specs = [tiny_encoder_specs[index]]
    alone = build_encoder(specs)
    fitted = Stem(alone.groups, width, alone.context_dim)
    own_grids = [alone(to_tensor(pixels)) for pixels in pictures]
    fitted.fit((grid.positions[0], grid.context[0]) for grid in own_grids)
    sliced = part.of_stem(stem)
    assert sliced.widths == fitted.widths
    for one, same in zip(sliced.state_dict().values(), fitted.state_dict().values(), strict=True):
        torch.testing.assert_close(one, same, rtol=1e-3, atol=1e-5)

    single = FeatureExtractor(alone, EmbeddedSegmenter(), sliced)
    for pixels in pictures:
        features, partition = whole.extract(pixels)
        wanted, _ = single.extract(pixels, partition)
        found = part.of_features(features)
        torch.testing.assert_close(found.positions, wanted.positions, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.context, wanted.context, rtol=1e-5, atol=1e-5)
        assert torch.equal(found.labels, wanted.labels)
        assert torch.equal(found.area, wanted.area)
        storage = features.positions.untyped_storage().data_ptr()
        assert found.positions.untyped_storage().data_ptr() == storage, "no memory is taken"


def test_parts_share_out_all_channels(tiny_encoder_specs: Specs) -> None:
    encoder = build_encoder(tiny_encoder_specs)
    stem = Stem(encoder.groups, 16, encoder.context_dim)
    parts = backbone_parts(encoder, tiny_encoder_specs, stem)
    contexts = torch.rand(4, encoder.context_dim)
    cut = [part.of_graded(Graded(contexts, 3)) for part in parts]
    assert torch.equal(torch.cat([copy.contexts for copy in cut], 1), contexts)
    assert [part.name for part in parts] == ["timm:test_vit", "timm:test_efficientnet"]
    for name, total in (
        ("maps", len(encoder.groups)),
        ("raw", sum(encoder.groups)),
        ("channels", stem.channels),
        ("context", encoder.context_dim),
    ):
        places = [range(*getattr(part, name).indices(total)) for part in parts]
        assert [i for place in places for i in place] == list(range(total))
