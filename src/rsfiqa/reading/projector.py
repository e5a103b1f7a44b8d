"""From evidence to soft tokens: the bridge between the backbones and the language model.

As in LLaVA (Liu et al., arXiv 2304.08485) a small network turns image features into vectors in the
language model's own embedding space. Here each region becomes a few tokens of three kinds: how it
fares, one a dimension, from everything known of it and of its picture; what it shows, from the
deepest features; and four finer tokens, one for each quarter of it.

A token of quality is spelled in the language model's own words: a first guess of the level, as the
mean of the level words' embeddings, and beside it whatever else is worth saying.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rsfiqa.encoders.grid import CELL
from rsfiqa.reading.evidence import GEOMETRY, PARTS, PIXEL_STATISTICS, RegionEvidence
from rsfiqa.types import DIMENSIONS, LEVELS

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridEncoder


_ASIDE = 0.5
"""How loud the rest of a quality token is at first, beside the level words."""


@dataclass(frozen=True)
class ProjectorConfig:
    """Sizes of a projector; saved beside its weights.

    Attributes:
        features, parts, pixels: widths of `RegionEvidence.features`, of one part, and of the pixel
            statistics.
        fine: where in `features` the maps lie that see faults: shallow, or at native resolution;
            `(start, end)` of each.
        content: the same of the maps that see what things are: deep ones.
        width: of the language model's embeddings.
        hidden: of the layers that make tokens.
        pixel_hidden, fine_hidden, deep_hidden, context_hidden: widths to which each kind of evidence
            of quality is brought by itself: pixels, shallow features, deep ones (a background may
            be blurred, a subject may not), the picture's pixels. Apart, and few: joined in one wide
            layer they were learnt by heart.
        content_tokens: how many soft tokens say what the region shows.
    """

    features: int
    parts: int
    pixels: int
    fine: tuple[tuple[int, int], ...]
    content: tuple[tuple[int, int], ...]
    width: int
    hidden: int = 512
    pixel_hidden: int = 384
    fine_hidden: int = 256
    deep_hidden: int = 192
    context_hidden: int = 64
    content_tokens: int = 2

    @property
    def tokens(self) -> int:
        """Soft tokens a region."""
        return len(DIMENSIONS) + self.content_tokens + PARTS

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProjectorConfig:
        """Read back what `to_dict` gave, through JSON too.

        Raises:
            TypeError: a size is missing or unknown.
        """
        spans = {
            name: tuple((int(start), int(end)) for start, end in data[name])
            for name in ("fine", "content")
            if name in data
        }
        return cls(**{**data, **spans})

    @classmethod
    def of(cls, encoder: GridEncoder, width: int, **sizes: int) -> ProjectorConfig:
        """The sizes for an encoder's features.

        Fine are the first backbone's shallowest map and all maps of backbones at native resolution
        down to a sixteenth of it; content are the first backbone's two deepest maps and the deepest
        of every other.
        """
        fine: list[tuple[int, int]] = []
        content: list[tuple[int, int]] = []
        whole = sum(encoder.groups)
        groups = iter(encoder.groups)
        at = 0
        for number, backbone in enumerate(encoder.backbones):
            native = backbone.input_size == "native"
            last = len(backbone.channels) - 1
            for depth, reduction in enumerate(backbone.reductions):
                size = next(groups)
                if (native and reduction <= CELL) or (not native and depth == 0):
                    fine += [(at, at + size), (whole + at, whole + at + size)]
                if depth == last or (number == 0 and depth == last - 1):
                    content.append((at, at + size))
                at += size
        return cls(
            features=2 * whole,
            parts=encoder.backbones[0].channels[-1],
            pixels=PIXEL_STATISTICS,
            fine=tuple(fine),
            content=tuple(content),
            width=width,
            **sizes,
        )


@dataclass(frozen=True, eq=False)
class EvidenceBatch:
    """Evidence of N regions of any pictures, side by side.

    Attributes:
        features: `[N, F]`.
        pixels: `[N, P]`: pixel statistics and geometry.
        context: `[N, C]`: the picture's pixel statistics.
        parts: `[N, 4, S]`.
    """

    features: Tensor
    pixels: Tensor
    context: Tensor
    parts: Tensor

    @classmethod
    def of(cls, pictures: Sequence[RegionEvidence]) -> EvidenceBatch:
        """All regions of the pictures, in order."""
        return cls(
            torch.cat([e.features for e in pictures]),
            torch.cat([torch.cat([e.pixels, e.geometry], 1) for e in pictures]),
            torch.cat([e.context.expand(len(e.features), -1) for e in pictures]),
            torch.cat([e.parts for e in pictures]),
        )

    @classmethod
    def joined(cls, batches: Sequence[EvidenceBatch]) -> EvidenceBatch:
        """Several batches one behind the other."""
        return cls(*(torch.cat(values) for values in zip(*map(astuple, batches), strict=True)))

    def __len__(self) -> int:
        return len(self.features)

    def map(self, change: Callable[[Tensor], Tensor]) -> EvidenceBatch:
        """The same with every tensor changed."""
        return EvidenceBatch(*map(change, astuple(self)))

    def at(self, index: Tensor) -> EvidenceBatch:
        """Some of the regions."""
        return self.map(lambda values: values[index])

    def to(self, device: torch.device | str) -> EvidenceBatch:
        return self.map(lambda values: values.to(device))

    def float(self) -> EvidenceBatch:
        return self.map(Tensor.float)

    def half(self) -> EvidenceBatch:
        return self.map(Tensor.half)


def astuple(batch: EvidenceBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The tensors of a batch, without copies (as `dataclasses.astuple` would make)."""
    return batch.features, batch.pixels, batch.context, batch.parts


class Projector(nn.Module):
    """Evidence → soft tokens `[N, tokens, width]`."""

    fine_index: Tensor
    content_index: Tensor
    level_words: Tensor

    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.register_buffer("fine_index", _index(config.fine), persistent=False)
        self.register_buffer("content_index", _index(config.content), persistent=False)
        fine, content = len(_index(config.fine)), len(_index(config.content))
        widths = {
            "features": config.features,
            "pixels": config.pixels + GEOMETRY,
            "context": config.pixels,
            "part": config.parts,
        }
        for name, width in widths.items():
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_scale", torch.ones(width))
        self.pixels = _reduced(widths["pixels"], config.pixel_hidden, 0.1)
        self.fine = _reduced(fine, config.fine_hidden, 0.2)
        self.deep = _reduced(content, config.deep_hidden, 0.4)
        self.context = _reduced(widths["context"], config.context_hidden, 0.2)
        joined = (
            config.pixel_hidden + config.fine_hidden + config.deep_hidden + config.context_hidden
        )
        self.mix = nn.Sequential(
            nn.GELU(),
            nn.Dropout(0.3),
            nn.Linear(joined, hidden),
            nn.GELU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Dropout(0.3),
        )
        self.levels = nn.Linear(hidden, len(DIMENSIONS) * len(LEVELS))
        self.register_buffer("level_words", torch.zeros(len(LEVELS), config.width))
        self.quality_out = nn.Linear(hidden, len(DIMENSIONS) * config.width)
        self.content = nn.Sequential(_reduced(content, hidden, 0.3), nn.GELU())
        self.content_out = nn.Linear(hidden, config.content_tokens * config.width)
        self.part = nn.Sequential(_reduced(config.parts, hidden, 0.3), nn.GELU())
        self.part_out = nn.Linear(hidden, config.width)
        self.norm = nn.RMSNorm(config.width, eps=1e-6)
        self.aside = nn.RMSNorm(config.width, eps=1e-6)

    def fit(self, evidence: EvidenceBatch, level_words: Tensor, embedding_size: float) -> None:
        """Set what standardises the evidence, and the size and the words of tokens.

        Args:
            evidence: of many regions.
            level_words: the language model's embeddings of the level words `[5, width]`, best
                first.
            embedding_size: root mean square of all its embeddings.
        """
        for name, values in (
            ("features", evidence.features),
            ("pixels", evidence.pixels),
            ("context", evidence.context),
            ("part", evidence.parts.flatten(0, 1)),
        ):
            deviation, mean = torch.std_mean(values.double(), 0)
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_scale").copy_(1 / deviation.clamp_min(1e-3))
        self.level_words.copy_(level_words)
        nn.init.constant_(self.norm.weight, embedding_size)
        nn.init.constant_(self.aside.weight, _ASIDE * embedding_size)

    def standardised(self, name: str, values: Tensor) -> Tensor:
        """Zero mean and unit deviation over the training regions, outliers held back."""
        mean, scale = getattr(self, f"{name}_mean"), getattr(self, f"{name}_scale")
        scaled: Tensor = ((values - mean) * scale).clamp(-6, 6)
        return scaled

    def hidden(self, evidence: EvidenceBatch) -> tuple[Tensor, Tensor, Tensor]:
        """What is known before it becomes tokens: quality, content and parts."""
        features = self.standardised("features", evidence.features)
        shown = features[:, self.content_index]
        fine, deep = self.fine(features[:, self.fine_index]), self.deep(shown)
        pixels = self.pixels(self.standardised("pixels", evidence.pixels))
        context = self.context(self.standardised("context", evidence.context))
        return (
            self.mix(torch.cat([pixels, fine, deep, context], 1)),
            self.content(shown),
            self.part(self.standardised("part", evidence.parts)),
        )

    def guesses(self, quality: Tensor) -> Tensor:
        """First guesses of the ratings, as logits `[N, 5, 5]`, of the first that `hidden` gave."""
        found: Tensor = self.levels(quality).unflatten(1, (len(DIMENSIONS), len(LEVELS)))
        return found

    def tokens_of(self, hidden: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Soft tokens `[N, tokens, width]` of what `hidden` gave."""
        quality, content, parts = hidden
        width = self.config.width
        spelled = self.guesses(quality).softmax(-1) @ self.level_words
        aside = self.aside(self.quality_out(quality).unflatten(1, (-1, width)))
        shown = torch.cat(
            [self.content_out(content).unflatten(1, (-1, width)), self.part_out(parts)], 1
        )
        return torch.cat([spelled + aside, self.norm(shown)], 1)

    def forward(self, evidence: EvidenceBatch) -> Tensor:
        return self.tokens_of(self.hidden(evidence))


def _reduced(wide: int, narrow: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(wide, narrow))


def _index(spans: Sequence[tuple[int, int]]) -> Tensor:
    return torch.cat([torch.arange(start, end) for start, end in spans])
