"""All features of a data set, held once, for any number of cuts of it and of things to train.

Ten splits of a data set have mostly the same pictures, and all variants of an ablation the very
same. What is trained on refers to the bank's features and copies none of them: that of 4,200
pictures is some 5 GB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rsfiqa.errors import DataError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.backbone_parts import BackbonePart
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.graded import Graded
from rsfiqa.learning.prepared import Prepared, Recipe
from rsfiqa.learning.spoiled import Spoiled
from rsfiqa.scoring.stem import Stem


@dataclass(frozen=True, eq=False)
class FeatureBank:
    """Features of pictures, whatever these will be used for.

    `rsfiqa.learning.recipe.prepare_bank` makes it.

    Attributes:
        stem: that features were made with.
        paths: of the pictures.
        pictures: their features, with their readings where there is a reader.
        mirrored: those of their mirror images; empty where the recipe has none.
        spoiled, graded: copies of pictures; `source` is an index of `paths`.
        backbones: the encoder's, each with its part of the features.
        segmenter, reader: their names.
    """

    stem: Stem
    paths: Sequence[Path]
    pictures: Sequence[PictureFeatures]
    mirrored: Sequence[PictureFeatures]
    spoiled: Sequence[Spoiled]
    graded: Sequence[Graded]
    backbones: tuple[BackbonePart, ...]
    segmenter: str
    reader: str = "none"

    def features_of(self, rows: Iterable[ScoredImage]) -> list[PictureFeatures]:
        """Features of some pictures, in their order.

        Raises:
            DataError: those of one are not here.
        """
        return [self.pictures[i] for i in self._places(rows)]

    def prepared(
        self, recipe: Recipe, training: ScoredImages, validation: ScoredImages
    ) -> Prepared:
        """What a scorer is trained on, given which pictures are for what.

        Args:
            recipe: what to train; its encoder, reader and flips are those of the bank.
            training: pictures to learn from, with the copies that are made of them.
            validation: pictures to choose by.

        Raises:
            DataError: features of a picture are not here.
        """
        chosen = self._places(training)
        pictures = [self.pictures[i] for i in chosen]
        if recipe.flips:
            pictures += [self.mirrored[i] for i in chosen]
        place = {old: new for new, old in enumerate(chosen)}
        return Prepared(
            recipe=recipe,
            stem=self.stem,
            training=pictures,
            training_scores=[row.score for row in training] * (2 if recipe.flips else 1),
            validation=self.features_of(validation),
            validation_scores=[row.score for row in validation],
            spoiled=[
                replace(copy, source=place[copy.source])
                for copy in self.spoiled
                if copy.source in place
            ],
            segmenter=self.segmenter,
            reader=self.reader,
            graded=[
                replace(copy, source=place[copy.source])
                for copy in self.graded
                if copy.source in place
            ],
        )

    @cached_property
    def _index(self) -> dict[Path, int]:
        return {path: i for i, path in enumerate(self.paths)}

    def _places(self, rows: Iterable[ScoredImage]) -> list[int]:
        try:
            return [self._index[row.path] for row in rows]
        except KeyError as error:
            raise DataError(
                f"the features of {error.args[0]} were not prepared; prepare those of all pictures "
                "that are to be used."
            ) from error
