"""One scorer for each split of a data set, each tested on what it was not trained on.

The protocol of the field where a set has no official split: the median, and the spread, over ten
random splits of 80 % to 20 % by reference. A scorer's figures depend on which pictures it was given
to learn from and on which it was tested; the spread has both kinds of luck in it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rsfiqa.errors import DataError
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.evaluation import Evaluation, evaluate_predictions
from rsfiqa.learning.evaluation_splits import FIGURES, SplitFigures
from rsfiqa.learning.feature_bank import FeatureBank
from rsfiqa.learning.features import SpoilPlan, plan_spoiled
from rsfiqa.learning.graded import GradePlan, plan_graded
from rsfiqa.learning.held_predictions import held_predictions, shown_as
from rsfiqa.learning.picture_work import STEM_PICTURES
from rsfiqa.learning.prepared import Prepared, Recipe, copies_of, grades_of, split
from rsfiqa.learning.splits import Splits
from rsfiqa.learning.training import require_enough
from rsfiqa.scoring.checkpoint import Checkpoint


@dataclass(frozen=True)
class Cut:
    """One split, as a scorer is trained and tested on it.

    Attributes:
        name: the split's in files of splits: `split_0` and so on.
        training, validation: what it learns from and is chosen by.
        test: what it is measured on, once.
    """

    name: str
    training: ScoredImages
    validation: ScoredImages
    test: ScoredImages


def under_splits(data: ScoredImages, splits: Splits, *, limit: int = 0) -> dict[str, ScoredImages]:
    """The data under each of several splits, by the splits' names in files.

    Args:
        data: all pictures that the splits name.
        splits: each with a training and a test part at least.
        limit: for trying a run out: only so many pictures, the same of each split; 0 for all.

    Raises:
        DataError: the splits are of other pictures, or one lacks a part.
    """
    some = {row.image for row in data.take(limit)} if limit else {row.image for row in data}
    found = {}
    for index in range(len(splits)):
        name, applied = f"split_{index}", splits.apply(data, index)
        rows = tuple(row for row in applied if row.image in some)
        found[name] = replace(applied, rows=rows)
        lacking = [part for part in ("train", "test") if part not in found[name].splits]
        if lacking:
            raise DataError(
                f"{name} has no {' and no '.join(lacking)} part"
                f"{' among the pictures of the trial run' if limit else ''}; a scorer is trained on "
                "the one and tested on the other."
            )
    return found


def make_cut(
    name: str, applied: ScoredImages, recipe: Recipe, learned: ScoredImages | None = None
) -> Cut:
    """What is trained, chosen and tested on under one split.

    Args:
        name: of the split.
        applied: the data under the split. Where it has no `val` part, validation pictures are taken
            at random from `train`, as `rsfiqa.learning.prepared.split` does; never from `test`.
        recipe: says how many, and the seed.
        learned: the same data where some of it is not to be learned from, as
            `rsfiqa.learning.training_leaks.apply_policy` leaves it.

    Raises:
        ConfigError: there are too few pictures to train on.
        DataError: a part is missing.
    """
    training, validation = split(applied if learned is None else learned, replace(recipe, limit=0))
    require_enough(len(training), len(validation))
    return Cut(name, training, validation, applied.split("test"))


def stem_pictures(data: ScoredImages, cuts: Sequence[Cut]) -> ScoredImages:
    """The pictures of which a stem for all splits is fitted to some, where there is none yet.

    It is shown no scores. It is fitted to pictures that are tested on in no split, where there are
    enough of them.
    """
    tested = {row.image for cut in cuts for row in cut.test}
    rows = tuple(row for row in data if row.image not in tested)
    return replace(data, rows=rows) if len(rows) >= STEM_PICTURES else data


def plan_copies(
    data: ScoredImages, cuts: Sequence[Cut], recipe: Recipe, whole: int
) -> tuple[list[SpoilPlan], list[GradePlan]]:
    """Plans of spoiled and of graded copies of all pictures, so that each split has its share.

    Copies are made once and each split learns from those of its training pictures, which are about
    as many as the recipe has: other copies for each split would be ten times the work.

    Args:
        data: the pictures that are used.
        cuts: of these.
        recipe: says how many copies a split's training has, and the seed.
        whole: how many pictures there are without a limit.
    """

    def of_all(wanted: int) -> int:
        return -(-wanted * len(data) // len(cuts[0].training))

    count, seed = len(data), recipe.training.seed
    return (
        plan_spoiled(count, of_all(copies_of(recipe, count, whole)), seed),
        plan_graded(count, of_all(grades_of(recipe, count, whole)), seed),
    )


def evaluate_cut(
    bank: FeatureBank, cut: Cut, prepared: Prepared, checkpoint: Checkpoint
) -> Evaluation:
    """How well a split's scorer does on its test pictures.

    Args:
        bank: has their features.
        cut: the split.
        prepared: what the scorer was trained on; says which readings it sees.
        checkpoint: the scorer.

    Raises:
        DataError: features of a picture are not in the bank.
    """
    seed = prepared.recipe.training.seed
    pictures = shown_as(bank.features_of(cut.test), prepared.shown, seed)
    return evaluate_predictions(held_predictions(checkpoint, pictures, cut.test))


@dataclass(frozen=True)
class CrossValidation:
    """The test figures of one scorer a split.

    Attributes:
        splits: evaluations by the splits' names, in their order.
    """

    splits: Mapping[str, Evaluation]

    @property
    def figures(self) -> SplitFigures:
        """Figures of each split, and their spread."""
        return SplitFigures(tuple(each.overall for each in self.splits.values()))

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON; every one named for what it is."""
        figures = self.figures.to_dict()
        return {
            "splits": len(self.splits),
            "test_pictures": statistics.median(one.n for one in self.figures.each),
            "spread": figures["spread"],
            "each": dict(zip(self.splits, figures["each"], strict=True)),
            "meaning": {
                "each": "figures of the scorer that was trained on this split, on its test part",
                "spread": "over splits; deviation: standard deviation of a sample; quartiles: first "
                "and third",
                "srcc": "Spearman's rank correlation",
                "plcc": "Pearson's correlation of the raw scores",
                "plcc_logistic": "Pearson's correlation after a 4-parameter logistic fit",
                "krcc": "Kendall's tau-b",
                "rmse": "root mean square error of the raw scores, in points of 0..100",
                "rmse_logistic": "the same after the logistic fit",
            },
        }

    def rows(self) -> list[tuple[str, int | None, list[float | None]]]:
        """A line for each split, then those over all: a name, a count and each of `FIGURES`."""
        lines: list[tuple[str, int | None, list[float | None]]] = [
            (name, each.overall.n, [getattr(each.overall, figure) for figure in FIGURES])
            for name, each in self.splits.items()
        ]
        spreads = [self.figures.spread(figure) for figure in FIGURES]
        for name, what in (("median", "median"), ("standard deviation", "deviation")):
            lines.append((name, None, [getattr(found, what, None) for found in spreads]))
        for name, end in (("first quartile", 0), ("third quartile", 1)):
            lines.append(
                (name, None, [found.quartiles[end] if found else None for found in spreads])
            )
        for name, what in (("lowest", "low"), ("highest", "high")):
            lines.append((name, None, [getattr(found, what, None) for found in spreads]))
        return lines
