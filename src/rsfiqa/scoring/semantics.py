"""A region's semantic tokens: what a reader said of it, as vectors that attention can ask with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rsfiqa.types import DIMENSIONS, LEVELS

TOKENS = 1 + len(DIMENSIONS)
"""One token for the description and one a dimension."""


@dataclass(frozen=True)
class Semantics:
    """The readings of a batch of partitions, as numbers.

    Attributes:
        description: sentence embeddings `[B, K, E]`; anything where `known` is false.
        ratings: level probabilities `[B, K, 5, 5]`, dimensions by levels, best level first.
        known: `[B, K]`, whether the region was read.
    """

    description: Tensor
    ratings: Tensor
    known: Tensor


class SemanticTokens(nn.Module):
    """Readings → tokens `[B, K, 6, d]`; regions without a reading get a learned "no reading" token.

    Args:
        dim: width of a token, d.
        description_dim: width of the sentence embedding, E.
        drop: in training, the fraction of regions whose reading is hidden, so that the scorer
            also learns to do without.
    """

    def __init__(self, dim: int, description_dim: int = 384, drop: float = 0.3) -> None:
        super().__init__()
        self.drop = drop
        self.description = nn.Linear(description_dim, dim)
        self.rating = nn.Linear(len(LEVELS), dim)
        self.dimension = nn.Parameter(torch.randn(len(DIMENSIONS), dim) * 0.02)
        self.no_reading = nn.Parameter(torch.randn(TOKENS, dim) * 0.02)

    def forward(self, semantics: Semantics | None, batch: int, regions: int) -> Tensor:
        """Tokens `[B, K, 6, d]` for `batch` partitions of up to `regions` regions."""
        nothing = self.no_reading.expand(batch, regions, -1, -1)
        if semantics is None:
            return nothing
        known = semantics.known
        if self.training and self.drop:
            known = known & (torch.rand(known.shape, device=known.device) >= self.drop)
        # An unread region may carry anything, NaN too: select, never multiply by zero.
        description = torch.where(known[..., None], semantics.description, 0.0)
        ratings = torch.where(known[..., None, None], semantics.ratings, 0.0)
        read = torch.cat(
            [self.description(description)[:, :, None], self.rating(ratings) + self.dimension], 2
        )
        return torch.where(known[..., None, None], read, nothing)
