"""The colour of a region in one word, when one colour prevails.

Every pixel is named by fixed ranges of CIELAB lightness, chroma and hue (CIE 1976; D65), laid around
the eleven basic colour terms of Berlin and Kay ("Basic Color Terms", 1969) with `beige` added and
`black` worded `dark`, since a photograph does not tell black things from unlit ones. The region has
a colour when most of its pixels share the name. The ranges are ours, judged by eye.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

COLORS = (
    "dark",
    "grey",
    "white",
    "red",
    "orange",
    "brown",
    "yellow",
    "beige",
    "green",
    "blue",
    "purple",
    "pink",
)
"""The words in use."""

PREVAILING = 0.6
"""The share of a region's pixels that must have one name."""
_SAMPLES = 4096
_DARK, _WHITE = 20.0, 82.0
_NEUTRAL = 8.0
"""Chroma below which a pixel has no hue."""


def color_word(pixels: npt.NDArray[np.uint8]) -> str | None:
    """The prevailing colour of some pixels, one of `COLORS`; None when none prevails.

    Args:
        pixels: uint8 sRGB `[N, 3]`. At most 4,096 of them, evenly spread, are looked at.

    Example:
        >>> color_word(np.full((9, 3), (90, 150, 220), np.uint8))
        'blue'
        >>> color_word(np.array([[255, 0, 0], [0, 0, 255]], np.uint8)) is None
        True
    """
    if len(pixels) == 0:
        return None
    names = _names(pixels[:: -(-len(pixels) // _SAMPLES)])
    counts = np.bincount(names[names >= 0], minlength=len(COLORS))
    best = int(counts.argmax())
    return COLORS[best] if counts[best] >= PREVAILING * len(names) else None


def _names(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The index in `COLORS` of each pixel; −1 between two colours."""
    from skimage.color import rgb2lab

    lab = rgb2lab(pixels[None])[0]
    light, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    neutral = chroma < _NEUTRAL
    warm = (hue >= 25) & (hue < 100)
    ranges = {
        "dark": light < _DARK,
        "white": (light >= _WHITE) & (chroma < 1.5 * _NEUTRAL),
        "grey": neutral,
        "brown": warm & (light < 60) & (chroma < 55) & ((chroma >= 12) | (light < 40)),
        "beige": warm & (light >= 60) & (chroma >= 10) & (chroma < 38),
        "orange": (hue >= 45) & (hue < 75) & (chroma >= 38),
        "yellow": (hue >= 75) & (hue < 108) & (chroma >= 38),
        "pink": ((hue >= 325) | (hue < 45)) & (light >= 60) & (chroma < 60),
        "red": ((hue >= 350) | (hue < 45)) & (chroma >= 30),
        "purple": (hue >= 300) & (hue < 350),
        "green": (hue >= 100) & (hue < 195),
        "blue": (hue >= 200) & (hue < 300),
    }
    # The first range that holds a pixel names it.
    found = np.select(list(ranges.values()), [COLORS.index(name) for name in ranges], default=-1)
    named: npt.NDArray[np.int64] = found.astype(np.int64)
    return named
