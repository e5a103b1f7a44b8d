"""The frozen stem: backbone features brought to a few decorrelated channels a map.

Backbones give thousands of channels. Principal components, fitted once without labels, keep most
of what varies, make features small enough to cache for every training run, and put shallow maps
with few channels on an equal footing with deep ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class Stem(nn.Module):
    """A fixed linear projection of each backbone map to at most `width` channels.

    Args:
        groups: channels of each map, in the order of `GridFeatures.positions`.
        width: most channels kept of a map.
        context_dim: width of `GridFeatures.context`, which is only standardised.
    """

    def __init__(self, groups: Sequence[int], width: int, context_dim: int) -> None:
        super().__init__()
        self.groups = tuple(groups)
        self.widths = tuple(min(width, channels) for channels in groups)
        self.center = nn.Parameter(torch.zeros(sum(groups)), requires_grad=False)
        self.projections = nn.ParameterList(
            nn.Parameter(torch.eye(channels, kept), requires_grad=False)
            for channels, kept in zip(self.groups, self.widths, strict=True)
        )
        self.context_center = nn.Parameter(torch.zeros(context_dim), requires_grad=False)
        self.context_scale = nn.Parameter(torch.ones(context_dim), requires_grad=False)

    @property
    def channels(self) -> int:
        return sum(self.widths)

    def forward(self, positions: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Positions `[B, C, h, w]` → `[B, c, h, w]` and context `[B, D]` → standardised `[B, D]`."""
        centered = positions - self.center.view(1, -1, 1, 1)
        parts = centered.split(self.groups, dim=1)
        reduced = [
            torch.einsum("bchw,cd->bdhw", part, projection)
            for part, projection in zip(parts, self.projections, strict=True)
        ]
        return torch.cat(reduced, 1), (context - self.context_center) * self.context_scale

    @torch.no_grad()
    def widened(self, verdicts: int) -> Stem:
        """The same with so many more numbers at the context's end, which are left as they are."""
        context_dim = len(self.context_center)
        wide = Stem(self.groups, max(self.widths), context_dim + verdicts)
        own = self.state_dict()
        own["context_center"] = torch.cat([self.context_center, torch.zeros(verdicts)])
        own["context_scale"] = torch.cat([self.context_scale, torch.ones(verdicts)])
        wide.load_state_dict(own)
        return wide

    @torch.no_grad()
    def narrowed(self, verdicts: int) -> Stem:
        """The same without the last numbers of the context: undoes `widened`."""
        context_dim = len(self.context_center) - verdicts
        narrow = Stem(self.groups, max(self.widths), context_dim)
        own = self.state_dict()
        own["context_center"] = self.context_center[:context_dim]
        own["context_scale"] = self.context_scale[:context_dim]
        narrow.load_state_dict(own)
        return narrow

    @torch.no_grad()
    def fit(self, samples: Iterable[tuple[Tensor, Tensor]]) -> Stem:
        """Fit the projections to pictures' features, one `(positions [C, h, w], context [D])` each.

        Channels are standardised within their map before the principal components are taken, and
        components are scaled to unit variance.
        """
        total = 0
        sums = torch.zeros(sum(self.groups), dtype=torch.float64)
        squares = [torch.zeros(c, c, dtype=torch.float64) for c in self.groups]
        contexts = []
        for positions, context in samples:
            flat = positions.flatten(1).double()
            total += flat.shape[1]
            sums += flat.sum(1)
            for moments, part in zip(squares, flat.split(self.groups), strict=True):
                moments.addmm_(part, part.T)
            contexts.append(context.double())
        if total == 0:
            raise ValueError("a stem needs at least one picture to be fitted to.")
        mean = sums / total
        self.center.copy_(mean)
        for square, part, projection in zip(
            squares, mean.split(self.groups), self.projections, strict=True
        ):
            covariance = square / total - part[:, None] * part
            scale = covariance.diagonal().clamp_min(1e-12).rsqrt()
            values, vectors = torch.linalg.eigh(covariance * scale[:, None] * scale)
            kept = projection.shape[1]
            values, vectors = values.flip(0)[:kept], vectors.flip(1)[:, :kept]
            # The sign of an eigenvector is arbitrary: fix it, so that refitting repeats exactly.
            signs = torch.where(vectors.sum(0) < 0, -1.0, 1.0)
            projection.copy_(scale[:, None] * vectors * signs * values.clamp_min(1e-6).rsqrt())
        stacked = torch.stack(contexts)
        self.context_center.copy_(stacked.mean(0))
        self.context_scale.copy_(stacked.std(0, correction=0).clamp_min(1e-6).reciprocal())
        return self
