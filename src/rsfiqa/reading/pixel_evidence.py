"""What the pixels of a region say of quality below the patch grid: light, colour, detail, grain.

All of it is statistics over the region's pixels, as shares of a histogram or means, so that every
region of a picture is described in a few passes over the picture, whatever their number. The
measures are the usual ones of blind quality assessment: the Laplacian of Immerkaer's noise
estimate (CVIU 64(2), 1996), gradients at several scales, local contrast, differences across the
8×8 blocks of JPEG against those inside (Wang, Sheikh & Bovik, ICIP 2002), and exact equality of
neighbours, which blocks of pixels and banding leave behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]

_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_LOG_BINS = 10
_LIGHT_BINS = 16
_CHROMA_BINS = 10
_BLOCK = 8
_SCALES = (1, 2, 4)

PIXEL_EVIDENCE = (
    _LIGHT_BINS  # light
    + 2 * _CHROMA_BINS  # saturation and chroma
    + 6  # mean and deviation of opponent colours
    + 4  # clipped and near-clipped shares
    + len(_SCALES) * _LOG_BINS  # gradients
    + 3 * _LOG_BINS  # grain of light and of the two opponent colours
    + _LOG_BINS  # local contrast
    + 6  # grain against neighbours, blocks, equal neighbours
)
"""How many numbers describe one region."""


def pixel_evidence(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[Any], regions: int) -> _Array:
    """Describe each region by its pixels.

    Args:
        pixels: RGB `[H, W, 3]`.
        labels: region ids `[H, W]`, 0 to `regions` − 1.
        regions: how many there are.

    Returns:
        float32 `[regions + 1, PIXEL_EVIDENCE]`; the last row describes the whole picture. Regions
        without a pixel get zeros.
    """
    pool = _Pool(labels, regions)
    rgb = pixels.astype(np.float32) / 255
    light = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    red_green = rgb[..., 0] - rgb[..., 1]
    yellow_blue = (rgb[..., 0] + rgb[..., 1]) / 2 - rgb[..., 2]
    highest, lowest = rgb.max(-1), rgb.min(-1)
    saturation = (highest - lowest) / np.maximum(highest, 1e-3)
    chroma = np.hypot(red_green, yellow_blue)
    found = [
        pool.shares(light, _LIGHT_BINS),
        pool.shares(saturation, _CHROMA_BINS),
        pool.shares(np.sqrt(chroma), _CHROMA_BINS),
        pool.moments(light),
        pool.moments(red_green),
        pool.moments(yellow_blue),
        pool.means(highest >= 0.995, lowest <= 0.005, highest >= 0.96, highest <= 0.06),
    ]
    smaller = light
    for scale in _SCALES:
        if scale > 1:
            smaller = _blurred(smaller)
        found.append(pool.shares(_log_scale(_gradient(smaller, scale)), _LOG_BINS))
    grain = np.abs(_laplacian(light))
    opponents = [np.abs(_laplacian(values)) for values in (red_green, yellow_blue)]
    found += [pool.shares(_log_scale(values), _LOG_BINS) for values in (grain, *opponents)]
    mean = _box(light, 9)
    contrast = np.sqrt(np.maximum(_box(light**2, 9) - mean**2, 0))
    found.append(pool.shares(_log_scale(contrast), _LOG_BINS))
    found.append(_structure(pool, light, pixels, grain))
    return np.concatenate(found, 1)


class _Pool:
    """Sums over regions; the last row is the whole picture."""

    def __init__(self, labels: npt.NDArray[Any], regions: int) -> None:
        self.flat = labels.reshape(-1).astype(np.int64)
        self.regions = regions
        counts = np.bincount(self.flat, minlength=regions)[:regions]
        self.counts = np.append(counts, counts.sum()).astype(np.float64)

    def _with_whole(self, sums: npt.NDArray[Any]) -> _Array:
        sums = np.concatenate([sums, sums.sum(0, keepdims=True)])
        return (sums / np.maximum(self.counts, 1)[:, None]).astype(np.float32)

    def _sum(self, values: npt.NDArray[Any]) -> _Array:
        return np.asarray(np.bincount(self.flat, values.reshape(-1), self.regions))[: self.regions]

    def means(self, *values: npt.NDArray[Any]) -> _Array:
        return self._with_whole(np.stack([self._sum(v) for v in values], 1))

    def moments(self, values: _Array) -> _Array:
        """Mean and deviation."""
        found = self.means(values, values**2)
        found[:, 1] = np.sqrt(np.maximum(found[:, 1] - found[:, 0] ** 2, 0))
        return found

    def shares(self, values: _Array, bins: int) -> _Array:
        """The square roots of a histogram's shares; values lie in 0..1."""
        index = np.minimum((values.reshape(-1) * bins).astype(np.int64), bins - 1)
        counts = np.bincount(self.flat * bins + index, minlength=self.regions * bins)
        return np.sqrt(self._with_whole(counts[: self.regions * bins].reshape(-1, bins)))


def _structure(pool: _Pool, light: _Array, pixels: npt.NDArray[np.uint8], grain: _Array) -> _Array:
    """Mean grain and its peakedness, block edges along both axes, equal neighbours."""
    grain_mean = pool.means(grain, grain**2)
    peaked = np.sqrt(grain_mean[:, 1:]) / (grain_mean[:, :1] + 1e-4)
    across = np.zeros_like(light)
    across[:, 1:] = np.abs(np.diff(light, axis=1))
    down = np.zeros_like(light)
    down[1:] = np.abs(np.diff(light, axis=0))
    columns = np.broadcast_to(np.arange(light.shape[1]) % _BLOCK == 0, light.shape)
    rows = np.broadcast_to((np.arange(light.shape[0]) % _BLOCK == 0)[:, None], light.shape)
    at = pool.means(across * columns, across, down * rows, down)
    share = pool.means(columns, rows)
    blocks = np.stack(
        [
            _ratio(at[:, 0], share[:, 0], at[:, 1]),
            _ratio(at[:, 2], share[:, 1], at[:, 3]),
        ],
        1,
    )
    same_across = np.zeros(light.shape, bool)
    same_across[:, 1:] = (pixels[:, 1:] == pixels[:, :-1]).all(-1)
    same_down = np.zeros(light.shape, bool)
    same_down[1:] = (pixels[1:] == pixels[:-1]).all(-1)
    return np.concatenate(
        [
            _log_scale(grain_mean[:, :1]),
            np.minimum(peaked / 5, 2),
            blocks,
            pool.means(same_across, same_down),
        ],
        1,
    )


def _ratio(edge: _Array, share: _Array, all_: _Array) -> _Array:
    """Log of the mean difference at block edges over the mean difference elsewhere, in −2..2."""
    at_edges = edge / np.maximum(share, 1e-6)
    elsewhere = (all_ - edge) / np.maximum(1 - share, 1e-6)
    ratio: _Array = np.log((at_edges + 1e-3) / (elsewhere + 1e-3))
    return np.clip(ratio, -2, 2)


def _log_scale(values: _Array) -> _Array:
    """Magnitudes from 1/1000 to 1 spread evenly over 0..1."""
    scaled: _Array = np.log10(np.maximum(values, 1e-3)) / 3 + 1
    return np.clip(scaled, 0, 1).astype(np.float32)


def _gradient(light: _Array, step: int) -> _Array:
    across = np.zeros_like(light)
    across[:, step:] = light[:, step:] - light[:, :-step]
    down = np.zeros_like(light)
    down[step:] = light[step:] - light[:-step]
    return np.hypot(across, down)


def _laplacian(values: _Array) -> _Array:
    from scipy.ndimage import convolve

    found: _Array = convolve(values, _LAPLACIAN, mode="nearest") / 6
    return found


def _blurred(light: _Array) -> _Array:
    return _box(light, 3)


def _box(values: _Array, size: int) -> _Array:
    from scipy.ndimage import uniform_filter

    found: _Array = uniform_filter(values, size, mode="nearest")
    return found
