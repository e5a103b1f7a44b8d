"""Blur: out of focus, or moved while the shutter was open."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from rsfiqa.learning.distortions.base import (
    Distortion,
    Floats,
    Pixels,
    at_strength,
    convolve,
    pixels_of,
)

_TRUNCATE = 3


def _sigma(strength: float, scale: float) -> float:
    return at_strength(strength, (1.0, 2.0, 3.5, 6.0), geometric=True) * scale


def _gaussian_blur(pixels: Pixels, strength: float, _: np.random.Generator, scale: float) -> Floats:
    sigma = _sigma(strength, scale)
    return np.asarray(
        ndimage.gaussian_filter(pixels.astype(float), (sigma, sigma, 0), truncate=_TRUNCATE)
    )


def _radius(strength: float, scale: float) -> float:
    return at_strength(strength, (2.0, 3.5, 6.0, 10.0), geometric=True) * scale


def _defocus(pixels: Pixels, strength: float, _: np.random.Generator, scale: float) -> Floats:
    """A disc, as an open round aperture draws a point."""
    radius = _radius(strength, scale)
    reach = pixels_of(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    return convolve(pixels, disc / disc.sum())


def _length(strength: float, scale: float) -> float:
    return at_strength(strength, (5, 9, 17, 31), geometric=True) * scale


def _motion_reach(strength: float, scale: float) -> int:
    return pixels_of(_length(strength, scale) / 2) + 1


def _motion_blur(pixels: Pixels, strength: float, rng: np.random.Generator, scale: float) -> Floats:
    """A straight line in any direction, at constant speed."""
    length = _length(strength, scale)
    angle = rng.uniform(0, np.pi)
    reach = _motion_reach(strength, scale)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for t in np.linspace(-length / 2, length / 2, 8 * reach):
        y, x = reach + t * np.sin(angle), reach + t * np.cos(angle)
        row, column = int(y), int(x)
        fy, fx = y - row, x - column
        kernel[row : row + 2, column : column + 2] += np.outer([1 - fy, fy], [1 - fx, fx])
    return convolve(pixels, kernel / kernel.sum())


BLUR = {
    "gaussian_blur": Distortion(
        _gaussian_blur, lambda strength, scale: pixels_of(_TRUNCATE * _sigma(strength, scale))
    ),
    "defocus": Distortion(_defocus, lambda strength, scale: pixels_of(_radius(strength, scale))),
    "motion_blur": Distortion(_motion_blur, _motion_reach),
}
