"""Is a scorer sane off its training set? It needs no human scores to see that it is not.

Two things are known without asking anybody: a clean photograph gets worse as a fault is made
stronger, so scores must fall with the strength of every distortion; and a score must not depend on
what is no part of a picture's quality: the file's format, its direction, and, as far as it goes, its
size and the shape of its frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.images import ImageSource
from rsfiqa.learning.distortions import FAMILIES, STRENGTHS, VERSION, dimension_of, distort
from rsfiqa.learning.sanity_variants import EXPECTED, TOLERANCES, Expectation, variants
from rsfiqa.types import Dimension

Pixels: TypeAlias = npt.NDArray[np.uint8]
Score: TypeAlias = Callable[[Sequence[ImageSource]], Sequence[float]]
"""Scores of pictures, in their order, on 0..100."""

LEVELS = (0, *STRENGTHS)
"""The strengths of a curve; 0 is the clean picture."""


@dataclass(frozen=True)
class FamilyCurves:
    """Scores against the strength of one distortion.

    Attributes:
        family: as in `rsfiqa.learning.distortions.FAMILIES`.
        dimension: the dimension it spoils.
        scores: for each picture, its scores at `LEVELS`.
    """

    family: str
    dimension: Dimension
    scores: tuple[tuple[float, ...], ...]

    @property
    def means(self) -> tuple[float, ...]:
        """The mean score over pictures at each strength."""
        return tuple(fmean(column) for column in zip(*self.scores, strict=True))

    @property
    def spearman(self) -> float:
        """Spearman's correlation of score and strength, the mean over pictures: −1 is wanted.

        A picture whose score stays the same counts as 0.
        """
        return fmean(_spearman(scores) for scores in self.scores)

    @property
    def monotone(self) -> float:
        """The share of pictures whose score falls at every step, 0..1."""
        return fmean(all(after < before for before, after in pairwise(row)) for row in self.scores)

    @property
    def fall(self) -> float:
        """By how many points the score falls from clean to severe, the mean over pictures."""
        return fmean(row[0] - row[-1] for row in self.scores)

    @property
    def worst_rise(self) -> float:
        """The most points by which a stronger fault was scored better in one step; 0 if never."""
        return max(
            max(0.0, after - before) for row in self.scores for before, after in pairwise(row)
        )

    def to_dict(self) -> dict[str, Any]:
        """Curves and what follows from them, ready for JSON."""
        return asdict(self) | {
            "means": self.means,
            "spearman": self.spearman,
            "monotone": self.monotone,
            "fall": self.fall,
            "worst_rise": self.worst_rise,
        }


@dataclass(frozen=True)
class Invariance:
    """How a change that is none of quality moves scores.

    Attributes:
        name: of the change.
        expected: whether scores must be `equal`, stay `close`, or may follow what the change shows
            or hides (`loose`).
        changes: for each picture, its score afterwards less that of the picture as it was, in points.
    """

    name: str
    expected: Expectation
    changes: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean of the absolute changes, in points."""
        return fmean(abs(change) for change in self.changes)

    @property
    def largest(self) -> float:
        """The largest absolute change, in points."""
        return max(abs(change) for change in self.changes)

    @property
    def bias(self) -> float:
        """The mean change: above 0 where the change raises scores."""
        return fmean(self.changes)

    @property
    def holds(self) -> bool:
        """Whether no picture's score moved by more than is expected; see `TOLERANCES`."""
        return self.largest <= TOLERANCES[self.expected]

    def to_dict(self) -> dict[str, Any]:
        """Changes and what follows from them, ready for JSON."""
        return asdict(self) | {
            "mean": self.mean,
            "largest": self.largest,
            "bias": self.bias,
            "tolerance": TOLERANCES[self.expected],
            "holds": self.holds,
        }


@dataclass(frozen=True)
class Sanity:
    """What was found.

    Attributes:
        pictures: names of the clean photographs.
        families: a curve for each distortion.
        invariances: a row for each change.
        seed: of noise, directions and casts.
    """

    pictures: tuple[str, ...]
    families: tuple[FamilyCurves, ...]
    invariances: tuple[Invariance, ...]
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; every figure named for what it is."""
        return {
            "pictures": list(self.pictures),
            "seed": self.seed,
            "strengths": list(LEVELS),
            "distortions": VERSION,
            "families": [curves.to_dict() for curves in self.families],
            "invariances": [row.to_dict() for row in self.invariances],
            "meaning": {
                "scores": "a row for each picture, its scores at the strengths; 0 is clean",
                "spearman": "of score and strength, mean over pictures; -1 is wanted",
                "monotone": "share of pictures whose score falls at every step",
                "fall": "points from clean to severe, mean over pictures",
                "worst_rise": "most points by which a stronger fault was scored better in one step",
                "changes": "for each picture, points by which its score moved",
                "holds": "whether no score moved by more than the tolerance, in points",
            },
        }


def all_families() -> tuple[str, ...]:
    """The distortions, in the order of their dimensions."""
    return tuple(family for families in FAMILIES.values() for family in families)


def measure_sanity(
    score: Score,
    pictures: Sequence[tuple[str, Pixels]],
    *,
    families: Sequence[str] | None = None,
    invariances: bool = True,
    seed: int = 0,
    told: Callable[[], None] = lambda: None,
) -> Sanity:
    """Score clean photographs, spoiled copies of them, and copies that are as good.

    Distortions are applied to whole pictures; each copy is scored on its own, as a user would,
    with no help from the clean picture.

    Args:
        score: takes pictures as `RSFIQA.assess` does; it is given a few dozen at a time at most.
        pictures: names and pixels, uint8 RGB `[H, W, 3]`. Photographs without faults: what is bad
            already cannot fall far.
        families: distortions; all by default.
        invariances: whether those are measured, too.
        seed: of noise, directions and casts; picture i is spoiled with seed + i.
        told: called after each batch of copies: once for each family and, where invariances are
            measured, once more, for each picture.

    Raises:
        ConfigError: a family is unknown, or there is none.
        DataError: there are no pictures, or pixels are not uint8 RGB.
    """
    chosen = all_families() if families is None else tuple(dict.fromkeys(families))
    dimensions = {family: dimension_of(family) for family in chosen}
    if not chosen:
        raise ConfigError("there is no distortion to measure; name one, or leave them all in.")
    if not pictures:
        raise DataError("there are no photographs to measure sanity on; give one or more.")
    curves: dict[str, list[tuple[float, ...]]] = {family: [] for family in chosen}
    changes: dict[str, list[float]] = {name: [] for name in EXPECTED} if invariances else {}
    for index, (_, pixels) in enumerate(pictures):
        clean = score([pixels])[0]
        for family in chosen:
            copies = [distort(pixels, family, level, seed + index) for level in STRENGTHS]
            curves[family].append((clean, *score(copies)))
            told()
        if invariances:
            made = variants(pixels)
            for name, found in zip(made, score(list(made.values())), strict=True):
                changes[name].append(found - clean)
            told()
    return Sanity(
        pictures=tuple(name for name, _ in pictures),
        families=tuple(
            FamilyCurves(family, dimensions[family], tuple(curves[family])) for family in chosen
        ),
        invariances=tuple(
            Invariance(name, EXPECTED[name], tuple(found))
            for name, found in changes.items()
            if found
        ),
        seed=seed,
    )


def _spearman(scores: Sequence[float]) -> float:
    from scipy import stats

    if len(set(scores)) == 1:
        return 0.0
    return float(stats.spearmanr(LEVELS, scores).statistic)
