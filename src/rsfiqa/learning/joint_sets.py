"""Several data sets in one training run, each with a scale of its own.

A score of 60 in one data set is not a 60 in another: other observers, other questions, other
pictures beside it. So each set but the first has a line of its own, learned with the scorer, that
takes the scorer's scores to the set's scale before they are compared with human scores; losses are
computed within one set at a time, batches being of one set. The lines are left behind when training
ends: what is kept gives scores on the scale of the first set. This is the dataset-specific linear
alignment of D. Li, T. Jiang and M. Jiang, Unified quality assessment of in-the-wild videos with
mixed datasets training (IJCV 2021), without its monotone curve: correlation losses do not see it,
and four or five lines need no curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rsfiqa.errors import ConfigError
from rsfiqa.learning.metrics import correlations

_FASTER = 10.0
"""How much faster than weights the lines may move: they start at no change and are few."""


@dataclass(frozen=True)
class JointSets:
    """Which of several data sets each picture is of.

    Attributes:
        names: of the sets; scores are on the scale of the first.
        training, validation: for each picture the index of its set.

    Raises:
        ConfigError: a set has fewer than two training or three validation pictures.
    """

    names: tuple[str, ...]
    training: tuple[int, ...]
    validation: tuple[int, ...]

    def __post_init__(self) -> None:
        for index, name in enumerate(self.names):
            counts = self.training.count(index), self.validation.count(index)
            if counts[0] < 2 or counts[1] < 3:
                raise ConfigError(
                    "training needs at least 2 training and 3 validation pictures of each data "
                    f"set; {name} has {counts[0]} and {counts[1]}."
                )


@dataclass(frozen=True)
class SetFigures:
    """Agreement on the validation pictures of one data set."""

    name: str
    srcc: float | None
    plcc: float | None


@dataclass(frozen=True)
class Line:
    """From the scorer's scores, 0..100, to a data set's: `slope * score + offset`."""

    slope: float = 1.0
    offset: float = 0.0


class Alignment(nn.Module):
    """The lines of all sets but the first, which start at no change; slopes stay above 0.

    Args:
        sets: how many data sets there are.

    Example:
        >>> lines = Alignment(2)
        >>> lines(torch.tensor([20.0, 70.0]), 1).tolist()
        [20.0, 70.0]
    """

    def __init__(self, sets: int) -> None:
        super().__init__()
        self.log_slope = nn.Parameter(torch.zeros(sets - 1))
        self.offset = nn.Parameter(torch.zeros(sets - 1))

    def forward(self, scores: Tensor, index: int) -> Tensor:
        """Scores `[B]` on the scale of the set `index`; 0..100 of the first set's is no bound."""
        if index == 0:
            return scores
        # About the middle of the scale: so slope and offset do not have to follow one another.
        shift = 50 + 100 * self.offset[index - 1]
        return self.log_slope[index - 1].exp() * (scores - 50) + shift

    def lines(self) -> tuple[Line, ...]:
        """One for each set, the first included."""
        found = [Line()]
        for log_slope, offset in zip(self.log_slope.tolist(), self.offset.tolist(), strict=True):
            slope = float(np.exp(log_slope))
            found.append(Line(slope, 50 + 100 * offset - 50 * slope))
        return tuple(found)

    def optimizer(self, rate: float) -> torch.optim.Optimizer:
        """What moves the lines, given the learning rate of the weights."""
        return torch.optim.Adam(self.parameters(), lr=rate * _FASTER)


def figures_by_set(
    names: Sequence[str], owners: Sequence[int], scores: Sequence[float], wanted: Sequence[float]
) -> tuple[SetFigures, ...]:
    """SRCC and PLCC of each data set's pictures.

    Args:
        names: of the sets.
        owners: for each picture the index of its set.
        scores, wanted: of the scorer and of people.
    """
    given, human, mine = np.asarray(scores), np.asarray(wanted), np.asarray(owners)
    found = []
    for index, name in enumerate(names):
        measured = correlations(given[mine == index], human[mine == index])
        found.append(SetFigures(name, measured.srcc, measured.plcc))
    return tuple(found)


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of those that exist; None where none does.

    Example:
        >>> mean_of([0.5, None, 1.0]), mean_of([None])
        (0.75, None)
    """
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
