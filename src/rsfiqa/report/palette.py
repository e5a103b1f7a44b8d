"""Colour scales that people with any colour vision can read.

Quality runs from orange (bad) over sand to blue (excellent): the pair of hues that protanopia,
deuteranopia and tritanopia all leave apart. Attention runs from black over red to pale yellow,
lighter throughout, so that it also reads in grey. Both are interpolated between a few anchors in
OKLab (B. Ottosson, "A perceptual color space for image processing", 2020), where equal steps look
equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

_STEPS = 256

_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


class ColorScale:
    """A colour for every number on 0..1.

    Args:
        anchors: colours as `#rrggbb`, evenly spaced from 0 to 1.

    Example:
        >>> ColorScale(["#000000", "#ffffff"]).hex(1.0)
        '#ffffff'
    """

    def __init__(self, anchors: Sequence[str]) -> None:
        self._anchors = np.array([list(bytes.fromhex(anchor[1:])) for anchor in anchors])

    @cached_property
    def table(self) -> npt.NDArray[np.uint8]:
        """The scale in 256 steps, uint8 RGB `[256, 3]`."""
        lab = rgb_to_oklab(self._anchors)
        at = np.linspace(0, len(lab) - 1, _STEPS)
        columns = [np.interp(at, np.arange(len(lab)), lab[:, c]) for c in range(3)]
        return _oklab_to_rgb(np.stack(columns, axis=1))

    def colors(self, values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """The colours of numbers on 0..1, uint8 `[..., 3]`; numbers outside get the end colours."""
        steps = np.rint(np.asarray(values, dtype=np.float32).clip(0, 1) * (_STEPS - 1))
        colors: npt.NDArray[np.uint8] = self.table[steps.astype(np.uint8)]
        return colors

    def hex(self, value: float) -> str:
        """The colour of one number on 0..1 as `#rrggbb`."""
        red, green, blue = self.colors(value).tolist()
        return f"#{red:02x}{green:02x}{blue:02x}"

    def css_gradient(self, stops: int = 17) -> str:
        """The scale from left to right as a CSS `linear-gradient`."""
        return (
            f"linear-gradient(90deg, {', '.join(self.hex(i / (stops - 1)) for i in range(stops))})"
        )


QUALITY = ColorScale(["#842709", "#de7529", "#f2e4c9", "#5ea5d2", "#0c4a8e"])
"""Scores: 0 (bad) at 0, 100 (excellent) at 1."""

HEAT = ColorScale(["#0d0620", "#54136b", "#a72a68", "#e8553f", "#fba238", "#fcf4ae"])
"""Attention: none at 0, the most at 1."""


def quality_hex(score: float) -> str:
    """The colour of a score on 0..100."""
    return QUALITY.hex(score / 100)


def ink_on(color: npt.ArrayLike) -> tuple[int, int, int]:
    """Near-black or white: whichever contrasts more with an RGB colour under it.

    By the relative luminance and contrast ratio of WCAG 2.

    Example:
        >>> ink_on((255, 255, 255)), ink_on((12, 74, 142))
        ((20, 20, 22), (255, 255, 255))
    """
    linear = _to_linear(np.asarray(color, dtype=np.float64) / 255)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return (20, 20, 22) if luminance > 0.18 else (255, 255, 255)


def rgb_to_oklab(rgb: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """sRGB on 0..255 `[..., 3]` to OKLab: lightness on 0..1 and two opponent axes."""
    linear = _to_linear(np.asarray(rgb, dtype=np.float64) / 255)
    lab: npt.NDArray[np.float64] = np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T
    return lab


def _oklab_to_rgb(lab: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    linear = ((lab @ np.linalg.inv(_LMS_TO_LAB).T) ** 3) @ np.linalg.inv(_RGB_TO_LMS).T
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rgb: npt.NDArray[np.uint8] = np.rint(encoded * 255).clip(0, 255).astype(np.uint8)
    return rgb


def _to_linear(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear: npt.NDArray[np.float64] = np.where(
        rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4
    )
    return linear
