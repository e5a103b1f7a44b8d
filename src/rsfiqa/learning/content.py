"""What the regions of a clean photograph show, in words: the teacher of a reader's descriptions.

Two witnesses look at each region. A linear classifier on the region's features (DINOv2's last two
depths and EfficientNet-Lite0's last map, each averaged over the region and brought to unit length)
is fitted to the panoptic labels of COCO photographs: both to their segments and to the regions that
a segmenter cuts, since these are what a reader is shown. EfficientNet-Lite0's own ImageNet head
knows things of which those photographs hold few. Their probabilities are multiplied, the second
with an exponent below one and a floor, since it knows no sky, no wall and no people. Where no noun
is likely enough, broader ones are tried (animal, food, ...), and then nothing is said.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.images import PIXEL_BUDGET, resize_to_budget
from rsfiqa.learning.content_colors import color_word
from rsfiqa.learning.content_judge import WANTED_PRECISION, ContentClassifier, fit_classifier
from rsfiqa.learning.content_panoptic import CocoPanoptic
from rsfiqa.learning.content_samples import ContentFeatures
from rsfiqa.learning.content_words import RegionWords, find_noun, place_of, words_of
from rsfiqa.partition import Partition
from rsfiqa.regions.base import Segmenter

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridEncoder, GridFeatures

ALONE = 0.3
"""Product of the ImageNet head's two probabilities, of a region and of the crop around it, at which
it is believed where the classifier is silent."""
AGAINST = 0.5
"""The same against the classifier, of things that COCO does not know."""
MOST_CROPS = 16
"""Crops a picture at most, of the regions of which the head is surest."""


class ContentTeacher:
    """Says what the regions of clean photographs show.

    Make one with `ContentTeacher.fit` (COCO), or without COCO: `ContentTeacher(ContentFeatures(
    encoder))` asks the ImageNet head alone, and says little.

    Args:
        features: what is seen of regions.
        classifier: fitted to COCO, by features of the same kind.

    Raises:
        DataError: the classifier was fitted to other features.
    """

    def __init__(
        self, features: ContentFeatures, classifier: ContentClassifier | None = None
    ) -> None:
        if classifier is not None and classifier.features != features.name:
            raise DataError(
                f"the content classifier was fitted to {classifier.features} but is given "
                f"{features.name}; fit it again."
            )
        self.features = features
        self.classifier = classifier

    @classmethod
    def fit(
        cls,
        coco_folder: str | Path,
        *,
        encoder: GridEncoder | None = None,
        segmenter: Segmenter | None = None,
        photographs: int = 1000,
        precision: float = WANTED_PRECISION,
        cache: bool = True,
    ) -> ContentTeacher:
        """Learn from the panoptic labels of COCO's train split; one second a photograph and view.

        Args:
            coco_folder: see `CocoPanoptic.open`.
            encoder: the default encoder, where somebody has built it already.
            segmenter: what cuts regions; by default the embedded one.
            photographs: how many are used at most, the first by name.
            precision: how often what is said must be right on photographs left out, in (0, 1]; the
                threshold on confidence follows from it.
            cache: keep the classifier in the cache folder, and take it from there the next time.

        Raises:
            AssetError: the encoder's weights cannot be had.
            ConfigError: the precision is outside its range.
            DataError: COCO is incomplete or damaged.
        """
        features = ContentFeatures(encoder or _default_encoder())
        coco = CocoPanoptic.open(coco_folder)
        if segmenter is None:
            from rsfiqa.regions.build import build_segmenter

            segmenter = build_segmenter("embedded")
        classifier = fit_classifier(
            coco, coco.names[:photographs], features, segmenter, precision=precision, cache=cache
        )
        return cls(features, classifier)

    def describe(
        self,
        pixels: npt.NDArray[np.uint8],
        partition: Partition,
        grid: GridFeatures | None = None,
    ) -> list[RegionWords | None]:
        """What each region shows; None where the teacher is not sure enough.

        Args:
            pixels: a clean photograph `[H, W, 3]`; brought to the pixel budget if it is larger.
            partition: of the photograph's size.
            grid: its features by this teacher's encoder, where they are known.

        Raises:
            DataError: the partition has another size than the photograph.
            ConfigError: the features are another encoder's.
        """
        if partition.labels.shape != pixels.shape[:2]:
            raise DataError(
                f"the picture is {pixels.shape[1]}×{pixels.shape[0]} but its partition "
                f"{partition.width}×{partition.height}; resize the partition first."
            )
        names = self.name_regions(pixels, partition, grid)
        words: list[RegionWords | None] = []
        for region, name in zip(partition.regions, names, strict=True):
            if name is None:
                words.append(None)
                continue
            noun = find_noun(name)
            color = color_word(pixels[partition.mask(region.id)]) if noun.colors else None
            place = place_of(region, partition.height, partition.width)
            words.append(words_of(noun, color=color, place=place))
        return words

    def name_regions(
        self,
        pixels: npt.NDArray[np.uint8],
        partition: Partition,
        grid: GridFeatures | None = None,
    ) -> list[str | None]:
        """The noun of each region alone; see `describe`."""
        if grid is None:
            grid = self.features.grid(resize_to_budget(pixels, PIXEL_BUDGET))
        x, seen = self.features.of_regions(grid, partition)
        said: list[str | None] = [None] * len(partition)
        if self.classifier is not None:
            said = self.classifier.say(x, seen)
        surest = self._look_closer(pixels, partition, seen, said)
        for k, (word, probability) in surest.items():
            unknown_to_coco = self.classifier is not None and word not in self.classifier.words
            if probability >= (ALONE if said[k] is None else AGAINST) and (
                said[k] is None or unknown_to_coco
            ):
                said[k] = word
        return said

    def _look_closer(
        self,
        pixels: npt.NDArray[np.uint8],
        partition: Partition,
        seen: npt.NDArray[np.float32],
        said: list[str | None],
    ) -> dict[int, tuple[str, float]]:
        """Where the ImageNet head names a region and its crop alike: the noun, and how surely.

        A crop alone shows the neighbours too, and a region alone is a texture: neither suffices.

        Returns:
            by region, the noun and the product of its two probabilities.
        """
        words = self.features.nouns.words
        best = seen.argmax(1)
        sure = seen.max(1)
        asked = [k for k in np.argsort(-sure, kind="stable").tolist() if sure[k] >= ALONE]
        asked = [k for k in asked if said[k] != words[best[k]]][:MOST_CROPS]
        crops = self.features.nouns.of_crops(pixels, partition, asked)
        return {
            k: (words[best[k]], float(sure[k] * crop[best[k]]))
            for k, crop in zip(asked, crops, strict=True)
            if crop.argmax() == best[k]
        }


def describe_regions(
    pixels: npt.NDArray[np.uint8], partition: Partition
) -> list[RegionWords | None]:
    """What each region of a clean photograph shows, for users without COCO.

    Only the ImageNet classifier is asked, which knows animals and things but no sky, grass, wall
    or people: most regions are None. `ContentTeacher.fit` knows more.

    Args:
        pixels: RGB `[H, W, 3]`.
        partition: of the photograph's size.

    Raises:
        AssetError: the encoder's weights cannot be had.
        DataError: the partition has another size than the photograph.
    """
    return _teacher_without_coco().describe(pixels, partition)


@lru_cache(maxsize=1)
def _teacher_without_coco() -> ContentTeacher:
    return ContentTeacher(ContentFeatures(_default_encoder()))


def _default_encoder() -> GridEncoder:
    from rsfiqa.encoders.build import build_encoder

    return build_encoder()
