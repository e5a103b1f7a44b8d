"""What regions and readings are worth: the same training with a part left out or put in another's place.

Every variant is trained on the same pictures, from the same features, with the same seeds, and gives
the scorer of its last epoch: an epoch chosen on the pictures that are measured on would flatter each
variant by another amount. No variant learns from locally spoiled copies: these teach regions to
answer for themselves, which agreement with people does not show, and a grid has none of them. All
learn from the same graded copies, which teach the whole-picture head that all have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from rsfiqa.errors import ConfigError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.evaluation import Evaluation, evaluate_predictions
from rsfiqa.learning.feature_bank import FeatureBank
from rsfiqa.learning.held_predictions import held_predictions, shown_as
from rsfiqa.learning.prepared import Prepared, Recipe
from rsfiqa.regions.grid import GridSegmenter
from rsfiqa.scoring.checkpoint import Checkpoint

R = TypeVar("R", bound=Recipe)

Kind = Literal["pooling", "rsa", "readings", "shuffled", "grid"]
"""What is trained: `pooling`, the plain twin that sees the whole-picture features only; `rsa`, on
the segmenter's regions, without readings; `readings`, with them; `shuffled`, with those of other
pictures, which have the same distribution and say nothing; `grid`, as `rsa` on the cells of a grid."""

KINDS: tuple[Kind, ...] = get_args(Kind)
READING_KINDS: tuple[Kind, ...] = ("readings", "shuffled")
CELLS = 4
"""Of a grid along the long side: 16 regions of a square picture."""

_BESIDE: dict[Kind, Kind] = {
    "rsa": "pooling",
    "readings": "rsa",
    "shuffled": "readings",
    "grid": "rsa",
}


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        kind: what is trained.
        backbone: the only one whose features are seen; empty for the whole encoder.

    Example:
        >>> Variant("rsa", "dinov2-small").name, Variant("rsa").beside.name
        ('dinov2-small:rsa', 'pooling')
    """

    kind: Kind
    backbone: str = ""

    @property
    def name(self) -> str:
        """The kind, behind the backbone's name where there is one."""
        return f"{self.backbone}:{self.kind}" if self.backbone else self.kind

    @property
    def beside(self) -> Variant:
        """The variant that lacks one thing of this one, or has another in its place.

        A backbone's pooling twin stands beside that of the whole encoder, and this one beside
        itself.
        """
        if self.kind in _BESIDE:
            return replace(self, kind=_BESIDE[self.kind])
        return Variant(self.kind)


def parse_variant(text: str, backbones: Sequence[str]) -> Variant:
    """`rsa` or `dinov2-small:rsa` → a variant.

    Args:
        text: a kind, or a backbone's name and a kind.
        backbones: the names of those that the encoder has.

    Raises:
        ConfigError: it is neither, or there is no such backbone.

    Example:
        >>> parse_variant("timm:resnet18:pooling", ["timm:resnet18"])
        Variant(kind='pooling', backbone='timm:resnet18')
    """
    backbone, _, kind = text.rpartition(":")
    for known in KINDS:
        if kind == known and (not backbone or backbone in backbones):
            return Variant(known, backbone)
    raise ConfigError(
        f"a variant is {', '.join(KINDS)}, or one of these behind a backbone of the encoder "
        f"({', '.join(backbones)}) and a colon; got {text!r}."
    )


def backbone_names(recipe: Recipe) -> list[str]:
    """The names of an encoder's backbones.

    Raises:
        ConfigError: one is there twice, so that its name does not say which.
    """
    names = [str(spec.get("backbone")) for spec in recipe.encoder]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"an ablation tells backbones by their names; got {twice[0]} twice.")
    return names


def recipe_of(variant: Variant, base: R, seed: int) -> R:
    """What is trained for a variant.

    The pooling twin has one phase where RSA has two: its epochs are those of both, so that its head
    goes through the pictures as often as that of the others.

    Args:
        variant: the row.
        base: what all have in common. The variants that see no readings are the same whoever reads.
        seed: of initialisation, order, dropout and the dealing out of readings.

    Raises:
        ConfigError: the variant needs readings, and the base has no reader.
    """
    training = replace(base.training, seed=seed, keep="last", patience=0)
    model = replace(base.model, aggregation="rsa")
    if variant.kind == "pooling":
        training = replace(training, epochs=training.context_epochs + training.epochs)
        model = replace(model, aggregation="pooling")
    reads = variant.kind in READING_KINDS
    if reads and base.reader == "none":
        raise ConfigError(
            f"{variant.name} needs readings; name a reader, or leave it out of the variants."
        )
    shown: dict[Kind, Literal["own", "shuffled"]] = {"readings": "own", "shuffled": "shuffled"}
    return replace(
        base,
        model=model,
        training=training,
        spoiled=0,
        reader=base.reader if reads else "none",
        reader_settings=base.reader_settings if reads else {},
        readings=shown.get(variant.kind, "none"),
    )


@dataclass(frozen=True)
class AblationData:
    """What all variants are trained and measured on.

    Attributes:
        bank: features of all pictures, with readings where a variant sees any.
        base: the recipe that the variants vary.
        training, validation: the pictures; variants are measured on the latter.
        cells: of a grid, along the long side.
    """

    bank: FeatureBank
    base: Recipe
    training: ScoredImages
    validation: ScoredImages
    cells: int = CELLS

    def prepared(self, variant: Variant, seed: int) -> Prepared:
        """What a variant is trained on: the bank's features, none of them copied.

        Raises:
            ConfigError: as for `recipe_of`.
        """
        recipe = recipe_of(variant, self.base, seed)
        whole = self.bank.prepared(recipe, self.training, self.validation)
        training, validation = whole.training, whole.validation
        segmenter = whole.segmenter
        if variant.kind == "grid":
            cut = GridCut(self.cells)
            training, validation = cut.all_of(training), cut.all_of(validation)
            segmenter = cut.name
        found = replace(
            whole, training=training, validation=validation, segmenter=segmenter, spoiled=[]
        )
        return self._alone(found, variant) if variant.backbone else found

    def evaluation(self, prepared: Prepared, checkpoint: Checkpoint) -> Evaluation:
        """How well a variant's scorer does on the validation pictures.

        Args:
            prepared: what it was trained on.
            checkpoint: the scorer.
        """
        seed = prepared.recipe.training.seed
        pictures = shown_as(prepared.validation, prepared.shown, seed)
        return evaluate_predictions(held_predictions(checkpoint, pictures, self.validation))

    def _alone(self, prepared: Prepared, variant: Variant) -> Prepared:
        """The same with the features of one backbone, as if there were no other."""
        part = next(each for each in self.bank.backbones if each.name == variant.backbone)
        return replace(
            prepared,
            recipe=replace(prepared.recipe, encoder=[part.spec]),
            stem=part.of_stem(prepared.stem),
            training=[part.of_features(each) for each in prepared.training],
            validation=[part.of_features(each) for each in prepared.validation],
            graded=[part.of_graded(each) for each in prepared.graded],
        )


class GridCut:
    """Features with the cells of a grid in the place of regions.

    Args:
        cells: along the long side of the features' grid; see `GridSegmenter`.

    Raises:
        ConfigError: they are too few or too many.
    """

    def __init__(self, cells: int) -> None:
        self._segmenter = GridSegmenter(cells)
        self._made: dict[torch.Size, tuple[Tensor, Tensor]] = {}

    @property
    def name(self) -> str:
        """The segmenter's name."""
        return self._segmenter.name

    def of(self, features: PictureFeatures) -> PictureFeatures:
        """One picture; of its features, labels and areas alone are new, and those shared by size.

        Its readings, which are of other regions, are left as they are: nobody is to look at them.
        """
        size = features.labels.shape
        if size not in self._made:
            empty = np.empty((*size, 3), np.uint8)
            labels = torch.from_numpy(self._segmenter.segment(empty, None).labels.astype(np.int16))
            counts = labels.flatten().long().bincount().float()
            self._made[size] = labels, counts / counts.sum()
        labels, area = self._made[size]
        return replace(features, labels=labels, area=area)

    def all_of(self, pictures: Sequence[PictureFeatures]) -> list[PictureFeatures]:
        """All pictures, in their order."""
        return [self.of(picture) for picture in pictures]
