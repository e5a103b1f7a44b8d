"""What the frequencies in a region say of quality: the statistics of small cosine transforms.

Blocks of 8×8 pixels, half overlapping, are transformed as JPEG does it (Ahmed, Natarajan & Rao, IEEE
Trans. Computers C-23(1), 1974). What compression, resampling, sharpening, motion and noise do to a
picture, they do to single frequencies: statistics of transform coefficients are the classical
evidence of blind assessment (Saad, Bovik & Charrier, BLIINDS-II, IEEE TIP 21(8), 2012).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

_LIGHT_BLOCK, _COLOUR_BLOCK = 8, 4
_STEP = 4
_ROUNDED_AWAY = 0.75
_SOFT_ZERO = 0.5

SPECTRAL_EVIDENCE = 2 * (2 * _LIGHT_BLOCK**2 + 2 * _COLOUR_BLOCK**2) + 2 * _LIGHT_BLOCK**2
"""How many numbers describe one region."""


@torch.inference_mode()
def spectral_evidence(
    pixels: npt.NDArray[np.uint8], labels: npt.NDArray[Any], regions: int
) -> Tensor:
    """Describe each region by its frequencies.

    For light, light at half size, and the two colour differences (in blocks of 4×4): mean and
    deviation of the logarithm of every coefficient's magnitude over the blocks whose middle lies in
    the region. For light also the share of coefficients that are zero, on JPEG's grid of blocks, and
    how much it is lower off that grid.

    Args:
        pixels: RGB `[H, W, 3]`.
        labels: region ids `[H, W]`, 0 to `regions` − 1.
        regions: how many there are.

    Returns:
        `[regions + 1, SPECTRAL_EVIDENCE]`; the last row describes the whole picture. Regions
        without the middle of a block get zeros, as does a picture smaller than two blocks.
    """
    found = torch.zeros(regions + 1, SPECTRAL_EVIDENCE)
    if min(pixels.shape[:2]) < 2 * _LIGHT_BLOCK:
        return found
    rgb = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    colours = ((rgb[2] - light) * 0.564, (rgb[0] - light) * 0.713)
    half = F.avg_pool2d(light[None, None], 2)[0, 0]
    coefficients = _transformed(light, _LIGHT_BLOCK)
    pools = _Pools(labels, regions)
    parts = [
        *_magnitudes(coefficients, pools, 1),
        *_zeros(coefficients, pools),
        *(m for c in colours for m in _magnitudes(_transformed(c, _COLOUR_BLOCK), pools, 1)),
        *_magnitudes(_transformed(half, _LIGHT_BLOCK), pools, 2),
    ]
    return torch.cat(parts, 1, out=found)


class _Pools:
    """Means over the regions that the middles of blocks lie in; the last row is the picture's."""

    def __init__(self, labels: npt.NDArray[Any], regions: int) -> None:
        self.labels, self.regions = labels, regions

    def mean(self, values: Tensor, step: int, first: int) -> Tensor:
        """Of values `[C, h, w]` whose middles lie at `first + step · i` pixels: `[K + 1, C]`."""
        rows, columns = (first + step * np.arange(side) for side in values.shape[1:])
        at = self.labels[rows[:, None], columns[None]].astype(np.int64)
        index = torch.from_numpy(at).flatten()
        flat = values.flatten(1).T
        counts = torch.bincount(index, minlength=self.regions).float()
        sums = torch.zeros(self.regions, flat.shape[1]).index_add_(0, index, flat)
        means = sums / counts.clamp_min(1)[:, None]
        return torch.cat([means, flat.mean(0, keepdim=True)])


def _magnitudes(coefficients: Tensor, pools: _Pools, scale: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of log magnitudes; `scale` is how many pixels one of the plane spans."""
    size = math.isqrt(len(coefficients))
    logs = (coefficients.abs() + _SOFT_ZERO).log_()
    step, first = _STEP * scale, size // 2 * scale
    mean = pools.mean(logs, step, first)
    square = pools.mean(logs.square_(), step, first)
    return mean, (square - mean.square()).clamp_min(0).sqrt()


def _zeros(coefficients: Tensor, pools: _Pools) -> tuple[Tensor, Tensor]:
    """The shares of zeros on JPEG's grid, and what is added to them off it."""
    zero = (coefficients.abs() < _ROUNDED_AWAY).float()
    middle, step = _LIGHT_BLOCK // 2, _LIGHT_BLOCK
    on = pools.mean(zero[:, ::2, ::2], step, middle)
    off = pools.mean(zero[:, 1::2, 1::2], step, middle + _STEP)
    return on, off - on


def _transformed(plane: Tensor, size: int) -> Tensor:
    """Coefficients `[size², h, w]` of blocks every `_STEP` pixels of a plane `[H, W]`."""
    places = torch.arange(size).float()
    waves = torch.cos(math.pi * (2 * places[None] + 1) * places[:, None] / (2 * size))
    waves *= math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    kernels = torch.einsum("ua,vb->uvab", waves, waves).reshape(size**2, 1, size, size)
    return F.conv2d(plane[None, None], kernels, stride=_STEP)[0]
