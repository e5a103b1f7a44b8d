"""One recipe from a folder of scored pictures to a scorer on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from rsfiqa import __version__
from rsfiqa.assets import cache_folder
from rsfiqa.encoders.build import DEFAULT_ENCODER, build_encoder
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.features import FeatureCache, fit_stem, plan_spoiled
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.shown_readings import (
    Readings,
    donors,
    require_readings,
    shuffle_readings,
    with_readings_of,
    without_readings,
)
from rsfiqa.learning.training import (
    EpochReport,
    Spoiled,
    TrainingConfig,
    predict,
    require_enough,
    train_scorer,
)
from rsfiqa.reading.base import NoReader, Reader
from rsfiqa.reading.build import build_reader, precision_of
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.checkpoint import (
    Checkpoint,
    default_folder,
    load_checkpoint,
    weights_digest,
)
from rsfiqa.scoring.model import RegionScorer, ScorerConfig
from rsfiqa.scoring.semantics import TextEncoder
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
        reader: what reads the regions of training pictures and of their spoiled copies, as
            `rsfiqa.reading.build.build_reader` takes it; `none` trains without readings. Nobody
            reads for `pooling`.
        reader_settings: passed to it, such as `{"precision": "bf16"}`; without that, the embedded
            reader takes the encoder's precision.
        readings: which readings the scorer is shown: each picture's `own`, those of another
            picture (`shuffled`), or `none` although they are there. Features do not depend on it.

    Raises:
        ConfigError: `readings` is none of these, or there are none to be shuffled.
    """

    model: ScorerConfig = field(default_factory=lambda: ScorerConfig(channels=0, context_dim=0))
    training: TrainingConfig = field(default_factory=TrainingConfig)
    encoder: Sequence[Mapping[str, Any]] = DEFAULT_ENCODER
    spoiled: int = 1500
    precision: str = "fp32"
    validation_fraction: float = 0.15
    reader: str = "none"
    reader_settings: Mapping[str, Any] = field(default_factory=dict)
    readings: Readings = "own"

    def __post_init__(self) -> None:
        require_readings(self.readings, self.reader)


@dataclass(frozen=True)
class Prepared:
    """Features of a data set, ready for any number of training runs.

    Pictures have their own readings where there is a `reader`, which is its name: what of them the
    scorer sees is up to the recipe, so that `replace(prepared, recipe=…)` serves all ablations.
    """

    recipe: Recipe
    stem: Stem
    training: Sequence[PictureFeatures]
    training_scores: list[float]
    validation: Sequence[PictureFeatures]
    validation_scores: list[float]
    spoiled: list[Spoiled]
    segmenter: str
    reader: str = "none"

    @property
    def shown(self) -> Readings:
        """Which readings the scorer sees: those of the recipe; none where it could not use any."""
        if self.reader == "none" or self.recipe.model.aggregation == "pooling":
            return "none"
        return self.recipe.readings


def split(data: ScoredImages, recipe: Recipe) -> tuple[ScoredImages, ScoredImages]:
    """The training and the validation pictures: by the data's own split, else at random, seeded.

    Without a `val` split validation pictures are taken from `train`, or from all where there are no
    splits; a `test` split is left alone.
    """
    splits = set(data.splits)
    if {"train", "val"} <= splits:
        return data.split("train"), data.split("val")
    if splits and "train" not in splits:
        raise DataError(
            f"the splits are {', '.join(data.splits)}; training needs train, train and val, or none."
        )
    if splits:
        data = data.split("train")
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
        AssetError: the weights of a backbone or of the reader cannot be had.
        ConfigError: there are too few pictures, or the recipe's precision or reader is unknown.
        DataError: the data or the cache are not as they should be.
        ImageError: a picture cannot be read.
        MissingExtraError: the reader needs a package that is not installed.
    """
    if recipe.precision not in ("fp32", "bf16"):
        raise ConfigError(f"precision is fp32 or bf16; got {recipe.precision!r}.")
    train, validation = split(data, recipe)
    require_enough(len(train), len(validation))
    train_paths = [row.path for row in train.rows]
    reader, sentences = _build_reading(recipe)
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
    features = FeatureCache(folder, extractor, reader, sentences)
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
        reader=reader.name,
    )


def train(
    prepared: Prepared, name: str, on_epoch: Callable[[EpochReport], None] | None = None
) -> Checkpoint:
    """Train a scorer on prepared features; its `training` field tells how and how well.

    Members are trained one after the other, with seeds that follow the recipe's.
    """
    recipe = prepared.recipe
    seed = recipe.training.seed
    training, validation, spoiled = _shown(prepared, seed)
    model = replace(
        recipe.model,
        channels=prepared.stem.channels,
        context_dim=len(prepared.stem.context_center),
    )
    # Also where readings are hidden: scorers that are compared begin alike.
    if (read := prepared.training[0].semantics) is not None:
        model = replace(model, description_dim=read.description.shape[-1])
    started = time.monotonic()
    results = [
        train_scorer(
            model,
            replace(recipe.training, seed=seed + i),
            training,
            prepared.training_scores,
            validation,
            prepared.validation_scores,
            spoiled,
            on_epoch,
        )
        for i in range(recipe.model.members)
    ]
    scorer = RegionScorer.merged([result.scorer for result in results])

    def agreement(pictures: Sequence[PictureFeatures]) -> dict[str, Any]:
        return correlations(predict(scorer, pictures), prepared.validation_scores).to_dict()

    told: dict[str, Any] = {
        "rsfiqa": __version__,
        "settings": asdict(recipe.training),
        "precision": recipe.precision,
        "training_pictures": len(training),
        "spoiled_copies": len(spoiled),
        "validation_pictures": len(validation),
        "members": [asdict(result.best) for result in results],
        "validation": agreement(validation),
    }
    if prepared.shown != "none":
        told |= {
            "reader": prepared.reader,
            "readings": prepared.shown,
            "regions_read": _fraction_read(prepared.training),
            "validation_unread": agreement(without_readings(validation)),
        }
    checkpoint = Checkpoint(
        name=name,
        scorer=scorer,
        stem=prepared.stem,
        encoder=list(recipe.encoder),
        segmenter=prepared.segmenter,
        training={**told, "seconds": round(time.monotonic() - started, 1)},
        # Shuffled readings said nothing, so there is nothing in true ones that it could know.
        reader=prepared.reader if prepared.shown == "own" else "none",
    )
    return replace(checkpoint, name=f"{name}-{weights_digest(checkpoint)}")


def _build_reading(recipe: Recipe) -> tuple[Reader, TextEncoder | None]:
    """What reads, and what embeds what it says; nobody for a scorer that sees no regions."""
    if recipe.model.aggregation == "pooling":
        return NoReader(), None
    precision = precision_of(recipe.reader, recipe.precision)
    reader = build_reader(recipe.reader, **{"precision": precision, **recipe.reader_settings})
    if reader.name == "none":
        return reader, None
    from rsfiqa.reading.sentence_encoder import SentenceEncoder

    return reader, SentenceEncoder.from_pretrained()


def _shown(
    prepared: Prepared, seed: int
) -> tuple[Sequence[PictureFeatures], Sequence[PictureFeatures], list[Spoiled]]:
    """Training pictures, validation pictures and spoiled copies with the readings to be shown."""
    training, validation, spoiled = prepared.training, prepared.validation, prepared.spoiled
    if prepared.shown == "own":
        return training, validation, spoiled
    if prepared.shown == "none":
        copies = without_readings([copy.features for copy in spoiled])
        training, validation = without_readings(training), without_readings(validation)
    else:
        givers = donors(len(training), seed)
        # A copy is read as its original is: another picture's readings know nothing of its fault.
        copies = [
            with_readings_of(copy.features, prepared.training[givers[copy.source]])
            for copy in spoiled
        ]
        training = shuffle_readings(training, seed)
        validation = shuffle_readings(validation, seed)
    return (
        training,
        validation,
        [replace(s, features=copy) for s, copy in zip(spoiled, copies, strict=True)],
    )


def _fraction_read(pictures: Sequence[PictureFeatures]) -> float:
    """Which fraction of all regions has a reading."""
    known = torch.cat([p.semantics.known for p in pictures if p.semantics is not None])
    return round(float(known.float().mean()), 4)


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
