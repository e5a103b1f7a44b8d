"""Graded copies in training: what a fault of the whole picture must do to its score as it grows.

People's scores say how good pictures are, not why: a scorer may have found that sharp pictures are
good ones and that a sharpened one is better still. Copies of training pictures, each with one known
fault in all its strengths, say which way is down. They need no score of their own, and only the
whole-picture features, since it is the whole-picture head that learns from them (ranking synthetic
copies beside human scores goes back to RankIQA, Liu et al., ICCV 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.distortions import FAMILIES, STRENGTHS
from rsfiqa.learning.losses import grading_loss
from rsfiqa.scoring.model import to_score

FALLS = (2.0, 6.0, 12.0, 20.0)
"""Points by which a picture's score must fall below the clean one's at each strength."""


@dataclass(frozen=True)
class GradePlan:
    """Which picture is spoiled as a whole, in all strengths of which family."""

    source: int
    family: str
    seed: int


@dataclass(frozen=True, eq=False)
class Graded:
    """A training picture while one fault of the whole of it grows.

    Attributes:
        contexts: `[4, D]`, whole-picture features at the strengths 1 to 4.
        source: index of the clean picture.
    """

    contexts: Tensor
    source: int


def plan_graded(pictures: int, copies: int, seed: int) -> list[GradePlan]:
    """`copies` plans over a shuffled data set, all families in turn.

    Example:
        >>> plans = plan_graded(pictures=9, copies=4, seed=0)
        >>> len(plans), len({plan.source for plan in plans}), len({plan.family for plan in plans})
        (4, 4, 4)
    """
    rng = np.random.default_rng([seed, 1])
    families = [family for names in FAMILIES.values() for family in names]
    plans: list[GradePlan] = []
    while len(plans) < copies and pictures:
        for source in rng.permutation(pictures)[: copies - len(plans)]:
            family = families[len(plans) % len(families)]
            plans.append(GradePlan(int(source), family, int(rng.integers(2**31))))
    return plans


class GradedCopies:
    """Graded copies with their clean originals, ready to be drawn from.

    Args:
        pictures: clean training pictures.
        graded: their copies.
        device: where losses are computed.
    """

    def __init__(
        self,
        pictures: Sequence[PictureFeatures],
        graded: Sequence[Graded],
        device: torch.device | str = "cpu",
    ) -> None:
        self._device = device
        self._rows = [
            torch.cat([pictures[g.source].context[None].float(), g.contexts.float()])
            for g in graded
        ]
        self._falls = torch.tensor([0.0, *FALLS], device=device)

    def __len__(self) -> int:
        return len(self._rows)

    def loss(self, head: nn.Module, count: int, rng: np.random.Generator) -> Tensor:
        """The grading loss of a whole-picture head on `count` of them, drawn at random."""
        drawn = [self._rows[int(i)] for i in rng.integers(len(self._rows), size=count)]
        contexts = torch.stack(drawn).to(self._device)
        scores = to_score(head(contexts.flatten(0, 1))).view(count, 1 + len(STRENGTHS))
        return grading_loss(scores, self._falls)
