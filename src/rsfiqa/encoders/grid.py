"""A picture's features on one grid: what region-aware attention reads.

Backbones differ in depth and stride. Their maps are brought to one grid of positions: finer maps
by area averages together with their deviation inside each cell (so that noise and blur far below
the cell size stay visible), coarser ones by bilinear interpolation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rsfiqa.encoders.backbone import FeatureMaps, TimmBackbone
from rsfiqa.encoders.fine_tuned import FineTunedBranch
from rsfiqa.errors import ConfigError

CELL = 16
"""Pixels a grid cell covers along each side, until the grid is full."""
MAX_CELLS = 1024
MIN_SIDE, MAX_SIDE = 8, 128
SEMANTIC_DEPTHS = 3
"""How many of the first backbone's deepest maps say what belongs together."""


@dataclass(frozen=True)
class GridFeatures:
    """Features of a batch of pictures of one size.

    Attributes:
        positions: `[B, C, h, w]`, all maps of all backbones side by side.
        context: `[B, D]`, the same for the whole picture: class tokens, and mean and deviation of
            every map at its own resolution; then the logit of each fine-tuned branch.
        semantic: `[B, S, h, w]`, the three deepest maps of the first backbone, each of unit length at
            every position, for segmenting.
        depths: how many maps `semantic` holds side by side, all of one width.
    """

    positions: Tensor
    context: Tensor
    semantic: Tensor
    depths: int = SEMANTIC_DEPTHS

    def semantic_of(self, picture: int) -> npt.NDArray[np.float32]:
        """The semantic map of one picture of the batch `[S, h, w]`, as segmenters take it."""
        semantic: npt.NDArray[np.float32] = self.semantic[picture].float().cpu().numpy()
        return semantic


def grid_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the grid for a picture: about 16 pixels a cell, at most 1024 cells.

    Example:
        >>> grid_shape(512, 512), grid_shape(768, 1024), grid_shape(32, 32), grid_shape(40, 4000)
        ((32, 32), (28, 36), (8, 8), (8, 128))
    """
    scale = min(1.0, (MAX_CELLS / (height * width / CELL**2)) ** 0.5)
    rows = min(max(round(height / CELL * scale), MIN_SIDE), MAX_SIDE)
    columns = min(max(round(width / CELL * scale), MIN_SIDE), MAX_SIDE)
    if rows * columns > MAX_CELLS:
        # Rounding or a clamped short side: give way on the long side.
        if rows >= columns:
            rows = MAX_CELLS // columns
        else:
            columns = MAX_CELLS // rows
    return rows, columns


class GridEncoder(nn.Module):
    """Several backbones side by side, on one grid.

    Args:
        backbones: at least one; the first one's three deepest maps serve as `semantic`.
        branches: fine-tuned ones, by the position of their backbone.

    Raises:
        ConfigError: no backbone is given.
    """

    def __init__(
        self,
        backbones: Sequence[TimmBackbone],
        branches: Mapping[int, FineTunedBranch] | None = None,
    ) -> None:
        super().__init__()
        if not backbones:
            raise ConfigError("a grid encoder needs at least one backbone.")
        self.backbones = cast("Sequence[TimmBackbone]", nn.ModuleList(backbones))
        self._branches = nn.ModuleDict({str(i): b for i, b in sorted((branches or {}).items())})
        self._precision = "fp32"

    @property
    def name(self) -> str:
        """Identifies the features: backbones, depths and grid."""
        parts = [
            f"{b.name}[{','.join(map(str, b.indices))}]@{b.input_size}" for b in self.backbones
        ]
        return "+".join(parts) + f"/{CELL}px{MAX_CELLS}"

    @property
    def precision(self) -> str:
        """`fp32`, or `bf16` after `to_bf16`."""
        return self._precision

    def to_bf16(self) -> None:
        """Run the backbones with a patch grid in bfloat16.

        Convolutions at native resolution stay in fp32: they are what sees faint noise.
        """
        for index, backbone in enumerate(self.backbones):
            if backbone.input_size == "grid":
                backbone.model.to(torch.bfloat16)
                if (branch := self.branch(index)) is not None:
                    branch.tail.to(torch.bfloat16)
                    branch.norm.to(torch.bfloat16)
        self._precision = "bf16"

    @property
    def groups(self) -> tuple[int, ...]:
        """Channels of each map in `GridFeatures.positions`, deviations counted to their map."""
        return tuple(
            channels * (2 if _has_deviation(backbone, reduction) else 1)
            for backbone in self.backbones
            for channels, reduction in zip(backbone.channels, backbone.reductions, strict=True)
        )

    @property
    def context_dim(self) -> int:
        """Width of `GridFeatures.context`."""
        return sum(
            channels * (3 if backbone.has_token else 2)
            for backbone in self.backbones
            for channels in backbone.channels
        ) + len(self._branches)

    @property
    def branches(self) -> dict[int, FineTunedBranch]:
        """Fine-tuned branches by the position of their backbone."""
        return {int(i): cast(FineTunedBranch, b) for i, b in self._branches.items()}

    def branch(self, index: int) -> FineTunedBranch | None:
        """The fine-tuned branch of a backbone, if it has one."""
        return self.branches.get(index)

    def without_branches(self) -> GridEncoder:
        """The same backbones, shared, with nothing behind the context."""
        frozen = GridEncoder(self.backbones)
        frozen._precision = self._precision
        return frozen

    def maps(self, index: int, pixels: Tensor) -> FeatureMaps:
        """What one backbone says of RGB pictures `[B, 3, H, W]` in 0..1, sized as it takes them."""
        rows, columns = grid_shape(pixels.shape[-2], pixels.shape[-1])
        backbone = self.backbones[index]
        features: FeatureMaps = backbone(_sized(pixels, backbone, rows, columns))
        return features

    @torch.inference_mode()
    def forward(self, pixels: Tensor) -> GridFeatures:
        """Features of RGB pictures `[B, 3, H, W]` in 0..1, all of one size."""
        return self.features(pixels)

    def features(self, pixels: Tensor) -> GridFeatures:
        """The same with gradients, where autograd records them."""
        rows, columns = grid_shape(pixels.shape[-2], pixels.shape[-1])
        positions: list[Tensor] = []
        context: list[Tensor] = []
        deepest: list[Tensor] = []
        verdicts: list[Tensor] = []
        for index, backbone in enumerate(self.backbones):
            features = self.maps(index, pixels)
            if (branch := self.branch(index)) is not None:
                verdicts.append(branch(features)[:, None])
            context.extend(features.tokens)
            cells: list[Tensor] = []
            for feature_map, reduction in zip(features.maps, backbone.reductions, strict=True):
                cells.append(_mean_on_grid(feature_map, rows, columns))
                positions.append(cells[-1])
                if _has_deviation(backbone, reduction):
                    positions.append(_deviation_on_grid(feature_map, cells[-1]))
                deviation, mean = torch.std_mean(feature_map, dim=(-2, -1), correction=0)
                context.extend([mean, deviation])
            deepest = deepest or cells[-SEMANTIC_DEPTHS:]
        semantic = torch.cat([F.normalize(m, dim=1) for m in deepest], 1)
        whole = torch.cat([*context, *verdicts], 1)
        return GridFeatures(torch.cat(positions, 1), whole, semantic, len(deepest))


def to_tensor(pixels: npt.NDArray[Any]) -> Tensor:
    """uint8 RGB `[H, W, 3]` → float `[1, 3, H, W]` in 0..1."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float().div(255)


def _has_deviation(backbone: TimmBackbone, reduction: int) -> bool:
    """Whether the map is finer than the grid, whatever the picture's size."""
    return backbone.input_size == "native" and reduction < CELL


def _sized(pixels: Tensor, backbone: TimmBackbone, rows: int, columns: int) -> Tensor:
    if backbone.input_size != "grid":
        return pixels
    size = (rows * backbone.patch_size, columns * backbone.patch_size)
    if pixels.shape[-2:] == size:
        return pixels
    return F.interpolate(
        pixels, size=size, mode="bicubic", align_corners=False, antialias=True
    ).clamp(0, 1)


def _mean_on_grid(feature_map: Tensor, rows: int, columns: int) -> Tensor:
    height, width = feature_map.shape[-2:]
    if (height, width) == (rows, columns):
        return feature_map
    if height < rows or width < columns:
        size = (max(height, rows), max(width, columns))
        feature_map = F.interpolate(feature_map, size=size, mode="bilinear", align_corners=False)
    return F.adaptive_avg_pool2d(feature_map, (rows, columns))


def _deviation_on_grid(feature_map: Tensor, mean: Tensor) -> Tensor:
    """Deviation of the map inside each cell; zero where the map is no finer than the grid.

    Where nothing varies, as in a black frame, the gradient is zero too: the square root's own is
    infinite there, and would make all others none.
    """
    rows, columns = mean.shape[-2:]
    variance = _mean_on_grid(feature_map.square(), rows, columns) - mean.square()
    varies = variance > 0
    return torch.where(varies, torch.where(varies, variance, 1.0).sqrt(), 0.0)
