"""One recipe from a folder of scored pictures to a scorer on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from rsfiqa import __version__
from rsfiqa.assets import cache_folder
from rsfiqa.encoders.build import DEFAULT_ENCODER, build_encoder
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.features import FeatureCache, fit_stem, plan_spoiled
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.training import (
    EpochReport,
    Spoiled,
    TrainingConfig,
    predict,
    require_enough,
    train_scorer,
)
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.checkpoint import (
    Checkpoint,
    default_folder,
    load_checkpoint,
    weights_digest,
)
from rsfiqa.scoring.model import RegionScorer, ScorerConfig
from rsfiqa.scoring.stem import Stem

T = TypeVar("T")

STEM_WIDTH = 64
STEM_PICTURES = 300

Progress = Callable[[str, int, int], None]
"""Told of a stage, how far it is, and how far it will go."""


@dataclass(frozen=True)
class Recipe:
    """What to train, besides the data.

    Attributes:
        model: sizes; `channels` and `context_dim` are set from the encoder.
        training: settings of the optimisation.
        encoder: descriptions of the backbones.
        spoiled: how many locally spoiled copies of training pictures to make.
        precision: of the encoder while features are computed, `fp32` or `bf16`.
        validation_fraction: held out at random when the data has no `val` split.
    """

    model: ScorerConfig = field(default_factory=lambda: ScorerConfig(channels=0, context_dim=0))
    training: TrainingConfig = field(default_factory=TrainingConfig)
    encoder: Sequence[Mapping[str, Any]] = DEFAULT_ENCODER
    spoiled: int = 1500
    precision: str = "fp32"
    validation_fraction: float = 0.15


@dataclass(frozen=True)
class Prepared:
    """Features of a data set, ready for any number of training runs."""

    recipe: Recipe
    stem: Stem
    training: Sequence[PictureFeatures]
    training_scores: list[float]
    validation: Sequence[PictureFeatures]
    validation_scores: list[float]
    spoiled: list[Spoiled]
    segmenter: str


def split(data: ScoredImages, recipe: Recipe) -> tuple[ScoredImages, ScoredImages]:
    """The training and the validation pictures: by the data's own split, else at random, seeded."""
    if {"train", "val"} <= set(data.splits):
        return data.split("train"), data.split("val")
    if set(data.splits) - {"train"}:
        raise DataError(
            f"the splits are {', '.join(data.splits)}; training needs train and val, or none."
        )
    return data.random_split(recipe.validation_fraction, recipe.training.seed)


def prepare(
    data: ScoredImages, recipe: Recipe, cache: Path | None = None, progress: Progress | None = None
) -> Prepared:
    """Compute (or find in the cache) all features that a recipe needs.

    Args:
        data: scored pictures, with or without a `train`/`val` split.
        recipe: what to train.
        cache: folder of cached features; by default inside the asset cache.
        progress: told how far the work is.

    Raises:
        ConfigError: there are too few pictures, or the recipe's precision is unknown.
        DataError: the data or the cache are not as they should be.
        ImageError: a picture cannot be read.
    """
    if recipe.precision not in ("fp32", "bf16"):
        raise ConfigError(f"precision is fp32 or bf16; got {recipe.precision!r}.")
    train, validation = split(data, recipe)
    require_enough(len(train), len(validation))
    train_paths = [row.path for row in train.rows]
    encoder = build_encoder(recipe.encoder)
    if recipe.precision == "bf16":
        encoder.to_bf16()
    segmenter = EmbeddedSegmenter()
    stem = Stem(encoder.groups, STEM_WIDTH, encoder.context_dim)
    extractor = FeatureExtractor(encoder, segmenter, stem)
    folder = cache or cache_folder() / "features"
    shipped = _shipped_stem(recipe)
    if shipped is not None:
        extractor.stem = shipped
    else:
        sample = [row.path for row in train.take(STEM_PICTURES, seed=0).rows]
        fit_stem(extractor, sample, folder, _teller("fitting the stem", len(sample), progress))
    features = FeatureCache(folder, extractor)
    clean = list(
        _told(features.all_clean(train_paths), "training pictures", len(train_paths), progress)
    )
    held_paths = [row.path for row in validation.rows]
    held = list(
        _told(features.all_clean(held_paths), "validation pictures", len(held_paths), progress)
    )
    copies = recipe.spoiled if recipe.model.aggregation == "rsa" else 0
    plans = plan_spoiled(len(train_paths), copies, recipe.training.seed)
    spoiled = _told(features.all_spoiled(train_paths, plans), "spoiled copies", copies, progress)
    return Prepared(
        recipe=recipe,
        stem=extractor.stem,
        training=clean,
        training_scores=[row.score for row in train.rows],
        validation=held,
        validation_scores=[row.score for row in validation.rows],
        spoiled=[copy for copy in spoiled if copy is not None],
        segmenter=segmenter.name,
    )


def train(
    prepared: Prepared, name: str, on_epoch: Callable[[EpochReport], None] | None = None
) -> Checkpoint:
    """Train a scorer on prepared features; its `training` field tells how and how well.

    Members are trained one after the other, with seeds that follow the recipe's.
    """
    recipe = prepared.recipe
    model = replace(
        recipe.model,
        channels=prepared.stem.channels,
        context_dim=len(prepared.stem.context_center),
    )
    started = time.monotonic()
    results = [
        train_scorer(
            model,
            replace(recipe.training, seed=recipe.training.seed + i),
            prepared.training,
            prepared.training_scores,
            prepared.validation,
            prepared.validation_scores,
            prepared.spoiled,
            on_epoch,
        )
        for i in range(recipe.model.members)
    ]
    scorer = RegionScorer.merged([result.scorer for result in results])
    measured = correlations(predict(scorer, prepared.validation), prepared.validation_scores)
    checkpoint = Checkpoint(
        name=name,
        scorer=scorer,
        stem=prepared.stem,
        encoder=list(recipe.encoder),
        segmenter=prepared.segmenter,
        training={
            "rsfiqa": __version__,
            "settings": asdict(recipe.training),
            "precision": recipe.precision,
            "training_pictures": len(prepared.training),
            "spoiled_copies": len(prepared.spoiled),
            "validation_pictures": len(prepared.validation),
            "members": [asdict(result.best) for result in results],
            "validation": measured.to_dict(),
            "seconds": round(time.monotonic() - started, 1),
        },
    )
    return replace(checkpoint, name=f"{name}-{weights_digest(checkpoint)}")


def _teller(stage: str, total: int, progress: Progress | None) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if progress:
            progress(stage, done, total)

    return tell


def _told(items: Iterable[T], stage: str, total: int, progress: Progress | None) -> Iterator[T]:
    tell = _teller(stage, total, progress)
    for done, item in enumerate(items, start=1):
        yield item
        tell(done)


def _shipped_stem(recipe: Recipe) -> Stem | None:
    """The stem of the packaged scorer, when it was made for the same encoder.

    A stem knows nothing of scores, so it serves other data as well, and features stay in the cache.
    """
    if not (default_folder() / "config.json").exists():
        return None
    shipped = load_checkpoint(default_folder())
    same = [dict(spec) for spec in shipped.encoder] == [dict(spec) for spec in recipe.encoder]
    return shipped.stem if same else None
