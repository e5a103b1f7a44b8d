"""From evidence to soft tokens: the bridge between the backbones and the language model.

As in LLaVA (Liu et al., arXiv 2304.08485) a small network turns image features into vectors in the
language model's own embedding space. Here each region becomes a few tokens of three kinds: how it
fares, from everything known of it and of its picture; what it shows, from the deepest features; and
four finer tokens, one for each quarter of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rsfiqa.reading.evidence import GEOMETRY, PARTS, RegionEvidence


@dataclass(frozen=True)
class ProjectorConfig:
    """Sizes of a projector; saved beside its weights.

    Attributes:
        features, parts, pixels: widths of `RegionEvidence.features`, of one part, and of the pixel
            statistics.
        content: where in `features` the means of the deepest map lie, `(start, end)`.
        width: of the language model's embeddings.
        hidden: of the projector's layers.
        context: width to which what is known of the whole picture is reduced.
        quality_tokens, content_tokens: how many soft tokens of each kind.
        dropout: in training.
    """

    features: int
    parts: int
    pixels: int
    content: tuple[int, int]
    width: int
    hidden: int = 384
    context: int = 128
    quality_tokens: int = 4
    content_tokens: int = 2
    dropout: float = 0.1

    @property
    def tokens(self) -> int:
        """Soft tokens a region."""
        return self.quality_tokens + self.content_tokens + PARTS

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class EvidenceBatch:
    """Evidence of N regions of any pictures, side by side.

    Attributes:
        quality: `[N, Q]`: features, pixels and geometry.
        context: `[N, C]`: the picture's features and pixels.
        parts: `[N, 4, S]`.
    """

    quality: Tensor
    context: Tensor
    parts: Tensor

    @classmethod
    def of(cls, pictures: Sequence[RegionEvidence]) -> EvidenceBatch:
        """All regions of the pictures, in order."""
        quality = [torch.cat([e.features, e.pixels, e.geometry], 1) for e in pictures]
        context = [
            torch.cat([e.context, e.context_pixels]).expand(len(e.features), -1) for e in pictures
        ]
        parts = [e.parts for e in pictures]
        return cls(torch.cat(quality), torch.cat(context), torch.cat(parts))

    def __len__(self) -> int:
        return len(self.quality)

    def at(self, index: Tensor) -> EvidenceBatch:
        """Some of the regions."""
        return EvidenceBatch(self.quality[index], self.context[index], self.parts[index])

    def to(self, device: torch.device | str) -> EvidenceBatch:
        return EvidenceBatch(
            self.quality.to(device), self.context.to(device), self.parts.to(device)
        )


class Projector(nn.Module):
    """Evidence → soft tokens `[N, tokens, width]`."""

    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__()
        self.config = config
        quality = config.features + config.pixels + GEOMETRY
        context = config.features + config.pixels
        hidden = config.hidden
        for name, width in (("quality", quality), ("context", context), ("part", config.parts)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_scale", torch.ones(width))
        self.context = nn.Linear(context, config.context)
        self.quality = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(quality, hidden),
        )
        self.mix = nn.Sequential(
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden + config.context, hidden),
            nn.GELU(),
        )
        self.quality_out = nn.Linear(hidden, config.quality_tokens * config.width)
        start, end = config.content
        self.content = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(end - start, hidden), nn.GELU()
        )
        self.content_out = nn.Linear(hidden, config.content_tokens * config.width)
        self.part = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(config.parts, hidden), nn.GELU()
        )
        self.part_out = nn.Linear(hidden, config.width)
        self.norm = nn.RMSNorm(config.width)

    def fit(self, evidence: EvidenceBatch, embedding_size: float) -> None:
        """Set what standardises the evidence, and the size of tokens.

        Args:
            evidence: of many regions.
            embedding_size: root mean square of the language model's embeddings.
        """
        for name, values in (
            ("quality", evidence.quality),
            ("context", evidence.context),
            ("part", evidence.parts.flatten(0, 1)),
        ):
            deviation, mean = torch.std_mean(values.double(), 0)
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_scale").copy_(1 / deviation.clamp_min(1e-3))
        nn.init.constant_(self.norm.weight, embedding_size)

    def standardised(self, name: str, values: Tensor) -> Tensor:
        """Zero mean and unit deviation over the training regions, outliers held back."""
        mean, scale = getattr(self, f"{name}_mean"), getattr(self, f"{name}_scale")
        scaled: Tensor = ((values - mean) * scale).clamp(-6, 6)
        return scaled

    def hidden(self, evidence: EvidenceBatch) -> tuple[Tensor, Tensor, Tensor]:
        """What is known before it becomes tokens: quality, content and parts."""
        quality = self.standardised("quality", evidence.quality)
        context = self.context(self.standardised("context", evidence.context))
        mixed = self.mix(torch.cat([self.quality(quality), context], 1))
        start, end = self.config.content
        content = self.content(quality[:, start:end])
        return mixed, content, self.part(self.standardised("part", evidence.parts))

    def tokens_of(self, hidden: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Soft tokens `[N, tokens, width]` of what `hidden` gave."""
        mixed, content, parts = hidden
        width = self.config.width
        tokens = torch.cat(
            [
                self.quality_out(mixed).unflatten(1, (-1, width)),
                self.content_out(content).unflatten(1, (-1, width)),
                self.part_out(parts),
            ],
            1,
        )
        normed: Tensor = self.norm(tokens)
        return normed

    def forward(self, evidence: EvidenceBatch) -> Tensor:
        return self.tokens_of(self.hidden(evidence))
