"""Softmax and sums over the positions of each region, for all regions at once.

Regions do not overlap, so what a region-by-position mask would compute K times over can be
computed once per position and gathered by region id: linear in positions, whatever K.
"""

from __future__ import annotations

import torch
from torch import Tensor


def segment_sum(values: Tensor, labels: Tensor, regions: int) -> Tensor:
    """Sum of `values` `[B, N, ...]` over each region of `labels` `[B, N]`: `[B, K, ...]`.

    Example:
        >>> segment_sum(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0, 1, 1]]), 3)
        tensor([[1., 6., 0.]])
    """
    batch = values.shape[0]
    rows = (labels + torch.arange(batch, device=labels.device)[:, None] * regions).flatten()
    sums = values.new_zeros((batch * regions, *values.shape[2:]))
    sums = sums.index_add(0, rows, values.flatten(0, 1))
    return sums.reshape(batch, regions, *values.shape[2:])


def at_positions(values: Tensor, labels: Tensor) -> Tensor:
    """Each position's value of its own region: `[B, K, ...]` and `[B, N]` give `[B, N, ...]`."""
    batch = torch.arange(labels.shape[0], device=labels.device)[:, None]
    return values[batch, labels]


def segment_softmax(logits: Tensor, labels: Tensor, regions: int) -> Tensor:
    """Softmax of `logits` `[B, N, ...]` among the positions of each region of `labels` `[B, N]`.

    Equal to a softmax with an additive mask of −∞ outside the region, without ever making the
    mask. Sums to 1 over every region that has a position.
    """
    index = labels.reshape(*labels.shape, *[1] * (logits.dim() - 2)).expand_as(logits)
    highest = logits.new_full((logits.shape[0], regions, *logits.shape[2:]), -torch.inf)
    highest = highest.scatter_reduce(1, index, logits.detach(), reduce="amax")
    exponentials = (logits - at_positions(highest, labels)).exp()
    return exponentials / at_positions(segment_sum(exponentials, labels, regions), labels)
