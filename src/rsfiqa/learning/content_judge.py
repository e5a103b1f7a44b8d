"""What a region shows, from two witnesses, and when to keep silent.

Fitted to COCO's labels once and kept in the cache folder as safetensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rsfiqa.atomic import write_whole
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.content_classifier import (
    PENALTY,
    STEPS,
    Floats,
    LinearClassifier,
    Operating,
    fit_linear,
    left_out,
    lowest_threshold,
)
from rsfiqa.learning.content_panoptic import CocoPanoptic
from rsfiqa.learning.content_samples import ContentFeatures, RegionSamples, collect
from rsfiqa.learning.content_words import categories, nouns
from rsfiqa.regions.base import Segmenter

VERSION = "2"
"""Part of the key of fitted classifiers: change it whenever the same data would give another one."""

WANTED_PRECISION = 0.85
"""How often what is said must be right, on photographs left out; a higher one says less. Photographs
unlike COCO's ask for some margin over 0.8, as a look at some clean ones of other sets suggested."""

IMAGENET_EXPONENT = 0.3
IMAGENET_FLOOR = 0.001
TEMPERATURE = 1.3
"""Chosen by leaving photographs of COCO's train split out: at 0.8 precision the coverage was 0.51
without the ImageNet head and 0.53 to 0.54 with exponents from 0.3 to 0.5. The same photographs set
the threshold, so that precision on new ones is a little lower than wanted."""

BROADER = ("animal", "vehicle", "food", "plants", "ground")
"""Nouns to fall back on when what belongs to them is likely only all together."""


@dataclass(frozen=True, eq=False)
class Trial:
    """How the classifier fared on segmented regions of photographs left out of its fit.

    Attributes:
        confidence: the probability of the likeliest noun, `[N]`.
        right: whether it may name the region's label, `[N]`.
        area: fraction of the photograph, `[N]`.
    """

    confidence: Floats
    right: npt.NDArray[np.bool_]
    area: Floats


@dataclass(frozen=True, eq=False)
class ContentClassifier:
    """Says the noun of a region from its features and from the ImageNet head's opinion.

    Attributes:
        words: the nouns it knows.
        linear: from features to log-probabilities of `words`.
        imagenet: the ImageNet head's nouns, in the order of its probabilities.
        trial: how it fared on photographs left out.
        features: the name of the features.
        precision: how often what is said must be right.
    """

    words: tuple[str, ...]
    linear: LinearClassifier
    imagenet: tuple[str, ...]
    trial: Trial
    features: str
    precision: float = WANTED_PRECISION

    @cached_property
    def operating(self) -> Operating:
        """The threshold on confidence, and how it fares on photographs left out."""
        return lowest_threshold(self.trial.confidence, self.trial.right, self.precision)

    def say(self, features: Floats, seen: Floats) -> list[str | None]:
        """The noun of each region; None where none is likely enough.

        Args:
            features: `[K, D]`.
            seen: the ImageNet head's probabilities of its nouns, `[K, M]`.
        """
        scores = self.linear.log_probabilities(features)
        probabilities = combine(scores, seen, self.words, self.imagenet)
        said, confidence = choose(probabilities, self.words, self.operating.threshold)
        return [
            word if p >= self.operating.threshold else None
            for word, p in zip(said, confidence, strict=True)
        ]


def combine(scores: Floats, seen: Floats, words: Sequence[str], imagenet: Sequence[str]) -> Floats:
    """Probabilities `[K, C]` of `words`, from both witnesses.

    Args:
        scores: log-probabilities by the classifier, `[K, C]`.
        seen: probabilities by the ImageNet head, `[K, M]`.
        words, imagenet: the columns of the two.
    """
    common = np.array([[a == b for b in words] for a in imagenet], np.float32)
    joint = scores + IMAGENET_EXPONENT * np.log(seen @ common + IMAGENET_FLOOR)
    joint = joint / TEMPERATURE
    weights = np.exp(joint - joint.max(1, keepdims=True))
    probabilities: Floats = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return probabilities


def choose(
    probabilities: Floats, words: Sequence[str], threshold: float
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """The noun to say of each region, and its probability.

    The likeliest noun; below `threshold`, a broader one if that reaches it.
    """
    members = np.array(
        [[_is_a(word, broad) for broad in BROADER] for word in words], dtype=np.float64
    )
    broader = probabilities @ members
    said, confidence = [], np.zeros(len(probabilities))
    for k, (row, wide) in enumerate(zip(probabilities, broader, strict=True)):
        best, group = int(row.argmax()), int(wide.argmax())
        step_back = row[best] < threshold <= wide[group]
        said.append(BROADER[group] if step_back else words[best])
        confidence[k] = wide[group] if step_back else row[best]
    return said, confidence


def fit_classifier(
    coco: CocoPanoptic,
    images: Sequence[str],
    features: ContentFeatures,
    segmenter: Segmenter,
    *,
    precision: float = WANTED_PRECISION,
    cache: bool = True,
) -> ContentClassifier:
    """Fit to labelled photographs, or take the same fit from the cache folder.

    Args:
        coco: labels and photographs.
        images: which photographs, at least two.
        features: what is seen of regions.
        segmenter: cuts regions.
        precision: how often what is said must be right, in (0, 1].
        cache: whether the cache folder is used.

    Raises:
        ConfigError: the precision is outside its range.
        DataError: a photograph or its labels cannot be read, or there are fewer than two.
    """
    if not 0 < precision <= 1:
        raise ConfigError(f"precision is a fraction in (0, 1]; got {precision}.")
    path = _cache_path(coco, images, features, segmenter) if cache else None
    if path is not None:
        with suppress(DataError):  # missing or damaged: fit again
            return replace(load_classifier(path), precision=precision)
    samples = collect(coco, images, features, segmenter, flipped=True)
    classifier = fit_samples(samples, features.nouns.words, features.name)
    if path is not None:
        save_classifier(classifier, path)
    return replace(classifier, precision=precision)


def fit_samples(
    samples: RegionSamples, imagenet: Sequence[str], features: str
) -> ContentClassifier:
    """Fit to samples, and try the fit on each photograph by leaving it out.

    Raises:
        DataError: nothing is labelled, or fewer than two photographs are given.
    """
    labelled = samples.category != ""
    known = {name: found.broad for name, found in categories().items()}
    target = np.array([known.get(str(c), "") for c in samples.category])
    words = tuple(sorted(set(target[labelled].tolist()) - {""}))
    index = {word: k for k, word in enumerate(words)}
    usable = np.array([t in index for t in target])
    labels = np.array([index.get(t, 0) for t in target], np.int64)
    scores = left_out(samples.features, labels, samples.photograph, len(words), trained_on=usable)
    judged = usable & samples.cut
    probabilities = combine(scores[judged], samples.seen[judged], words, imagenet)
    said = [words[k] for k in probabilities.argmax(1)]
    right = [
        str(c) in nouns()[w].categories for w, c in zip(said, samples.category[judged], strict=True)
    ]
    trial = Trial(
        probabilities.max(1), np.array(right, bool), samples.area[judged].astype(np.float32)
    )
    linear = fit_linear(samples.features[usable], labels[usable], len(words))
    return ContentClassifier(words, linear, tuple(imagenet), trial, features)


def save_classifier(classifier: ContentClassifier, path: Path) -> None:
    """Write as safetensors, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    from safetensors.numpy import save

    metadata = {
        "version": VERSION,
        "words": json.dumps(classifier.words),
        "imagenet": json.dumps(classifier.imagenet),
        "features": classifier.features,
    }
    tensors = {
        "weight": classifier.linear.weight,
        "bias": classifier.linear.bias,
        "confidence": classifier.trial.confidence,
        "right": classifier.trial.right,
        "area": classifier.trial.area,
    }
    try:
        write_whole(path, save(tensors, metadata))
    except OSError as error:
        raise DataError(f"the content classifier cannot be written to {path}: {error}.") from error


def load_classifier(path: Path) -> ContentClassifier:
    """Read what `save_classifier` wrote.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            linear = LinearClassifier(file.get_tensor("weight"), file.get_tensor("bias"))
            trial = Trial(*(file.get_tensor(name) for name in ("confidence", "right", "area")))
        if metadata["version"] != VERSION:
            raise DataError(f"{path} is of version {metadata['version']}, not {VERSION}.")
        return ContentClassifier(
            tuple(json.loads(metadata["words"])),
            linear,
            tuple(json.loads(metadata["imagenet"])),
            trial,
            metadata["features"],
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds no content classifier: {error}.") from error


def _is_a(word: str, broad: str) -> bool:
    return bool(nouns()[word].categories) and nouns()[word].categories <= nouns()[broad].categories


def _cache_path(
    coco: CocoPanoptic, images: Sequence[str], features: ContentFeatures, segmenter: Segmenter
) -> Path:
    from rsfiqa.assets import cache_folder

    settings = [
        VERSION,
        features.name,
        features.encoder.precision,
        segmenter.name,
        str((IMAGENET_EXPONENT, IMAGENET_FLOOR, TEMPERATURE, PENALTY, STEPS)),
        json.dumps({name: found.broad for name, found in categories().items()}),
        json.dumps({word: sorted(noun.categories) for word, noun in nouns().items()}),
        json.dumps(features.nouns.members),
        *images,
    ]
    digest = hashlib.sha256("\n".join(settings).encode())
    digest.update(coco.json.read_bytes())
    return cache_folder() / "content" / f"{digest.hexdigest()[:32]}.safetensors"
