"""Losses for quality scores, on the 0..100 scale."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def plcc_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """(1 − Pearson correlation) / 2 of a batch `[B]`: 0 for perfect agreement, 1 for opposite.

    A constant batch, such as one picture alone, gives 0.5 and no gradient.

    Example:
        >>> import torch
        >>> plcc_loss(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])).round(decimals=3)
        tensor(0.)
    """
    predictions = predictions - predictions.mean()
    targets = targets - targets.mean()
    scale = (predictions.square().sum() * targets.square().sum() + 1e-6).sqrt()
    return (1 - (predictions * targets).sum() / scale) / 2


def quality_loss(predictions: Tensor, targets: Tensor, mse_weight: float = 4.0) -> Tensor:
    """Correlation loss plus mean squared error on 0..1: order and scale together."""
    return plcc_loss(predictions, targets) + mse_weight * F.mse_loss(
        predictions / 100, targets / 100
    )


def locality_loss(
    clean: Tensor,
    spoiled: Tensor,
    region: Tensor,
    area: Tensor,
    margin: Tensor,
    tolerance: float = 2.0,
) -> Tensor:
    """What a picture spoiled in one region must do to its region scores.

    The spoiled region's score must fall by `margin` at least; the others may change by no more
    than `tolerance`.

    Args:
        clean, spoiled: region scores `[B, K]` of the same partitions before and after, 0..100.
        region: `[B]`, the spoiled region.
        area: `[B, K]`, fractions of the picture, 0 where there is no region.
        margin: `[B]`, points by which it must fall.
        tolerance: points by which the others may change.

    Returns:
        a scalar, in units of 10 points.
    """
    there = area > 0
    target = F.one_hot(region, clean.shape[1]).bool()
    change = spoiled - clean
    fall = F.relu(margin + change[target]).mean()
    others = there & ~target
    stay = F.relu(change[others].abs() - tolerance).mean() if others.any() else fall.new_zeros(())
    return (fall + stay) / 10


def grading_loss(scores: Tensor, falls: Tensor) -> Tensor:
    """What a fault that grows must do to a picture's score.

    At each strength the score must lie below the clean picture's by what `falls` says, and below
    that of the strength before by half of what `falls` grows: order first, distance second.

    Args:
        scores: `[B, S]`, 0..100: the clean picture, then its copies in rising strength.
        falls: `[S]`, points; rising, 0 for the clean picture.

    Returns:
        a scalar, in units of 10 points; 0 where all fall far enough.

    Example:
        >>> import torch
        >>> falls = torch.tensor([0.0, 2.0, 6.0])
        >>> grading_loss(torch.tensor([[80.0, 77.0, 70.0]]), falls)
        tensor(0.)
        >>> grading_loss(torch.tensor([[80.0, 80.0, 80.0]]), falls)
        tensor(0.5500)
    """
    below_clean = F.relu(falls[1:] - (scores[:, :1] - scores[:, 1:])).mean()
    steps = scores[:, :-1] - scores[:, 1:]
    below_last = F.relu((falls[1:] - falls[:-1]) / 2 - steps).mean()
    return (below_clean + below_last) / 10
