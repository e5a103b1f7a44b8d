"""A plain linear head on the embedded reader's evidence, without a language model.

What every figure of the reader is compared with: multinomial logistic regression from the same
numbers, standardised in the same way, to the same wanted level distributions. What a reader does not
beat here, its language model does not add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rsfiqa.errors import DataError
from rsfiqa.learning.reading_raters import Levels, Picture
from rsfiqa.learning.teaching_evidence import TaughtRegions
from rsfiqa.reading.projector import EvidenceBatch
from rsfiqa.types import DIMENSIONS, LEVELS

PENALTIES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Half of this times the squared weights is added to the mean cross-entropy of a level word."""

_OUTPUTS = len(DIMENSIONS) * len(LEVELS)
_FEWEST_DEVIATIONS, _OUTLIER = 1e-3, 6.0
_AT_ONCE = 4096
_ITERATIONS = 100


@dataclass(frozen=True, eq=False)
class Standard:
    """Zero mean and unit deviation over the training regions, outliers held back at six deviations.

    As `rsfiqa.reading.projector.Projector` does it.

    Attributes:
        mean, scale: `[D]`.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, evidence: EvidenceBatch) -> Standard:
        """Over all regions of a batch, in double precision, a bounded number at a time."""
        first = _joined(evidence.at(torch.arange(1))).double()
        total, squares = torch.zeros_like(first[0]), torch.zeros_like(first[0])
        for chunk in torch.arange(len(evidence)).split(_AT_ONCE):
            # About the first region, so that squares of large means do not drown deviations.
            values = _joined(evidence.at(chunk)).double() - first
            total += values.sum(0)
            squares += values.square().sum(0)
        mean = total / len(evidence)
        variance = (squares / len(evidence) - mean.square()).clamp_min(0)
        deviation = variance.sqrt().clamp_min(_FEWEST_DEVIATIONS)
        return cls((first[0] + mean).float(), (1 / deviation).float())

    def __call__(self, evidence: EvidenceBatch) -> Tensor:
        """`[N, D]`: features, pixels and context side by side."""
        scaled: Tensor = ((_joined(evidence) - self.mean) * self.scale).clamp(-_OUTLIER, _OUTLIER)
        return scaled


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Level probabilities from evidence by one matrix.

    Attributes:
        standard: of the evidence.
        weight, bias: `[25, D]` and `[25]`.
        penalty: of `PENALTIES`, the one with the least loss on the held part.
        held_losses: cross-entropy of a level word on the held part, by the penalties tried.
    """

    standard: Standard
    weight: Tensor
    bias: Tensor
    penalty: float
    held_losses: dict[float, float] = field(default_factory=dict)

    @torch.inference_mode()
    def probabilities(self, evidence: EvidenceBatch) -> Tensor:
        """Level probabilities `[N, 5, 5]` of regions."""
        logits = self.standard(evidence) @ self.weight.T + self.bias
        found: Tensor = logits.unflatten(1, (len(DIMENSIONS), len(LEVELS))).softmax(-1)
        return found

    def rate(self, picture: Picture) -> Levels:
        """See `rsfiqa.learning.reading_raters.Rater`."""
        found = self.probabilities(EvidenceBatch.of([picture.evidence]))
        return np.asarray(found.double().numpy())


def fit_linear_head(
    training: TaughtRegions,
    held: TaughtRegions,
    *,
    told: Callable[[int], None] = lambda _: None,
) -> LinearHead:
    """Fit by L-BFGS over all training regions, from zero: nothing is drawn, so nothing is seeded.

    Penalties are tried from the strongest on, each from the fit of the one before, until the loss on
    the held part rises: along this path it falls first and rises then.

    Args:
        training, held: regions of photographs apart.
        told: called after each penalty with the number of those tried.

    Raises:
        DataError: either part is empty.
    """
    if not len(training) or not len(held):
        raise DataError(
            f"the linear head learns from {len(training)} regions and is chosen on {len(held)}; "
            "both need some: give a larger set to learn from."
        )
    standard = Standard.of(training.evidence)
    # Half precision of values within six deviations loses nothing that matters and saves gigabytes.
    inputs, held_inputs = (
        torch.cat([standard(part.evidence.at(c)).half() for c in _chunks(len(part))])
        for part in (training, held)
    )
    width = inputs.shape[1]
    weight, bias = torch.zeros(_OUTPUTS, width), torch.zeros(_OUTPUTS)
    best = LinearHead(standard, weight, bias, PENALTIES[0])
    losses: dict[float, float] = {}
    for tried, penalty in enumerate(PENALTIES, start=1):
        weight, bias = _fit(inputs, training.ratings, penalty, weight, bias)
        losses[penalty] = _loss(held_inputs, held.ratings, weight, bias)
        told(tried)
        if losses[penalty] > min(losses.values()):
            break
        best = LinearHead(standard, weight, bias, penalty)
    return LinearHead(standard, best.weight, best.bias, best.penalty, losses)


def _fit(
    inputs: Tensor, wanted: Tensor, penalty: float, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    weight = weight.clone().requires_grad_()
    bias = bias.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_ITERATIONS,
        tolerance_grad=1e-5,
        tolerance_change=1e-6,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = 0.5 * penalty * weight.square().sum()
        loss.backward()
        total = float(loss.detach())
        for chunk in _chunks(len(inputs)):
            part = _cross_entropy(inputs[chunk], wanted[chunk], weight, bias) / len(inputs)
            part.backward()
            total += float(part.detach())
        return total

    optimizer.step(closure)
    return weight.detach(), bias.detach()


@torch.inference_mode()
def _loss(inputs: Tensor, wanted: Tensor, weight: Tensor, bias: Tensor) -> float:
    chunks = _chunks(len(inputs))
    return sum(float(_cross_entropy(inputs[c], wanted[c], weight, bias)) for c in chunks) / len(
        inputs
    )


def _cross_entropy(inputs: Tensor, wanted: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Summed over regions, the mean over dimensions."""
    logits = (inputs.float() @ weight.T + bias).unflatten(1, (len(DIMENSIONS), len(LEVELS)))
    total: Tensor = -(logits.log_softmax(-1) * wanted).sum() / len(DIMENSIONS)
    return total


def _chunks(count: int) -> tuple[Tensor, ...]:
    chunks: tuple[Tensor, ...] = torch.arange(count).split(_AT_ONCE)
    return chunks


def _joined(evidence: EvidenceBatch) -> Tensor:
    """All that is known of quality, `[N, D]`."""
    part = evidence.float()
    return torch.cat([part.features, part.pixels, part.context], 1)
