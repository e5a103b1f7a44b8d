"""Softmax and sums over the positions of each region, for all regions at once.

A region's positions are rows of a membership matrix `[B, N, K]`: sums over regions and look-ups by
region are then matrix products, which processors are fastest at, with no loop over regions. Zeros
add nothing, to the last bit, so no region sees another.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def membership(labels: Tensor, regions: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """One-hot membership of positions: labels `[B, N]` in 0..K-1 give `[B, N, K]`.

    Example:
        >>> membership(torch.tensor([[0, 1, 1]]), 3)
        tensor([[[1., 0., 0.],
                 [0., 1., 0.],
                 [0., 1., 0.]]])
    """
    return F.one_hot(labels, regions).to(dtype)


def segment_sum(values: Tensor, members: Tensor) -> Tensor:
    """Sum of `values` `[B, N, F]` over each region: `[B, K, F]`."""
    return members.transpose(1, 2) @ values


def at_positions(values: Tensor, members: Tensor) -> Tensor:
    """Each position's value of its own region: `[B, K, F]` gives `[B, N, F]`."""
    return members @ values


def segment_softmax(logits: Tensor, members: Tensor) -> Tensor:
    """Softmax of `logits` `[B, N, F]` among the positions of each region.

    Equal to a softmax with an additive mask of −∞ outside the region, without the mask's F copies.
    Sums to 1 over every region that has a position.
    """
    exponentials = (logits - _highest(logits.detach(), members)).exp()
    return exponentials / at_positions(segment_sum(exponentials, members), members)


def _highest(logits: Tensor, members: Tensor) -> Tensor:
    """The largest logit of each position's region, which keeps the exponential from overflowing."""
    labels = members.argmax(-1, keepdim=True).expand_as(logits)
    highest = logits.new_full((len(logits), members.shape[-1], logits.shape[-1]), -torch.inf)
    return highest.scatter_reduce(1, labels, logits, reduce="amax").gather(1, labels)
