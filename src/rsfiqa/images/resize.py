"""Bringing a picture down to a budget of pixels."""

from __future__ import annotations

from math import isqrt

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.errors import ConfigError
from rsfiqa.images.limits import MIN_SIDE

PIXEL_BUDGET = 1024 * 768
"""Pictures are seen at native resolution up to this many pixels, then downscaled with antialiasing."""


def resize_to_budget(pixels: npt.NDArray[np.uint8], budget: int) -> npt.NDArray[np.uint8]:
    """Downscale a picture to at most `budget` pixels, antialiased; smaller ones stay untouched.

    The budget always holds. The aspect ratio is kept to the pixel, except where a side would
    fall below 32: that side stays at 32 (or at its own size, if smaller) and the other gives way.
    Bicubic, since the wider Lanczos kernel rings more at edges, which reads as over-sharpening.

    Args:
        pixels: uint8 `[H, W, 3]`.
        budget: the most pixels that the result may have, at least 1.

    Returns:
        uint8 `[h, w, 3]`; `pixels` itself when `H * W <= budget`.

    Raises:
        ConfigError: the budget is below 1.

    Example:
        >>> resize_to_budget(np.zeros((600, 800, 3), np.uint8), 120_000).shape
        (300, 400, 3)
    """
    if budget < 1:
        raise ConfigError(f"the budget of pixels must be at least 1; got {budget}.")
    height, width = pixels.shape[:2]
    if height * width <= budget:
        return pixels
    size = _size_within(width, height, budget)
    # reducing_gap: large factors first shrink by whole boxes, which is faster and looks the same.
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.array(small)


def fit_within(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Downscale a picture for display to at most `side` pixels along its longer side, antialiased.

    The aspect ratio is kept up to the rounding of sides to whole pixels, of which each has at least
    one, however long and thin the picture is.

    Args:
        pixels: uint8 `[H, W, 3]`.
        side: at least 1.

    Returns:
        uint8 `[h, w, 3]`; `pixels` itself when it is no larger.

    Example:
        >>> fit_within(np.zeros((40, 4000, 3), np.uint8), 2000).shape
        (20, 2000, 3)
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    )


def _size_within(width: int, height: int, budget: int) -> tuple[int, int]:
    # The short side first: its rounding weighs more in the aspect ratio.
    short, long = sorted((width, height))
    floor = min(MIN_SIDE, short) if budget >= MIN_SIDE**2 else 1
    new_short = max(floor, isqrt(budget * short // long))
    new_long = max(1, min(round(long * new_short / short), budget // new_short))
    return (new_short, new_long) if width <= height else (new_long, new_short)
