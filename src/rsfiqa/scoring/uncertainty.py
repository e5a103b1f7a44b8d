"""How far a score may be from what people would say: a calibrated standard deviation and interval.

The error to be expected is a level curve, since people agree on the best and the worst pictures and
scorers err in between, times what kind of picture it is. A standard deviation and the half-width
of an interval are multiples of it, by factors that held-out pictures gave: normalised split-conformal
prediction (Papadopoulos et al., *Inductive confidence machines for regression*, ECML 2002; Lei et al.,
*Distribution-free predictive inference for regression*, JASA 113, 2018), which covers at its level
whatever the errors' distribution, for pictures like the held-out ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

COVERAGE = 0.9
"""How often an interval is to hold what people say."""

LEAST_ERROR = 2.0
"""Points: no score is claimed to be better than this, which people's mean scores are not either."""

_LARGEST_LOG_RATIO = 1.5

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """From a score and what a picture is like to the error to be expected.

    Attributes:
        level: `[4]`, 0 or more: the error in points by level alone, a cubic in Bernstein form.
        kind: `[4]`, 0 or more: the same for the part that depends on the kind of picture.
        difficulty: `[k + 1]`, from a picture's coordinates and 1 to the logarithm of how much harder
            its kind is than its level says.
        deviation: standard deviation over expected error.
        half_width: half of the interval over expected error; infinite where too few pictures were
            held out to bound one error in ten.
    """

    level: Array
    kind: Array
    difficulty: Array
    deviation: float
    half_width: float

    def expected_error(self, score: float, coordinates: Tensor, beyond: float = 1.0) -> float:
        """The absolute error to be expected, in points.

        Args:
            score: 0..100.
            coordinates: `[k]`, see `rsfiqa.scoring.familiarity.Familiarity`.
            beyond: 1 or more: how many times further from the training pictures it is than nearly
                all that were held out. No data say how errors grow there; they are taken to grow
                in proportion, so that a stranger is never claimed to be known well.
        """
        level = level_basis(np.array([score]))[0]
        ratio = kind_ratio(coordinates.double().numpy()[None], self.difficulty)[0]
        error = level @ self.level + level @ self.kind * ratio
        return max(LEAST_ERROR, float(error)) * max(1.0, beyond)

    def interval(self, score: float, expected_error: float) -> tuple[float, float]:
        """The interval at `COVERAGE` about a score, within 0..100."""
        half = self.half_width * expected_error
        return max(0.0, min(score, score - half)), min(100.0, max(score, score + half))

    def to_tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        factors = np.array([self.deviation, self.half_width])
        named = {"level": self.level, "kind": self.kind, "difficulty": self.difficulty}
        return {
            name: torch.from_numpy(values.astype(np.float32))
            for name, values in {**named, "factors": factors}.items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Uncertainty:
        """Read back what `to_tensors` wrote.

        Raises:
            KeyError: one is missing.
            ValueError: their shapes or values are not those of an uncertainty.
        """
        level, kind, difficulty, factors = (
            tensors[name].double().numpy() for name in ("level", "kind", "difficulty", "factors")
        )
        if level.shape != (4,) or kind.shape != (4,) or factors.shape != (2,):
            raise ValueError("the uncertainty's tensors have other shapes than they must")
        if min(level.min(), kind.min(), *factors) < 0 or math.isnan(factors.sum()):
            raise ValueError("the uncertainty's tensors hold values below 0")
        return cls(level, kind, difficulty, float(factors[0]), float(factors[1]))


def level_basis(scores: Array) -> Array:
    """Scores `[N]`, 0..100 → the four cubic Bernstein polynomials `[N, 4]`, which sum to 1.

    With weights of 0 or more their sum is 0 or more, which the error to be expected must be.

    Example:
        >>> level_basis(np.array([0.0, 50.0, 100.0])).tolist()
        [[1.0, 0.0, 0.0, 0.0], [0.125, 0.375, 0.375, 0.125], [0.0, 0.0, 0.0, 1.0]]
    """
    p = scores.clip(0, 100) / 100
    q = 1 - p
    return np.stack([q**3, 3 * p * q**2, 3 * p**2 * q, p**3], axis=1)


def kind_ratio(coordinates: Array, difficulty: Array) -> Array:
    """How much harder than their level says pictures at `[N, k]` are; within bounds, whatever they are."""
    logarithm = coordinates @ difficulty[:-1] + difficulty[-1]
    ratio: Array = np.exp(logarithm.clip(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO))
    return ratio
