"""From scored pictures to features that a scorer is trained on: what `rsfiqa train` does first.

`prepare` once, then `train` as often as wanted:

    prepared = prepare(ScoredImages.from_csv("pictures/scores.csv"), Recipe())
    checkpoint = train(prepared, "mine")
    longer = replace(prepared, recipe=replace(prepared.recipe, training=TrainingConfig(epochs=9)))

`prepare_bank` leaves open which pictures are for training: for several splits of one data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rsfiqa.assets import cache_folder
from rsfiqa.devices import choose_device
from rsfiqa.encoders.build import build_encoder, without_branches
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.learning.backbone_parts import backbone_parts
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.ensemble import train
from rsfiqa.learning.feature_bank import FeatureBank
from rsfiqa.learning.features import FeatureCache, SpoilPlan, fit_stem
from rsfiqa.learning.graded import Graded, GradePlan
from rsfiqa.learning.picture_work import STEM_PICTURES, Data, PictureWork
from rsfiqa.learning.prepared import Prepared, Progress, Recipe, split, teller, told
from rsfiqa.learning.spoiled import Spoiled
from rsfiqa.learning.training import TrainingConfig
from rsfiqa.reading.base import NoReader, Reader
from rsfiqa.reading.build import build_reader, precision_of
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.checkpoint import default_folder, load_checkpoint
from rsfiqa.scoring.semantics import TextEncoder
from rsfiqa.scoring.stem import Stem

__all__ = [
    "STEM_PICTURES",
    "STEM_WIDTH",
    "Data",
    "Prepared",
    "Progress",
    "Recipe",
    "TrainingConfig",
    "prepare",
    "prepare_bank",
    "prepare_bank_share",
    "prepare_share",
    "split",
    "train",
]

STEM_WIDTH = 64


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
    work = PictureWork.of(data, recipe)
    features = _features(work.stem, recipe, cache, progress, device)
    training = list(
        told(features.all_clean(work.train), "training pictures", len(work.train), progress)
    )
    if recipe.flips:
        mirrored = features.all_mirrored(work.train)
        training += told(mirrored, "mirrored pictures", len(work.train), progress)
    held = list(
        told(features.all_clean(work.held), "validation pictures", len(work.held), progress)
    )
    spoiled, graded = _copies(features, work, progress)
    times = 2 if recipe.flips else 1
    return Prepared(
        recipe=recipe,
        stem=features.extractor.stem,
        training=training,
        training_scores=work.train_scores * times,
        validation=held,
        validation_scores=work.held_scores,
        spoiled=spoiled,
        segmenter=features.extractor.segmenter.name,
        reader=features.reader.name,
        graded=graded,
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
    work = PictureWork.of(data, recipe)
    _compute_share(work, recipe, processes, cache, progress, device)


def prepare_bank(
    data: ScoredImages,
    recipe: Recipe,
    cache: Path | None = None,
    progress: Progress | None = None,
    device: str = "auto",
    *,
    stem: ScoredImages | None = None,
    spoiled: Sequence[SpoilPlan] = (),
    graded: Sequence[GradePlan] = (),
) -> FeatureBank:
    """Compute (or find in the cache) features of all pictures, whatever they will be used for.

    Args:
        data: the pictures; which are for training is said later (`FeatureBank.prepared`).
        recipe: what is to be trained; its limit and its own counts of copies are left aside.
        cache, progress, device: as for `prepare`.
        stem: of which the pictures are taken that a stem is fitted to, where one has to be. It is
            shown no scores. By default of `data`.
        spoiled, graded: plans of copies to be made; sources are indices of `data`.

    Raises:
        RsfiqaError: as for `prepare`.
    """
    work = PictureWork.whole(data, stem or data, spoiled, graded)
    features = _features(work.stem, recipe, cache, progress, device)
    pictures = list(told(features.all_clean(work.train), "pictures", len(work.train), progress))
    mirrored: list[PictureFeatures] = []
    if recipe.flips:
        found = features.all_mirrored(work.train)
        mirrored = list(told(found, "mirrored pictures", len(work.train), progress))
    spoiled_copies, graded_copies = _copies(features, work, progress)
    extractor = features.extractor
    return FeatureBank(
        stem=extractor.stem,
        paths=work.train,
        pictures=pictures,
        mirrored=mirrored,
        spoiled=spoiled_copies,
        graded=graded_copies,
        backbones=backbone_parts(extractor.encoder, recipe.encoder, extractor.stem),
        segmenter=extractor.segmenter.name,
        reader=features.reader.name,
    )


def prepare_bank_share(
    data: ScoredImages,
    recipe: Recipe,
    processes: Any,
    cache: Path | None = None,
    progress: Progress | None = None,
    device: str = "auto",
    *,
    stem: ScoredImages | None = None,
    spoiled: Sequence[SpoilPlan] = (),
    graded: Sequence[GradePlan] = (),
) -> None:
    """What `prepare_share` does, of the features that `prepare_bank` wants.

    Raises:
        RsfiqaError: as for `prepare`.
    """
    work = PictureWork.whole(data, stem or data, spoiled, graded)
    _compute_share(work, recipe, processes, cache, progress, device)


def _compute_share(
    work: PictureWork,
    recipe: Recipe,
    processes: Any,
    cache: Path | None,
    progress: Progress | None,
    device: str,
) -> None:
    with processes.main_process_first():  # which fits the stem, or converts weights
        features = _features(work.stem, recipe, cache, progress, device)
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
    grades = work.grades[first::every]
    graded = features.all_graded(work.train, grades)
    _run_through(told(graded, "graded copies", len(grades), progress))
    processes.wait_for_everyone()


def _copies(
    features: FeatureCache, work: PictureWork, progress: Progress | None
) -> tuple[list[Spoiled], list[Graded]]:
    """The spoiled and the graded copies that the work plans."""
    spoiled = features.all_spoiled(work.train, work.plans)
    graded = features.all_graded(work.train, work.grades)
    return (
        [c for c in told(spoiled, "spoiled copies", len(work.plans), progress) if c is not None],
        list(told(graded, "graded copies", len(work.grades), progress)),
    )


def _run_through(items: Iterator[object]) -> None:
    for _ in items:
        pass


def _features(
    stem_pictures: Sequence[Path],
    recipe: Recipe,
    cache: Path | None,
    progress: Progress | None,
    device: str,
) -> FeatureCache:
    """What computes features, or finds them."""
    reader, sentences = _build_reading(recipe, device)
    encoder = build_encoder(recipe.encoder, precision=recipe.precision)
    stem = Stem(encoder.groups, STEM_WIDTH, encoder.context_dim)
    extractor = FeatureExtractor(encoder, EmbeddedSegmenter(), stem, device=choose_device(device))
    folder = cache or cache_folder() / "features"
    shipped = _shipped_stem(recipe)
    if shipped is not None:
        extractor.stem = shipped.to(extractor.device)
    else:
        tell = teller("fitting the stem", len(stem_pictures), progress)
        fit_stem(extractor, stem_pictures, folder, tell)
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
    if without_branches(shipped.encoder) != [dict(spec) for spec in recipe.encoder]:
        return None
    return shipped.stem.narrowed(shipped.scorer.config.verdicts)
