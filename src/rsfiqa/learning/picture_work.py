"""Which pictures features are computed of, and what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.features import SpoilPlan, plan_spoiled
from rsfiqa.learning.graded import GradePlan, plan_graded
from rsfiqa.learning.joint_sets import JointSets
from rsfiqa.learning.prepared import Recipe, copies_of, grades_of, split, without_limit
from rsfiqa.learning.training import require_enough

STEM_PICTURES = 300
"""How many pictures a stem is fitted to, where one has to be."""

Data = ScoredImages | Mapping[str, ScoredImages]
"""One data set, or several by name; the scorer's scale is that of the first."""


@dataclass(frozen=True)
class PictureWork:
    """The pictures of a run, those of all data sets one after the other, and what is made of them.

    Attributes:
        names: of the data sets.
        train, held, train_scores, held_scores: training and validation pictures.
        train_sets, held_sets: indices of their data sets.
        stem: pictures that a stem is fitted to, where one has to be.
        plans: of spoiled copies.
        grades: plans of graded copies.
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
    grades: list[GradePlan]

    @classmethod
    def of(cls, data: Data, recipe: Recipe) -> PictureWork:
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
        taken, pictures = len(train), sum(len(mine) for mine, _ in whole)
        seed = recipe.training.seed
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
            plans=plan_spoiled(taken, copies_of(recipe, taken, pictures), seed),
            grades=plan_graded(taken, grades_of(recipe, taken, pictures), seed),
        )
        work.joint()
        return work

    @classmethod
    def whole(
        cls,
        data: ScoredImages,
        stem: ScoredImages,
        spoiled: Sequence[SpoilPlan],
        graded: Sequence[GradePlan],
    ) -> PictureWork:
        """All pictures of a data set alike: which are for training is decided later.

        Args:
            data: the pictures.
            stem: of which the pictures are taken that a stem is fitted to.
            spoiled, graded: plans of copies; sources are indices of `data`.
        """
        return cls(
            names=("",),
            train=[row.path for row in data],
            train_scores=[row.score for row in data],
            train_sets=(0,) * len(data),
            held=[],
            held_scores=[],
            held_sets=(),
            stem=[row.path for row in stem.take(STEM_PICTURES, seed=0)],
            plans=list(spoiled),
            grades=list(graded),
        )

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
