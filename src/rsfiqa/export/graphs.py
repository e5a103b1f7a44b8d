"""What is exported: networks that take and give plain tensors.

Files for other programs have named inputs. Readings are spread over three of them; an all-false
`known` equals having none. Sizes of pictures, grids, batches and partitions stay open.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsfiqa.encoders.backbone import FeatureMaps, TimmBackbone
from rsfiqa.encoders.grid import SEMANTIC_DEPTHS, GridEncoder
from rsfiqa.export.resampling import bicubic, resample, to_cells
from rsfiqa.scoring.model import RegionScorer, ScorerOutput
from rsfiqa.scoring.semantics import Semantics
from rsfiqa.scoring.stem import Stem


class ScorerGraph(nn.Module):
    """Step 3: what the encoder and a reader say of the regions → scores, weights and attention."""

    def __init__(self, scorer: RegionScorer) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(
        self,
        features: Tensor,
        context: Tensor,
        labels: Tensor,
        area: Tensor,
        description: Tensor | None = None,
        ratings: Tensor | None = None,
        known: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `RegionScorer.forward`; the last three are those of `Semantics`, or left out."""
        semantics = None
        if description is not None and ratings is not None and known is not None:
            semantics = Semantics(description, ratings, known)
        out: ScorerOutput = self.scorer(features, context, labels, area, semantics)
        # The twin without regions hands areas on as weights; an output is no input.
        return out.score, out.region_scores, out.weights.clone(), out.attention


class EncoderGraph(nn.Module):
    """`GridEncoder` and `Stem` in arithmetic that leaves every size open: pixels → features.

    The size of the grid comes from outside, as that of a tensor: it follows from the picture's by
    rounding and choosing, which `rsfiqa.encoders.grid.grid_shape` does.
    """

    def __init__(self, encoder: GridEncoder, stem: Stem) -> None:
        super().__init__()
        self.encoder = encoder
        self.stem = stem

    def forward(self, pixels: Tensor, grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures `[B, 3, H, W]` in 0..1 on a grid of the size of `grid` `[h, w]`.

        Returns:
            what the scorer reads, `[B, c, h, w]` and `[B, D]`, and the features that say what belongs
            together, `[B, S, h, w]`, for segmenting.
        """
        rows, columns = grid.shape
        groups = iter(self.encoder.groups)
        positions: list[Tensor] = []
        context: list[Tensor] = []
        deepest: list[Tensor] = []
        verdicts: list[Tensor] = []
        for index, backbone in enumerate(self.encoder.backbones):
            seen: FeatureMaps = backbone(_sized(pixels, backbone, rows, columns))
            if (branch := self.encoder.branch(index)) is not None:
                verdicts.append(branch(seen)[:, None])
            context.extend(seen.tokens)
            means = []
            for feature_map in seen.maps:
                matrices = [
                    to_cells(size, cells)
                    for size, cells in zip(feature_map.shape[-2:], (rows, columns), strict=True)
                ]
                mean = resample(feature_map, *matrices)
                means.append(mean)
                positions.append(mean)
                if next(groups) > feature_map.shape[1]:
                    squares = resample(feature_map.square(), *matrices)
                    positions.append((squares - mean.square()).clamp_min(0).sqrt())
                centre = feature_map.mean((-2, -1), keepdim=True)
                spread = (feature_map - centre).square().mean((-2, -1)).sqrt()
                context.extend([centre[..., 0, 0], spread])
            deepest = deepest or means[-SEMANTIC_DEPTHS:]
        features, standard = self.stem(torch.cat(positions, 1), torch.cat([*context, *verdicts], 1))
        return features, standard, torch.cat([F.normalize(mean, dim=1) for mean in deepest], 1)


class PictureGraph(nn.Module):
    """Encoder, stem and scorer in one: pixels and the regions on the grid → scores and attention."""

    def __init__(self, encoder: EncoderGraph, scorer: ScorerGraph) -> None:
        super().__init__()
        self.encode = encoder
        self.attend = scorer

    def forward(
        self,
        pixels: Tensor,
        labels: Tensor,
        area: Tensor,
        description: Tensor | None = None,
        ratings: Tensor | None = None,
        known: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures `[B, 3, H, W]` in 0..1; for the rest see `ScorerGraph`."""
        features, context, _ = self.encode(pixels, labels[0])
        scores: tuple[Tensor, Tensor, Tensor, Tensor] = self.attend(
            features, context, labels, area, description, ratings, known
        )
        return scores


def _sized(pixels: Tensor, backbone: TimmBackbone, rows: int, columns: int) -> Tensor:
    """The pictures as the backbone takes them: one patch a cell, or their own pixels."""
    if backbone.input_size != "grid":
        return pixels
    height, width = pixels.shape[-2:]
    patch = backbone.patch_size
    across = bicubic(height, rows * patch), bicubic(width, columns * patch)
    return resample(pixels, *across).clamp(0, 1)
