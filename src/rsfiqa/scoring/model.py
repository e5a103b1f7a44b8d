"""The scorer: RSA over frozen features, and an exact sum of region scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from rsfiqa.errors import ConfigError
from rsfiqa.scoring.rsa import RSAModule, RSAOutput
from rsfiqa.scoring.segments import at_positions, membership
from rsfiqa.scoring.semantics import Semantics

Aggregation = Literal["rsa", "pooling"]


@dataclass(frozen=True)
class ScorerOutput:
    """Scores of a batch of pictures; `score` is the sum over regions of weight times region score.

    Attributes:
        score: `[B]`, 0..100.
        region_scores, weights: `[B, K]`; weights sum to 1 and are 0 for regions that do not exist
            or have no cell on the grid, of which nothing can be said: they bear the picture's score.
        attention: the global attention map `[B, h, w]`, sums to 1.
    """

    score: Tensor
    region_scores: Tensor
    weights: Tensor
    attention: Tensor


@dataclass(frozen=True)
class ScorerConfig:
    """Sizes of a scorer; saved beside its weights.

    Attributes:
        channels: feature channels at each position, after the stem.
        context_dim: width of the whole-picture features, verdicts of fine-tuned branches included.
        aggregation: `rsa`, or `pooling`: its twin that sees the whole-picture features only, for
            measuring what regions are worth.
        dim, heads: of RSA.
        hidden: width of the hidden layer of the context's and the regions' head.
        dropout: in both.
        members: scorers trained apart whose mean is the score; sums stay exact.
        description_dim: width of the reader's sentence embeddings.
        verdicts: how many of the whole-picture features, the last ones, are logits of fine-tuned
            branches (`rsfiqa.encoders.fine_tuned`).
    """

    channels: int
    context_dim: int
    aggregation: Aggregation = "rsa"
    dim: int = 32
    heads: int = 2
    hidden: int = 128
    dropout: float = 0.5
    members: int = 1
    description_dim: int = 384
    verdicts: int = 0

    @property
    def frozen_dim(self) -> int:
        """Width of the whole-picture features without verdicts."""
        return self.context_dim - self.verdicts


class ContextHead(nn.Module):
    """What the whole picture says of quality: features `[B, D]` → logits `[B]`.

    Where there are fine-tuned branches, the mean of their logits and of the head's own.
    """

    def __init__(self, config: ScorerConfig) -> None:
        super().__init__()
        self.verdicts = config.verdicts
        self.frozen = config.frozen_dim
        self.layers = _head(self.frozen, config)

    def forward(self, context: Tensor) -> Tensor:
        logits: Tensor = self.layers(context[:, : self.frozen]).squeeze(-1)
        if not self.verdicts:
            return logits
        return (logits + context[:, self.frozen :].sum(1)) / (1 + self.verdicts)


class RegionHead(nn.Module):
    """One member: RSA and a score for every region.

    A region's logit is the picture's plus the region's own, which starts at zero: regions begin
    with the score that pooling gives the whole, and learn how they differ from it.
    """

    def __init__(self, config: ScorerConfig) -> None:
        super().__init__()
        self.context = ContextHead(config)
        self.rsa = RSAModule(
            config.channels,
            dim=config.dim,
            heads=config.heads,
            description_dim=config.description_dim,
        )
        self.region = _head(2 * config.channels + 2 * config.dim + 1, config)
        last = cast(nn.Linear, self.region[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(
        self,
        features: Tensor,
        context: Tensor,
        labels: Tensor,
        area: Tensor,
        semantics: Semantics | None,
    ) -> tuple[RSAOutput, Tensor]:
        """RSA's output and the region scores `[B, K]`, 0..100."""
        seen = self.rsa(features, labels, area, semantics)
        log_area = area.clamp_min(1e-8).log()[..., None]
        inputs = [seen.mean, seen.deviation, seen.attended, seen.semantic, log_area]
        own = self.region(torch.cat(inputs, -1)).squeeze(-1)
        return seen, to_score(self.context(context)[:, None] + own)


class PoolingHead(nn.Module):
    """The twin without regions: one score from the whole-picture features."""

    def __init__(self, config: ScorerConfig) -> None:
        super().__init__()
        self.context = ContextHead(config)

    def forward(self, context: Tensor) -> Tensor:
        """Scores `[B]`, 0..100."""
        return to_score(self.context(context))


def to_score(logits: Tensor) -> Tensor:
    """Logits on the scale of scores, 0..100."""
    return 100 * torch.sigmoid(logits)


def _head(width: int, config: ScorerConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(config.dropout),
        nn.Linear(width, config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, 1),
    )


class RegionScorer(nn.Module):
    """Step 3: features, a partition and readings in; scores, weights and the attention map out."""

    def __init__(self, config: ScorerConfig) -> None:
        super().__init__()
        self.config = config
        member = RegionHead if config.aggregation == "rsa" else PoolingHead
        self.members = nn.ModuleList(member(config) for _ in range(config.members))

    @classmethod
    def merged(cls, scorers: Sequence[RegionScorer]) -> RegionScorer:
        """One scorer with the members of several, which must be alike but for their weights.

        Raises:
            ConfigError: there is none, or they differ.
        """
        kinds = {replace(scorer.config, members=1) for scorer in scorers}
        if len(kinds) != 1:
            raise ConfigError(f"only scorers of one kind can be merged; got {len(kinds)} kinds.")
        members = [member for scorer in scorers for member in scorer.members]
        merged = cls(replace(kinds.pop(), members=len(members)))
        for mine, given in zip(merged.members, members, strict=True):
            mine.load_state_dict(given.state_dict())
        return merged.eval()

    def forward(
        self,
        features: Tensor,
        context: Tensor,
        labels: Tensor,
        area: Tensor,
        semantics: Semantics | None = None,
    ) -> ScorerOutput:
        """Score a batch of pictures whose grids have one size.

        Args:
            features: `[B, C, h, w]` from the stem.
            context: `[B, D]` from the stem.
            labels: region ids on the grid `[B, h, w]`.
            area: `[B, K]`, fractions of the picture; 0 where a picture has fewer than K regions.
            semantics: readings, or None.
        """
        if self.config.aggregation == "pooling":
            return _pool(self.members, context, labels, area)
        weights, weighted_scores, attention = [], [], []
        for member in self.members:
            out, scores = member(features, context, labels, area, semantics)
            weights.append(out.weights)
            weighted_scores.append(out.weights * scores)
            attention.append(out.attention)
        weight = torch.stack(weights).mean(0)
        share = torch.stack(weighted_scores).mean(0)
        score = share.sum(1)
        region_scores = torch.where(weight > 0, share / weight.clamp_min(1e-12), score[:, None])
        return ScorerOutput(score, region_scores, weight, torch.stack(attention).mean(0))


def _pool(
    members: Iterable[nn.Module], context: Tensor, labels: Tensor, area: Tensor
) -> ScorerOutput:
    score = torch.stack([member(context) for member in members]).mean(0)
    owners = membership(labels.flatten(1), area.shape[1])
    counts = owners.sum(1).clamp_min(1)
    attention = at_positions((area / counts)[..., None], owners).view(labels.shape)
    attention = attention / attention.sum((1, 2), keepdim=True)
    return ScorerOutput(score, score[:, None].expand_as(area), area, attention)
