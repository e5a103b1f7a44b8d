"""Noise: of the sensor, of the transmission, and what a denoiser leaves of it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from rsfiqa.learning.distortions.base import LUMA, Distortion, Floats, Pixels, at_strength

_SMEAR_RADIUS = 3


def _gaussian_noise(pixels: Pixels, strength: float, rng: np.random.Generator, _: float) -> Floats:
    deviation = at_strength(strength, (8, 16, 30, 55), geometric=True)
    return pixels + rng.normal(0, deviation, pixels.shape)


def _shot_noise(pixels: Pixels, strength: float, rng: np.random.Generator, _: float) -> Floats:
    """Photons counted: the deviation grows with the root of brightness."""
    photons = at_strength(strength, (500, 130, 36, 10), geometric=True)
    return np.asarray(rng.poisson(pixels / 255 * photons) / photons * 255)


def _impulse_noise(pixels: Pixels, strength: float, rng: np.random.Generator, _: float) -> Pixels:
    """Salt and pepper."""
    share = at_strength(strength, (0.005, 0.02, 0.06, 0.15), geometric=True)
    hit = rng.random(pixels.shape[:2]) < share
    salt = rng.random(pixels.shape[:2]) < 0.5
    return np.where(hit[..., None], np.where(salt, 255, 0)[..., None], pixels).astype(np.uint8)


def _chroma_noise(pixels: Pixels, strength: float, rng: np.random.Generator, _: float) -> Floats:
    """Coloured blotches without change of brightness, a little wider than a pixel."""
    deviation = at_strength(strength, (14, 26, 45, 80), geometric=True)
    noise = rng.normal(0, deviation, pixels.shape)
    noise = ndimage.gaussian_filter(noise, (0.8, 0.8, 0)) * 1.8
    return np.asarray(pixels + noise - (noise @ LUMA)[..., None])


def _speckle_noise(pixels: Pixels, strength: float, rng: np.random.Generator, _: float) -> Floats:
    """Multiplied with the picture: the deviation grows with brightness."""
    deviation = at_strength(strength, (0.05, 0.1, 0.2, 0.4), geometric=True)
    return pixels * (1 + rng.normal(0, deviation, (*pixels.shape[:2], 1)))


def _smeared_noise(pixels: Pixels, strength: float, rng: np.random.Generator, _: float) -> Floats:
    """Noise, then a denoiser that is too strong: texture smeared, blotches left over.

    The denoiser is the self-guided filter of He, Sun and Tang (ECCV 2010), which keeps edges above
    the noise and levels what is below. What it leaves of the noise is wider than a pixel.
    """
    deviation = at_strength(strength, (10, 18, 32, 54), geometric=True)
    # As wide as demosaicing makes it.
    noise = ndimage.gaussian_filter(rng.normal(0, 2 * deviation, pixels.shape), (0.8, 0.8, 0))
    return _self_guided(pixels + noise, _SMEAR_RADIUS, (1.3 * deviation) ** 2)


def _self_guided(values: Floats, radius: int, epsilon: float) -> Floats:
    size = (2 * radius + 1, 2 * radius + 1, 1)

    def mean(field: Floats) -> Floats:
        return np.asarray(ndimage.uniform_filter(field, size))

    average = mean(values)
    variance = np.maximum(mean(values * values) - average * average, 0)
    slope = variance / (variance + epsilon)
    return mean(slope) * values + mean(average * (1 - slope))


NOISE = {
    "gaussian_noise": Distortion(_gaussian_noise),
    "shot_noise": Distortion(_shot_noise),
    "impulse_noise": Distortion(_impulse_noise),
    "chroma_noise": Distortion(_chroma_noise, lambda *_: 4),
    "speckle_noise": Distortion(_speckle_noise),
    "smeared_noise": Distortion(_smeared_noise, lambda *_: 2 * _SMEAR_RADIUS + 3),
}
