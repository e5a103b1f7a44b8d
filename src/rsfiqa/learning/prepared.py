"""What to train, the features it is trained on, and which pictures those are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from rsfiqa.devices import Precision, require_precision
from rsfiqa.encoders.build import DEFAULT_ENCODER
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.graded import Graded
from rsfiqa.learning.joint_sets import JointSets
from rsfiqa.learning.ranges import AT_LEAST_ONE, BELOW_ONE, INSIDE_ONE, NOT_NEGATIVE, require
from rsfiqa.learning.shown_readings import Readings, require_readings
from rsfiqa.learning.spoiled import Spoiled
from rsfiqa.learning.training_config import TrainingConfig
from rsfiqa.scoring.model import ScorerConfig
from rsfiqa.scoring.stem import Stem

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Told of a stage, how far it is, and how far it will go."""

_FEWEST_HELD = 3
"""Validation pictures that a limit leaves: what correlations are made of."""


@dataclass(frozen=True)
class Recipe:
    """What to train, besides the data.

    Attributes:
        model: sizes; `channels` and `context_dim` are set from the encoder.
        training: settings of the optimisation.
        encoder: descriptions of the backbones.
        spoiled: how many locally spoiled copies of training pictures to make.
        graded: how many training pictures to spoil as a whole, each in one way in all strengths.
        flips: train on every picture's mirror image as well, which is segmented and read anew:
            twice the features, and epochs twice as long.
        limit: pictures of each data set, drawn at random, and copies in proportion: for
            trying a run out; 0 takes all.
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
        ConfigError: a value is outside its range, or there are no readings to be shuffled.
    """

    model: ScorerConfig = field(default_factory=lambda: ScorerConfig(channels=0, context_dim=0))
    training: TrainingConfig = field(default_factory=TrainingConfig)
    encoder: Sequence[Mapping[str, Any]] = DEFAULT_ENCODER
    spoiled: int = 1500
    graded: int = 276
    flips: bool = False
    limit: int = 0
    precision: Precision = "fp32"
    validation_fraction: float = 0.15
    reader: str = "none"
    reader_settings: Mapping[str, Any] = field(default_factory=dict)
    readings: Readings = "own"

    def __post_init__(self) -> None:
        require_precision(self.precision)
        require_readings(self.readings, self.reader)
        _require_sizes(self.model)
        require(self, NOT_NEGATIVE, "spoiled", "graded", "limit")
        require(self, INSIDE_ONE, "validation_fraction")


@dataclass(frozen=True)
class Prepared:
    """Features of data sets, ready for any number of training runs.

    Pictures have their own readings where there is a `reader`, which is its name: what of them the
    scorer sees is up to the recipe, so that `replace(prepared, recipe=…)` serves all ablations.

    Mirror images, where the recipe has them, follow the training pictures.
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
    graded: Sequence[Graded] = ()
    sets: JointSets | None = None
    """Which picture is of which data set, where there are several."""

    @property
    def shown(self) -> Readings:
        """Which readings the scorer sees: those of the recipe; none where it could not use any."""
        if self.reader == "none" or self.recipe.model.aggregation == "pooling":
            return "none"
        return self.recipe.readings


def split(data: ScoredImages, recipe: Recipe) -> tuple[ScoredImages, ScoredImages]:
    """The training and the validation pictures: by the data's own split, else at random, seeded.

    Without a `val` split validation pictures are taken from `train`, or from all where there are no
    splits; a `test` split is left alone. A limit takes of both in proportion.

    Raises:
        DataError: there are splits, but none of them is `train`; or too few pictures.
    """
    splits = set(data.splits)
    if {"train", "val"} <= splits:
        return _limited(data.split("train"), data.split("val"), recipe.limit)
    if splits and "train" not in splits:
        raise DataError(
            f"the splits are {', '.join(data.splits)}; training needs train, train and val, or none."
        )
    if splits:
        data = data.split("train")
    drawn = data.random_split(recipe.validation_fraction, recipe.training.seed)
    return _limited(*drawn, recipe.limit)


def copies_of(recipe: Recipe, taken: int, pictures: int) -> int:
    """How many spoiled copies to make.

    Args:
        taken: training pictures.
        pictures: training pictures that there would be without a limit.
    """
    if recipe.model.aggregation != "rsa":
        return 0
    return _in_proportion(recipe.spoiled, taken, pictures)


def grades_of(recipe: Recipe, taken: int, pictures: int) -> int:
    """How many graded copies to make; see `copies_of`."""
    return _in_proportion(recipe.graded, taken, pictures)


def _in_proportion(copies: int, taken: int, pictures: int) -> int:
    return copies if taken == pictures else -(-copies * taken // pictures)


def teller(stage: str, total: int, progress: Progress | None) -> Callable[[int], None]:
    """What tells progress of one stage how much of it is done."""

    def tell(done: int) -> None:
        if progress:
            progress(stage, done, total)

    return tell


def told(items: Iterable[T], stage: str, total: int, progress: Progress | None) -> Iterator[T]:
    """The items, while progress is told of each."""
    tell = teller(stage, total, progress)
    for done, item in enumerate(items, start=1):
        yield item
        tell(done)


def without_limit(recipe: Recipe) -> Recipe:
    """The same recipe for all pictures."""
    return replace(recipe, limit=0)


def _limited(
    train: ScoredImages, held: ScoredImages, limit: int
) -> tuple[ScoredImages, ScoredImages]:
    if not limit or limit >= len(train) + len(held):
        return train, held
    kept = max(_FEWEST_HELD, round(limit * len(held) / (len(train) + len(held))))
    return train.take(max(1, limit - kept)), held.take(kept)


def _require_sizes(model: ScorerConfig) -> None:
    require(model, AT_LEAST_ONE, "dim", "heads", "hidden", "members", where="model.")
    if model.dim % model.heads:
        raise ConfigError(
            f"model.dim must be a multiple of model.heads; got {model.dim} and {model.heads}."
        )
    require(model, BELOW_ONE, "dropout", where="model.")
