"""Colour and tone: exposure, contrast, saturation, white balance, haze. All act pixel by pixel."""

from __future__ import annotations

import numpy as np

from rsfiqa.learning.distortions.base import LUMA, Distortion, Floats, Pixels, at_strength


def _expose(pixels: Pixels, stops: float) -> Floats:
    """Scale linear light by 2^stops and clip, as a sensor does (display gamma 2.2)."""
    table = np.clip((np.arange(256) / 255) ** 2.2 * 2.0**stops, 0, 1) ** (1 / 2.2) * 255
    return np.asarray(table[pixels])


def _underexpose(pixels: Pixels, strength: float, _: np.random.Generator, __: float) -> Floats:
    return _expose(pixels, at_strength(strength, (-1.0, -1.8, -2.8, -4.0)))


def _overexpose(pixels: Pixels, strength: float, _: np.random.Generator, __: float) -> Floats:
    return _expose(pixels, at_strength(strength, (0.8, 1.4, 2.2, 3.2)))


def _low_contrast(pixels: Pixels, strength: float, _: np.random.Generator, __: float) -> Floats:
    keep = at_strength(strength, (0.7, 0.5, 0.32, 0.18), geometric=True)
    return np.asarray(128 + (pixels - 128.0) * keep)


def _saturate(pixels: Pixels, factor: float) -> Floats:
    luma = (pixels @ LUMA)[..., None]
    return np.asarray(luma + (pixels - luma) * factor)


def _desaturate(pixels: Pixels, strength: float, _: np.random.Generator, __: float) -> Floats:
    return _saturate(pixels, at_strength(strength, (0.6, 0.35, 0.15, 0.0)))


def _oversaturate(pixels: Pixels, strength: float, _: np.random.Generator, __: float) -> Floats:
    return _saturate(pixels, at_strength(strength, (1.6, 2.2, 3.2, 5.0), geometric=True))


def _color_cast(pixels: Pixels, strength: float, rng: np.random.Generator, _: float) -> Floats:
    """White balance set wrongly, towards any hue."""
    angle = rng.uniform(0, 2 * np.pi)
    amount = at_strength(strength, (0.12, 0.22, 0.36, 0.55))
    gains = 1 + amount * np.cos(angle + np.array([0, 2, 4]) * np.pi / 3)
    return np.asarray(pixels * gains)


def _haze(pixels: Pixels, strength: float, rng: np.random.Generator, _: float) -> Floats:
    """A veil of scattered light of one thickness (Koschmieder's law), slightly bluish or warm."""
    through = at_strength(strength, (0.7, 0.5, 0.33, 0.18), geometric=True)
    airlight = rng.uniform(205, 240) + rng.uniform(-8, 8) * np.array([-1.0, 0.0, 1.0])
    return np.asarray(pixels * through + airlight * (1 - through))


COLOR = {
    "underexpose": Distortion(_underexpose),
    "overexpose": Distortion(_overexpose),
    "low_contrast": Distortion(_low_contrast),
    "desaturate": Distortion(_desaturate),
    "color_cast": Distortion(_color_cast),
    "oversaturate": Distortion(_oversaturate),
    "haze": Distortion(_haze),
}
