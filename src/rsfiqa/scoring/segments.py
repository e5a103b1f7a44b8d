"""Softmax and sums over the positions of each region, for all regions at once.

A region's positions are rows of a membership matrix `[B, N, K]`: sums over regions and look-ups by
region are then matrix products, which processors are fastest at, with no loop over regions. Zeros
add nothing, to the last bit, so no region sees another. The products are made in the membership's
precision, under autocast too: a softmax whose sum has three digits does not sum to 1.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def membership(labels: Tensor, regions: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """One-hot membership of positions: labels `[B, N]` in 0..K-1 give `[B, N, K]`.

    A position with label −1 is in no region: its row is zero.

    Example:
        >>> membership(torch.tensor([[0, 1, -1]]), 3)
        tensor([[[1., 0., 0.],
                 [0., 1., 0.],
                 [0., 0., 0.]]])
    """
    return (labels[..., None] == torch.arange(regions, device=labels.device)).to(dtype)


def segment_sum(values: Tensor, members: Tensor) -> Tensor:
    """Sum of `values` `[B, N, F]` over each region: `[B, K, F]`."""
    with _without_autocast(values):
        return members.transpose(1, 2) @ values.to(members.dtype)


def at_positions(values: Tensor, members: Tensor) -> Tensor:
    """Each position's value of its own region: `[B, K, F]` gives `[B, N, F]`."""
    with _without_autocast(values):
        return members @ values.to(members.dtype)


def segment_softmax(logits: Tensor, members: Tensor) -> Tensor:
    """Softmax of `logits` `[B, N, F]` among the positions of each region.

    Equal to a softmax with an additive mask of −∞ outside the region, without the mask's F copies.
    Sums to 1 over every region that has a position; 0 at positions that are in no region.
    """
    inside = members.sum(-1, keepdim=True)
    exponentials = (logits - _highest(logits.detach(), members, inside)).exp() * inside
    # What is in no region has no sum to be divided by.
    return exponentials / (at_positions(segment_sum(exponentials, members), members) + (1 - inside))


def _highest(logits: Tensor, members: Tensor, inside: Tensor) -> Tensor:
    """The largest logit of each position's region, which keeps the exponential from overflowing.

    Positions in no region share a bucket of their own behind the last region's.
    """
    regions = members.shape[-1]
    labels = torch.where(inside > 0, members.argmax(-1, keepdim=True), regions).expand_as(logits)
    highest = logits.new_full((logits.shape[0], regions + 1, logits.shape[-1]), -torch.inf)
    return highest.scatter_reduce(1, labels, logits, reduce="amax").gather(1, labels)


def _without_autocast(values: Tensor) -> AbstractContextManager[object]:
    kind = values.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
