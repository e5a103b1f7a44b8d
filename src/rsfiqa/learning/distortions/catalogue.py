"""All families by name, and how to spoil a whole picture with one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.distortions.artifact import ARTIFACT
from rsfiqa.learning.distortions.base import (
    Distortion,
    Pixels,
    check_strength,
    scale_of,
    to_uint8,
)
from rsfiqa.learning.distortions.blur import BLUR
from rsfiqa.learning.distortions.color import COLOR
from rsfiqa.learning.distortions.noise import NOISE
from rsfiqa.types import Dimension

FAMILIES: Mapping[Dimension, tuple[str, ...]] = MappingProxyType(
    {"blur": tuple(BLUR), "noise": tuple(NOISE), "artifact": tuple(ARTIFACT), "color": tuple(COLOR)}
)
"""The families of each dimension.

`smeared_noise` stands under noise, since its blotches are what is left of noise; it costs sharpness,
too (see `rsfiqa.learning.levels.SPILLS`).
"""

_ALL: Mapping[str, Distortion] = {**BLUR, **NOISE, **ARTIFACT, **COLOR}


def dimension_of(family: str) -> Dimension:
    """The dimension that a family spoils.

    Raises:
        ConfigError: the family is unknown.

    Example:
        >>> dimension_of("haze")
        'color'
    """
    find_distortion(family)
    return next(dimension for dimension, names in FAMILIES.items() if family in names)


def find_distortion(family: str) -> Distortion:
    """A family by its name.

    Raises:
        ConfigError: the family is unknown.
    """
    if family not in _ALL:
        raise ConfigError(f"unknown distortion {family!r}; known: {', '.join(_ALL)}.")
    return _ALL[family]


def distort(
    pixels: Pixels, family: str, strength: float, seed: int = 0, *, scale: float | None = None
) -> Pixels:
    """Distort a whole picture.

    Args:
        pixels: uint8 RGB `[H, W, 3]`.
        family: one of `FAMILIES`.
        strength: 1 (mild) to 4 (severe), any number between.
        seed: of noise, directions and casts; the same seed gives the same picture.
        scale: by how much lengths grow; from the picture's size by default, to be given for pixels
            cut out of a larger picture.

    Raises:
        ConfigError: the family is unknown, or the strength is not from 1 to 4.
        DataError: the pixels are not uint8 RGB.

    Example:
        >>> flat = np.full((64, 64, 3), 120, np.uint8)
        >>> int(distort(flat, "underexpose", 2.5).mean()) < 100
        True
    """
    distortion = find_distortion(family)
    check_strength(strength)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DataError(
            f"distortions take uint8 RGB [H, W, 3]; got {pixels.dtype} {list(pixels.shape)}."
        )
    rng = np.random.default_rng(seed)
    spoiled = distortion.apply(pixels, strength, rng, scale or scale_of(pixels))
    return spoiled if spoiled.dtype == np.uint8 else to_uint8(spoiled)
