"""Region-Aware Semantic Attention (RSA) over the feature map of any backbone.

The idea, attention constrained to regions and aggregated into one global map, is that of RSFIQA
(arXiv 2508.07818), known to us by its abstract; queries, gate and statistics are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rsfiqa.scoring.segments import at_positions, membership, segment_softmax, segment_sum
from rsfiqa.scoring.semantics import Semantics, SemanticTokens

_VARIANCE_FLOOR = 1e-6


@dataclass(frozen=True)
class RSAOutput:
    """What RSA says of a batch; K is the largest number of regions in it.

    Attributes:
        attention: the global attention map `[B, h, w]`; sums to 1.
        local: per-region maps in one `[B, h, w]`, since regions do not overlap; sums to 1 inside
            each region. `attention` is `local` times the weight of each position's region.
        weights: `[B, K]`, sum to 1; 0 for regions that do not exist.
        mean, deviation: of the features under each region's map, `[B, K, C]`; deviations start
            at 0.001, where the square root still has a gradient.
        attended: what the region's tokens gathered from its positions, `[B, K, d]`.
        semantic: the mean of the region's semantic tokens, `[B, K, d]`.
        shift: what each region's semantics add to the features of all its positions, `[B, K, C]`;
            zero at initialisation. `enrich` adds it to a feature map.

    All are in fp32 (fp64 for features in fp64), under autocast too.
    """

    attention: Tensor
    local: Tensor
    weights: Tensor
    mean: Tensor
    deviation: Tensor
    attended: Tensor
    semantic: Tensor
    shift: Tensor


def enrich(features: Tensor, labels: Tensor, shift: Tensor) -> Tensor:
    """The feature map `[B, C, h, w]` with each region's semantics added to its positions.

    Args:
        features: `[B, C, h, w]`.
        labels: `[B, h, w]`, as given to `RSAModule`.
        shift: `[B, K, C]`, of its output.
    """
    members = membership(labels.flatten(1), shift.shape[1], features.dtype)
    return features + at_positions(shift, members).transpose(1, 2).reshape_as(features)


class RSAModule(nn.Module):
    """Region-Aware Semantic Attention over the feature map of any network.

    Inside each region, queries made from its semantic tokens and its pooled features attend to its
    positions and to no others; a gate weighs the regions; the global map is each region's map times
    its weight. At initialisation attention is even inside regions, weights are areas, and semantics
    shift nothing: training starts from region average pooling.

    It needs nothing else of this package: give it a feature map and the region of each position.
    What a network does with the output is its own affair; `out.mean` and `out.deviation` describe each
    region, `out.weights` says how much it counts, and `(out.weights[..., None] * out.mean).sum(1)`
    stands where global average pooling stood. `enrich` puts the regions' semantics back onto the map.

    Args:
        channels: C of the feature map.
        dim: width of tokens, queries and keys, d.
        heads: attention heads; divides `dim`.
        description_dim: width of the reader's sentence embeddings.
        token_drop: see `SemanticTokens`.

    Shape:
        - features: `[B, C, h, w]`, finite.
        - labels: `[B, h, w]`, integers: the region of each position, 0..K-1, or −1 for positions that
          are padding and belong to no region; they get no attention and change nothing. A picture
          of nothing but padding, which fills a batch up, gets zeros in the place of maps and weights.
        - area: `[B, K]`, the fraction of the picture that each region takes; 0 for regions that a
          picture with fewer than K regions does not have. None counts positions, with K the highest
          label plus 1 (which a compiler cannot know: give areas where the module is compiled or
          exported).
        - semantics: readings of the regions, or None.
        - output: see `RSAOutput`.

    Complexity:
        With N = h·w positions, Q = 7 queries a region and no loop over regions: time
        O(N·C·d + N·K·(Q·d + C)) and memory O(N·(C + Q·d + K)) a picture, the same for however the
        positions are divided. One layer of unmasked attention takes O(N·C·d + N²·d) time. `rsfiqa
        bench rsa` measures both.

    Precision:
        Under `torch.autocast` the linear maps run in the lower precision; sums over regions, softmax
        and deviations stay in fp32, so that maps and weights sum to 1. Parameters stay in fp32.

    Raises:
        ValueError: `heads` does not divide `dim`; shapes do not fit together; or, looked at on the CPU
            only, a label is outside its range.

    Example:
        >>> rsa = RSAModule(channels=8, dim=16, heads=2)
        >>> labels = torch.tensor([[[0, 0, 1], [0, 1, 1]]])
        >>> out = rsa(torch.randn(1, 8, 2, 3), labels)
        >>> out.weights.tolist(), round(out.attention.sum().item(), 4)
        ([[0.5, 0.5]], 1.0)
    """

    def __init__(
        self,
        channels: int,
        *,
        dim: int = 64,
        heads: int = 4,
        description_dim: int = 384,
        token_drop: float = 0.3,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim must be a multiple of heads; got dim={dim}, heads={heads}.")
        self.heads = heads
        self.tokens = SemanticTokens(dim, description_dim, token_drop)
        self.pooled = nn.Linear(channels, dim)
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(channels, dim)
        self.value = nn.Linear(channels, dim)
        opening = nn.Linear(dim, 1)
        self.gate = nn.Sequential(nn.Linear(2 * dim + 1, dim), nn.GELU(), opening)
        self.residual = nn.Linear(dim, channels)
        for layer in (self.query, opening, self.residual):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        features: Tensor,
        labels: Tensor,
        area: Tensor | None = None,
        semantics: Semantics | None = None,
    ) -> RSAOutput:
        """Attend region by region; see the class for shapes."""
        self._require_fit(features, labels, area)
        batch, _, height, width = features.shape
        regions = int(labels.max()) + 1 if area is None else area.shape[1]
        # Half precision cannot count the positions of a region.
        exact = torch.promote_types(features.dtype, torch.float32)
        members = membership(labels.flatten(1), regions, exact)
        # A view: products take it as it lies, and the largest tensor of all is never copied.
        positions = features.to(exact).flatten(2).transpose(1, 2)

        counts = members.sum(1)
        if area is None:
            area = counts / counts.sum(1, keepdim=True).clamp_min(1)
        pooled = segment_sum(positions, members) / counts.clamp_min(1)[..., None]
        tokens = self.tokens(semantics, batch, regions)
        semantic = tokens.mean(2).to(exact)
        # A region's semantics shift all its positions alike. That moves what is gathered from them
        # and leaves their attention and deviation as they are, so the shift is added afterwards
        # and the large tensor of positions is never copied.
        shift = self.residual(semantic).to(exact)

        queries = torch.cat([self.pooled(pooled)[:, :, None], tokens], 2)
        keys, values = self._project(positions)
        per_query = self._attend(queries, keys, members)
        local = per_query.mean((2, 3))
        values = values.unflatten(-1, (self.heads, -1))
        attended = segment_sum((per_query.mean(2)[..., None] * values).flatten(-2), members)
        attended = attended + nn.functional.linear(shift, self.value.weight)

        shares = members * local[..., None]
        mean = segment_sum(positions, shares)
        deviation = segment_sum(positions.square(), shares) - mean.square()

        weights = self._weigh(semantic, attended, area, counts)
        attention = local * at_positions(weights[..., None], members).squeeze(-1)
        return RSAOutput(
            attention=attention.view(batch, height, width),
            local=local.view(batch, height, width),
            weights=weights,
            mean=mean + shift,
            deviation=deviation.clamp_min(_VARIANCE_FLOOR).sqrt(),
            attended=attended,
            semantic=semantic,
            shift=shift,
        )

    def _require_fit(self, features: Tensor, labels: Tensor, area: Tensor | None) -> None:
        channels = self.key.in_features
        if features.ndim != 4 or features.shape[1] != channels:
            raise ValueError(
                f"features must be [B, {channels}, h, w]; got {tuple(features.shape)}."
            )
        batch, _, height, width = features.shape
        if labels.shape != (batch, height, width):
            raise ValueError(
                f"labels must be {(batch, height, width)}, one for each position of the feature map; "
                f"got {tuple(labels.shape)}."
            )
        if area is not None and (area.ndim != 2 or area.shape[0] != batch):
            raise ValueError(f"area must be [{batch}, K]; got {tuple(area.shape)}.")
        if not torch.compiler.is_compiling() and labels.device.type == "cpu":
            # On an accelerator a look at values would wait for all that is under way.
            lowest, highest = (int(extreme) for extreme in labels.aminmax())
            if lowest < -1 or highest < 0 or (area is not None and highest >= area.shape[1]):
                wanted = "K - 1" if area is None else area.shape[1] - 1
                raise ValueError(
                    f"labels must be in 0..{wanted}, or -1 for padding; got {lowest}..{highest}."
                )

    def _project(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all positions, `[B, N, d]` each, in one product."""
        weight = torch.cat([self.key.weight, self.value.weight])
        bias = torch.cat([self.key.bias, self.value.bias])
        keys, values = (positions @ weight.T + bias).chunk(2, -1)
        return keys, values

    def _attend(self, queries: Tensor, keys: Tensor, members: Tensor) -> Tensor:
        """Attention of each region's Q queries to its own positions: `[B, N, Q, heads]`."""
        count = queries.shape[2]
        keys = keys.unflatten(-1, (1, self.heads, -1))
        asked = at_positions(self.query(queries).flatten(2), members)
        asked = asked.unflatten(-1, (count, self.heads, -1))
        logits = (asked * keys).sum(-1) * keys.shape[-1] ** -0.5
        return segment_softmax(logits.flatten(2), members).view_as(logits)

    def _weigh(self, semantic: Tensor, attended: Tensor, area: Tensor, counts: Tensor) -> Tensor:
        """Softmax over the picture's regions of log area plus a learned gate.

        A region without a position on the grid has nothing to show for itself and gets no weight,
        so that the global map still holds all of it. A picture without any, which is padding
        throughout, has no weights: a softmax over nothing would give it and the whole batch's
        gradients no numbers.
        """
        there = (area > 0) & (counts > 0)
        log_area = area.clamp_min(1e-8).log()
        inputs = torch.cat([semantic, attended, log_area[..., None]], -1)
        logits: Tensor = log_area + self.gate(inputs).squeeze(-1)
        weights = logits.masked_fill(~there, -torch.inf).softmax(1)
        return torch.where(there, weights, 0.0)
