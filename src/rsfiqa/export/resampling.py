"""Resampling written as matrices, so that a graph can take pictures and grids of any size.

Torch's adaptive pooling and antialiased resizing have no counterpart in ONNX that takes its output
size from another input. A separable resampling is one matrix a side, and such a matrix follows from
the two sizes by arithmetic: `rows @ picture @ columnsᵀ` is the resampled picture, and both sizes may
be known at run time only. Every function gives what the torch function it names gives.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BICUBIC = -0.5
"""Torch's and Pillow's coefficient for antialiased bicubic resizing."""


def resample(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pictures `[..., H, W]` by matrices `[h, H]` and `[w, W]`: `[..., h, w]`."""
    return rows @ pictures @ columns.transpose(0, 1)


def to_cells(size: int, cells: int) -> Tensor:
    """Means over cells, after bilinear interpolation where there are fewer positions than cells.

    As `adaptive_avg_pool2d` along one side, behind `interpolate(mode="bilinear")` where `size` is
    below `cells`.

    Returns:
        `[cells, size]`; rows sum to 1.

    Example:
        >>> to_cells(4, 2)
        tensor([[0.5000, 0.5000, 0.0000, 0.0000],
                [0.0000, 0.0000, 0.5000, 0.5000]])
    """
    enough = torch.zeros(1) + size >= cells
    return torch.where(enough, _averaging(size, cells), _bilinear(size, cells))


def bicubic(size: int, wanted: int) -> Tensor:
    """As `interpolate(mode="bicubic", antialias=True)` along one side: `[wanted, size]`.

    Example:
        >>> bicubic(3, 3)
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
    """
    scale = size / wanted
    stretch = (torch.zeros(1) + scale).clamp_min(1)
    centre = (torch.arange(wanted)[:, None] + 0.5) * scale
    weights = _cubic((torch.arange(size) + 0.5 - centre) / stretch)
    return weights / weights.sum(1, keepdim=True)


def _averaging(size: int, cells: int) -> Tensor:
    cell, position = torch.arange(cells)[:, None], torch.arange(size)
    first = cell * size // cells
    end = ((cell + 1) * size + cells - 1) // cells
    inside = (position >= first) & (position < end)
    return inside.float() / (end - first)


def _bilinear(size: int, wanted: int) -> Tensor:
    scale = size / wanted
    centre = ((torch.arange(wanted)[:, None] + 0.5) * scale - 0.5).clamp(0, size - 1)
    return (1 - (torch.arange(size) - centre).abs()).clamp_min(0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel, which is zero from 2 on."""
    a, x = _BICUBIC, distance.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * a * x - 4 * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
