"""A region's semantic tokens: what a reader said of it, as vectors that attention can ask with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from rsfiqa.types import DIMENSIONS, LEVELS, Reading

TOKENS = 1 + len(DIMENSIONS)
"""One token for the description and one a dimension."""


class TextEncoder(Protocol):
    """What turns descriptions into vectors; see `rsfiqa.reading.sentence_encoder`."""

    @property
    def name(self) -> str:
        """Identifies the vectors for caches."""
        ...

    @property
    def width(self) -> int:
        """Entries of a vector."""
        ...

    def encode(self, texts: Sequence[str | None]) -> Tensor:
        """One vector a text, `[N, width]` on the CPU; zeros for None."""
        ...


@dataclass(frozen=True, eq=False)
class Semantics:
    """The readings of a batch of partitions, or without the leading B of one, as numbers.

    Attributes:
        description: sentence embeddings `[B, K, E]`; anything where `known` is false.
        ratings: level probabilities `[B, K, 5, 5]`, dimensions by levels, best level first.
        known: `[B, K]`, whether the region was read.
    """

    description: Tensor
    ratings: Tensor
    known: Tensor

    def to(self, device: torch.device | str) -> Semantics:
        """The same on a device."""
        return Semantics(
            self.description.to(device), self.ratings.to(device), self.known.to(device)
        )

    def at(self, chosen: Tensor) -> Semantics:
        """Those of the chosen entries of the first axis: of regions, where there is no B."""
        return Semantics(self.description[chosen], self.ratings[chosen], self.known[chosen])

    def hidden(self, chosen: Tensor) -> Semantics:
        """The same as if the regions where `chosen` is true, `[B, K]` or `[B, 1]`, were unread."""
        return Semantics(self.description, self.ratings, self.known & ~chosen)


def semantics_of(readings: Sequence[Reading], sentences: TextEncoder) -> Semantics:
    """The readings of one picture as numbers, `[K, …]`; failed and absent ones are not known.

    Args:
        readings: one a region.
        sentences: embeds the descriptions; a reading without one has zeros there.

    Example:
        >>> class Zeros:
        ...     name, width = "zeros", 3
        ...     def encode(self, texts):
        ...         return torch.zeros(len(texts), 3)
        >>> found = semantics_of([Reading("failed", reason="no answer")], Zeros())
        >>> found.known.tolist(), tuple(found.ratings.shape), tuple(found.description.shape)
        ([False], (1, 5, 5), (1, 3))
    """
    known = [reading.status == "ok" for reading in readings]
    ratings = torch.zeros(len(readings), len(DIMENSIONS), len(LEVELS))
    for row, reading in zip(ratings, readings, strict=True):
        if reading.status == "ok":
            row.copy_(torch.tensor([reading.ratings[d].probabilities for d in DIMENSIONS]))
    texts = [reading.description if reading.status == "ok" else None for reading in readings]
    return Semantics(sentences.encode(texts), ratings, torch.tensor(known, dtype=torch.bool))


def stack_semantics(pictures: Sequence[Semantics | None], regions: int) -> Semantics | None:
    """The semantics of single pictures as a batch, padded with unread regions to `regions`.

    Returns:
        in fp32; None where no picture has any.
    """
    present = [picture for picture in pictures if picture is not None]
    if not present:
        return None
    batch = len(pictures)
    stacked = Semantics(
        torch.zeros(batch, regions, present[0].description.shape[-1]),
        torch.zeros(batch, regions, len(DIMENSIONS), len(LEVELS)),
        torch.zeros(batch, regions, dtype=torch.bool),
    )
    for row, picture in enumerate(pictures):
        if picture is not None:
            there = len(picture.known)
            stacked.description[row, :there] = picture.description.float()
            stacked.ratings[row, :there] = picture.ratings.float()
            stacked.known[row, :there] = picture.known
    return stacked


class RatingTokens(nn.Module):
    """Level probabilities `[…, 5, 5]` → one token a dimension, `[…, 5, d]`.

    Each dimension has a map of its own, since the head sees the mean of a region's tokens: were
    the map shared, that mean would tell how bad a region is and not what is bad in it. All begin
    alike.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        shared = nn.Linear(len(LEVELS), dim)
        self.weight = nn.Parameter(shared.weight.detach().repeat(len(DIMENSIONS), 1, 1))
        self.bias = nn.Parameter(shared.bias.detach().clone())

    def forward(self, ratings: Tensor) -> Tensor:
        tokens: Tensor = torch.einsum("...kl,kdl->...kd", ratings, self.weight) + self.bias
        return tokens


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
        self.rating = RatingTokens(dim)
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
