"""How like the training pictures a picture is, by its whole-picture features.

A scorer's figures hold for pictures like those it was taught on. Nearest neighbours among the
training pictures, in a space where their features vary alike in every direction, tell others apart
(Sun et al., *Out-of-distribution detection with deep nearest neighbors*, ICML 2022). What distance is
far is read off pictures that were held out: the fraction of them that lie nearer is a conformal
p-value turned round (Vovk et al., *Algorithmic learning in a random world*, 2005; Bates et al.,
*Testing for outliers with conformal p-values*, Annals of Statistics 51(1), 2023), so that among
pictures like them at most one in a hundred is called unfamiliar by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

NEIGHBOURS = 5
"""Training pictures whose mean distance is a picture's: one alone may be a twin by chance."""


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What the training pictures look like, in some numbers.

    Attributes:
        projection: `[D, k]`, whole-picture features → whitened principal components.
        offset: `[k]`, where their origin is.
        bank: `[N, k]`, the training pictures, or a sample of them.
        distances: `[n]`, of held-out pictures, ascending.
    """

    projection: Tensor
    offset: Tensor
    bank: Tensor
    distances: Tensor

    def coordinates(self, context: Tensor) -> Tensor:
        """Standardised whole-picture features `[D]` of one picture → components `[k]`.

        What follows the features that it was fitted to, verdicts of fine-tuned branches, is left out.
        One picture at a time: what a matrix product rounds to depends on how many rows it has.
        """
        features = context.detach().cpu().float()[: len(self.projection)]
        return features @ self.projection - self.offset

    def distance(self, coordinates: Tensor) -> float:
        """Mean distance to the nearest `NEIGHBOURS` training pictures."""
        distances = (self.bank - coordinates).square().sum(1).sqrt()
        nearest = distances.topk(min(NEIGHBOURS, len(distances)), largest=False).values
        return float(nearest.mean())

    def novelty(self, distance: float) -> float:
        """The fraction of held-out pictures that are nearer to the training pictures, 0..1.

        The picture itself is counted among them, so that it is below 1, and below 0.99 always
        where fewer than 99 were held out: so few cannot show what one in a hundred is like.
        """
        nearer = int(torch.searchsorted(self.distances, torch.tensor(distance)))
        return nearer / (len(self.distances) + 1)

    def reach(self, fraction: float) -> float:
        """The distance within which this fraction of the held-out pictures lies."""
        return float(self.distances.quantile(fraction))

    def to_tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps; the two large ones in half precision, which they were fitted in."""
        return {
            "projection": self.projection.half().contiguous(),
            "offset": self.offset.contiguous(),
            "bank": self.bank.half().contiguous(),
            "distances": self.distances.contiguous(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Familiarity:
        """Read back what `to_tensors` wrote.

        Raises:
            KeyError: one is missing.
            ValueError: their shapes do not fit together.
        """
        projection, offset, bank, distances = (
            tensors[name].float() for name in ("projection", "offset", "bank", "distances")
        )
        width = offset.shape[-1]
        shapes = projection.ndim == bank.ndim == 2 and offset.ndim == distances.ndim == 1
        if not shapes or projection.shape[1] != width or bank.shape[1] != width or not len(bank):
            raise ValueError("the familiarity's tensors do not fit together")
        if not len(distances):
            raise ValueError("the familiarity has no distances of held-out pictures")
        return cls(projection, offset, bank, distances)
