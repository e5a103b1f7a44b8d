"""What a scorer knows of its own reliability: how sure a score is, and how like the training pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from rsfiqa.scoring.familiarity import Familiarity
from rsfiqa.scoring.uncertainty import Uncertainty

_FAMILIARITY, _UNCERTAINTY = "familiarity.", "uncertainty."
_WITHIN_REACH = 0.99


@dataclass(frozen=True)
class ScoreReliability:
    """How reliable the score of one picture is.

    Attributes:
        uncertainty: standard deviation of the error to be expected, in points.
        interval: `(low, high)`, which holds what people say of nine pictures in ten; within 0..100.
        novelty: fraction of held-out pictures that are more like the training pictures, 0..1.
    """

    uncertainty: float
    interval: tuple[float, float]
    novelty: float


@dataclass(frozen=True, eq=False)
class Reliability:
    """Belongs to a scorer; `rsfiqa.learning.reliability.fit_reliability` makes it.

    Attributes:
        familiarity, uncertainty: its parts.
        figures: how well it did on held-out pictures, for people.
    """

    familiarity: Familiarity
    uncertainty: Uncertainty
    figures: Mapping[str, float] = field(default_factory=dict)

    def of(self, score: float, context: Tensor) -> ScoreReliability:
        """The reliability of one picture's score.

        Args:
            score: of the whole picture, 0..100.
            context: its standardised whole-picture features `[D]`
                (`rsfiqa.extraction.PictureFeatures.context`).
        """
        coordinates = self.familiarity.coordinates(context)
        distance = self.familiarity.distance(coordinates)
        beyond = distance / max(self.familiarity.reach(_WITHIN_REACH), 1e-6)
        error = self.uncertainty.expected_error(score, coordinates, beyond)
        return ScoreReliability(
            uncertainty=self.uncertainty.deviation * error,
            interval=self.uncertainty.interval(score, error),
            novelty=self.familiarity.novelty(distance),
        )

    def to_tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps beside its weights."""
        familiarity = _prefixed(self.familiarity.to_tensors(), _FAMILIARITY)
        return familiarity | _prefixed(self.uncertainty.to_tensors(), _UNCERTAINTY)

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], figures: Mapping[str, float]
    ) -> Reliability:
        """Read back what `to_tensors` wrote.

        Raises:
            KeyError: one is missing.
            ValueError: they are not those of a reliability.
        """
        familiarity = Familiarity.from_tensors(_part(tensors, _FAMILIARITY))
        uncertainty = Uncertainty.from_tensors(_part(tensors, _UNCERTAINTY))
        if uncertainty.difficulty.shape != (len(familiarity.offset) + 1,):
            raise ValueError("familiarity and uncertainty are of different sizes")
        return cls(familiarity, uncertainty, figures)


def _prefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
