"""What every distortion shares: strengths between the four anchors, lengths that scale, rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import ConfigError

STRENGTHS = (1, 2, 3, 4)
"""The anchors: mild, visible, strong and severe. Any number between 1 and 4 is a strength."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Apply = Callable[[Pixels, float, np.random.Generator, float], npt.NDArray[Any]]
"""`(pixels, strength, rng, scale) -> [H, W, 3]`, uint8 or float on 0..255."""

_REFERENCE_SIDE = 512
_SMALLEST_SCALE = 0.5


def _local(strength: float, scale: float) -> int:
    return 0


@dataclass(frozen=True)
class Distortion:
    """One family.

    Attributes:
        apply: spoils a picture or a part of one.
        reach: `(strength, scale)` → from how many pixels away a pixel is influenced.
        grid: a part must begin at multiples of this to be spoiled as in the whole picture.
        whole: the pixels of a part depend on the size of the picture: spoil it whole.
    """

    apply: Apply
    reach: Callable[[float, float], int] = _local
    grid: int = 1
    whole: bool = False


def at_strength(strength: float, anchors: Sequence[float], *, geometric: bool = False) -> float:
    """A parameter at a strength: the anchor itself at 1, 2, 3, 4, interpolated between them.

    Args:
        strength: 1 to 4.
        anchors: the parameter at 1, 2, 3 and 4.
        geometric: interpolate ratios instead of differences; for what is perceived in ratios, such
            as widths and deviations. Both neighbours must be positive.

    Example:
        >>> at_strength(2, (1, 4, 9, 16)), at_strength(1.5, (1, 4, 9, 16))
        (4, 2.5)
        >>> at_strength(1.5, (1, 4, 9, 16), geometric=True)
        2.0
    """
    below = min(int(strength), len(anchors) - 1)
    part = strength - below
    low, high = anchors[below - 1], anchors[below]
    if part == 0:
        return low
    if part == 1:
        return high
    return low * (high / low) ** part if geometric else low + (high - low) * part


def check_strength(strength: float) -> None:
    """Refuse what is no strength.

    Raises:
        ConfigError: it is not a number from 1 to 4.
    """
    number = isinstance(strength, int | float | np.integer | np.floating)
    if not number or isinstance(strength, bool) or not 1 <= strength <= 4:  # nan fails, too
        raise ConfigError(f"a strength is a number from 1 (mild) to 4 (severe); got {strength!r}.")


def scale_of(pixels: npt.NDArray[Any]) -> float:
    """By how much lengths grow: the long side in units of 512 pixels, 0.5 at least."""
    return max(_SMALLEST_SCALE, float(max(pixels.shape[:2])) / _REFERENCE_SIDE)


def to_uint8(values: npt.NDArray[Any]) -> Pixels:
    """Rounded and clipped to 0..255."""
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def convolve(pixels: npt.NDArray[Any], kernel: Floats) -> Floats:
    """Each channel under a square kernel of odd size, the picture mirrored beyond its borders."""
    from scipy.signal import fftconvolve

    reach = kernel.shape[0] // 2
    padded = np.pad(
        pixels.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="symmetric"
    )
    return np.asarray(fftconvolve(padded, kernel[..., None], "valid", axes=(0, 1)))


def pixels_of(length: float) -> int:
    """A length as whole pixels, rounded up."""
    return math.ceil(length)
