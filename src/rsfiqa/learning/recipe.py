"""From scored pictures to features that a scorer is trained on: what `rsfiqa train` does first.

`prepare` once, then `train` as often as wanted:

    prepared = prepare(ScoredImages.from_csv("pictures/scores.csv"), Recipe())
    checkpoint = train(prepared, "mine")
    longer = replace(prepared, recipe=replace(prepared.recipe, training=TrainingConfig(epochs=9)))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsfiqa.assets import cache_folder
from rsfiqa.devices import choose_device
from rsfiqa.encoders.build import build_encoder
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.ensemble import train
from rsfiqa.learning.features import FeatureCache, SpoilPlan, fit_stem, plan_spoiled
from rsfiqa.learning.joint_sets import JointSets
from rsfiqa.learning.prepared import (
    Prepared,
    Progress,
    Recipe,
    copies_of,
    split,
    teller,
    told,
    without_limit,
)
from rsfiqa.learning.spoiled import Spoiled
from rsfiqa.learning.training import TrainingConfig, require_enough
from rsfiqa.reading.base import NoReader, Reader
from rsfiqa.reading.build import build_reader, precision_of
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.checkpoint import default_folder, load_checkpoint
from rsfiqa.scoring.semantics import TextEncoder
from rsfiqa.scoring.stem import Stem

__all__ = [
    "STEM_PICTURES",
    "STEM_WIDTH",
    "Prepared",
    "Progress",
    "Recipe",
    "TrainingConfig",
    "prepare",
    "prepare_share",
    "split",
    "train",
]

STEM_WIDTH = 64
STEM_PICTURES = 300

Data = ScoredImages | Mapping[str, ScoredImages]
"""One data set, or several by name; the scorer's scale is that of the first."""


def prepare(
    data: Data,
    recipe: Recipe,
    cache: Path | None = None,
    progress: Progress | None = None,
    device: str = "auto",
) -> Prepared:
    """Compute (or find in the cache) all features that a recipe needs.

    Args:
        data: scored pictures, with or without a `train`/`val` split; or several such sets by name.
        recipe: what to train.
        cache: folder of cached features; by default inside the asset cache.
        progress: told how far the work is.
        device: where features are computed and regions read; `auto` is a CUDA device where there
            is one.

    Raises:
        AssetError: the weights of a backbone or of the reader cannot be had.
        ConfigError: there are too few pictures, or the recipe's reader is unknown.
        DataError: the data or the cache are not as they should be.
        ImageError: a picture cannot be read.
        MissingExtraError: the reader needs a package that is not installed.
    """
    work = _Work.of(data, recipe)
    features = _features(work, recipe, cache, progress, device)
    training = list(
        told(features.all_clean(work.train), "training pictures", len(work.train), progress)
    )
    if recipe.flips:
        mirrored = features.all_mirrored(work.train)
        training += told(mirrored, "mirrored pictures", len(work.train), progress)
    held = list(
        told(features.all_clean(work.held), "validation pictures", len(work.held), progress)
    )
    copies = features.all_spoiled(work.train, work.plans)
    spoiled = told(copies, "spoiled copies", len(work.plans), progress)
    times = 2 if recipe.flips else 1
    return Prepared(
        recipe=recipe,
        stem=features.extractor.stem,
        training=training,
        training_scores=work.train_scores * times,
        validation=held,
        validation_scores=work.held_scores,
        spoiled=[copy for copy in spoiled if copy is not None],
        segmenter=features.extractor.segmenter.name,
        reader=features.reader.name,
        sets=work.joint(times),
    )


def prepare_share(
    data: Data,
    recipe: Recipe,
    processes: Any,
    cache: Path | None = None,
    progress: Progress | None = None,
    *,
    device: str = "auto",
) -> None:
    """Compute this process's share of the features into the cache that all processes have.

    When it returns, all have done theirs: `prepare` then finds everything, in any process.

    Args:
        data, recipe, cache, progress, device: as for `prepare`.
        processes: accelerate's `PartialState`, as
            `rsfiqa.learning.teaching_processes.join_processes` gives it.

    Raises:
        RsfiqaError: as for `prepare`.
    """
    work = _Work.of(data, recipe)
    with processes.main_process_first():  # which fits the stem, or converts weights
        features = _features(work, recipe, cache, progress, device)
    first, every = processes.process_index, processes.num_processes
    train, plans = work.train[first::every], work.plans[first::every]
    mine = [*work.train, *work.held][first::every]
    _run_through(told(features.all_clean(mine), "pictures", len(mine), progress))
    if recipe.flips:
        mirrored = features.all_mirrored(train)
        _run_through(told(mirrored, "mirrored pictures", len(train), progress))
    # A copy is seen with the clean picture's partition, which another process may be computing.
    processes.wait_for_everyone()
    copies = features.all_spoiled(work.train, plans)
    _run_through(told(copies, "spoiled copies", len(plans), progress))
    processes.wait_for_everyone()


def _run_through(items: Iterator[PictureFeatures | Spoiled | None]) -> None:
    for _ in items:
        pass


@dataclass(frozen=True)
class _Work:
    """The pictures of a run, those of all data sets one after the other, and what is made of them.

    Attributes:
        names: of the data sets.
        train, held, train_scores, held_scores: training and validation pictures.
        train_sets, held_sets: indices of their data sets.
        stem: pictures that a stem is fitted to, where one has to be.
        plans: of spoiled copies.
    """

    names: tuple[str, ...]
    train: list[Path]
    train_scores: list[float]
    train_sets: tuple[int, ...]
    held: list[Path]
    held_scores: list[float]
    held_sets: tuple[int, ...]
    stem: list[Path]
    plans: list[SpoilPlan]

    @classmethod
    def of(cls, data: Data, recipe: Recipe) -> _Work:
        """Which pictures a recipe takes of the data.

        Raises:
            ConfigError: they are too few.
            DataError: they have splits that leave nothing to train on.
        """
        sets = {"": data} if isinstance(data, ScoredImages) else dict(data)
        halves = [split(one, recipe) for one in sets.values()]
        train = [(row, i) for i, (mine, _) in enumerate(halves) for row in mine]
        held = [(row, i) for i, (_, mine) in enumerate(halves) for row in mine]
        require_enough(len(train), len(held))
        whole = [split(one, without_limit(recipe)) for one in sets.values()]
        copies = copies_of(recipe, len(train), sum(len(mine) for mine, _ in whole))
        share = -(-STEM_PICTURES // len(halves))
        work = cls(
            names=tuple(sets),
            train=[row.path for row, _ in train],
            train_scores=[row.score for row, _ in train],
            train_sets=tuple(i for _, i in train),
            held=[row.path for row, _ in held],
            held_scores=[row.score for row, _ in held],
            held_sets=tuple(i for _, i in held),
            stem=[row.path for mine, _ in halves for row in mine.take(share, seed=0)],
            plans=plan_spoiled(len(train), copies, recipe.training.seed),
        )
        work.joint()
        return work

    def joint(self, times: int = 1) -> JointSets | None:
        """Which picture is of which data set; None where there is one.

        Args:
            times: how often the training pictures are there, mirror images counted.

        Raises:
            ConfigError: one of several has too few pictures.
        """
        if len(self.names) == 1:
            return None
        return JointSets(self.names, self.train_sets * times, self.held_sets)


def _features(
    work: _Work, recipe: Recipe, cache: Path | None, progress: Progress | None, device: str
) -> FeatureCache:
    """What computes features, or finds them."""
    reader, sentences = _build_reading(recipe, device)
    encoder = build_encoder(recipe.encoder)
    if recipe.precision == "bf16":
        encoder.to_bf16()
    stem = Stem(encoder.groups, STEM_WIDTH, encoder.context_dim)
    extractor = FeatureExtractor(encoder, EmbeddedSegmenter(), stem, device=choose_device(device))
    folder = cache or cache_folder() / "features"
    shipped = _shipped_stem(recipe)
    if shipped is not None:
        extractor.stem = shipped.to(extractor.device)
    else:
        tell = teller("fitting the stem", len(work.stem), progress)
        fit_stem(extractor, work.stem, folder, tell)
    return FeatureCache(folder, extractor, reader, sentences)


def _build_reading(recipe: Recipe, device: str = "auto") -> tuple[Reader, TextEncoder | None]:
    """What reads, and what embeds what it says; nobody for a scorer that sees no regions."""
    if recipe.model.aggregation == "pooling":
        return NoReader(), None
    settings = {
        "precision": precision_of(recipe.reader, recipe.precision),
        **({} if device == "auto" else {"device": device}),
        **recipe.reader_settings,
    }
    reader = build_reader(recipe.reader, **settings)
    if reader.name == "none":
        return reader, None
    from rsfiqa.reading.sentence_encoder import SentenceEncoder

    return reader, SentenceEncoder.from_pretrained()


def _shipped_stem(recipe: Recipe) -> Stem | None:
    """The stem of the packaged scorer, when it was made for the same encoder.

    A stem knows nothing of scores, so it serves other data as well, and features stay in the cache.
    """
    if not (default_folder() / "config.json").exists():
        return None
    shipped = load_checkpoint(default_folder())
    same = [dict(spec) for spec in shipped.encoder] == [dict(spec) for spec in recipe.encoder]
    return shipped.stem if same else None
