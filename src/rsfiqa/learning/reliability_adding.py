"""Reliability for a scorer that was trained without: fitted to its pictures, saved beside its weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rsfiqa.assets import cache_folder
from rsfiqa.devices import Precision, choose_device, require_precision
from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import ConfigError
from rsfiqa.extraction import FeatureExtractor
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.features import FeatureCache
from rsfiqa.learning.prepared import Progress, Recipe, split, told
from rsfiqa.learning.reliability import Judged, fit_judged
from rsfiqa.reading.build import build_reader, default_reader, precision_of
from rsfiqa.regions.embedded import EmbeddedSegmenter
from rsfiqa.scoring.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, weights_digest

_DIGEST = re.compile(r"-[0-9a-f]{8}$")


def add_reliability(
    folder: Path,
    data: ScoredImages,
    *,
    cache: Path | None = None,
    precision: Precision = "fp32",
    reader: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Checkpoint:
    """Fit the reliability of the scorer in a folder, and save it there.

    Its scores stay the same; its name ends in another digest, so that results that were made
    without reliability are made anew.

    Args:
        folder: of the scorer; replaced in one step.
        data: the pictures that it was trained and validated on, with the same split.
        cache: folder of cached features; by default inside the asset cache.
        precision: of the encoder, as in training, to find the features of it in the cache.
        reader: as `rsfiqa.reading.build.build_reader` takes it; by default the embedded one for a
            scorer that was trained with readings, else none.
        device: where features are computed that are not in the cache.
        progress: told how far the work is.

    Returns:
        the scorer as it was saved.

    Raises:
        AssetError: the folder holds no scorer, or weights that are needed cannot be had.
        ConfigError: the folder cannot be written, or an argument is not among those accepted.
        DataError: the data are too few, or not as they should be.
    """
    require_precision(precision)
    checkpoint = load_checkpoint(folder)
    reads = reader or default_reader(checkpoint.reads)
    if reads != "none" and not checkpoint.reads:
        raise ConfigError(
            f"{checkpoint.name} was trained without readings and sees none; leave reader out."
        )
    train, held = split(data, Recipe())
    encoder = build_encoder(checkpoint.encoder, precision=precision)
    extractor = FeatureExtractor(
        encoder, EmbeddedSegmenter(), checkpoint.stem, device=choose_device(device)
    )
    cached = feature_cache(cache or cache_folder() / "features", extractor, reads, precision)

    def judged(rows: Sequence[ScoredImage], stage: str) -> Judged:
        features = cached.all_clean([row.path for row in rows])
        seen = told(features, stage, len(rows), progress)
        return Judged.by(checkpoint.scorer, seen, [row.score for row in rows])

    reliability = fit_judged(
        judged(train.rows, "training pictures"), judged(held.rows, "validation pictures")
    )
    added = renamed(checkpoint, replace(checkpoint, reliability=reliability))
    save_checkpoint(added, folder)
    return added


def feature_cache(
    folder: Path, extractor: FeatureExtractor, reader: str, precision: Precision
) -> FeatureCache:
    """The cache of features as training fills it, with readings where somebody reads."""
    if reader == "none":
        return FeatureCache(folder, extractor)
    from rsfiqa.reading.sentence_encoder import SentenceEncoder

    built = build_reader(reader, precision=precision_of(reader, precision))
    return FeatureCache(folder, extractor, built, SentenceEncoder.from_pretrained())


def renamed(old: Checkpoint, new: Checkpoint) -> Checkpoint:
    """The new scorer, by a name that ends in its own digest if the old one's ends in one."""
    if not _DIGEST.search(old.name):
        return new
    name = _DIGEST.sub(f"-{weights_digest(new)}", old.name)
    card = None if old.card is None else old.card.replace(old.name, name)
    return replace(new, name=name, card=card)
