"""Copies of a photograph that are as good as it is: other files, directions, sizes and frames."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from rsfiqa.images import ImageSource
from rsfiqa.images.limits import MIN_SIDE

Pixels = npt.NDArray[np.uint8]
Expectation = Literal["equal", "close", "loose"]

TOLERANCES: Mapping[Expectation, float] = MappingProxyType(
    {"equal": 1e-4, "close": 5.0, "loose": 10.0}
)
"""Points by which a score may move.

Equal pixels give equal scores, up to rounding. Close is a quarter, loose a half, of one of the five
levels: a mirrored photograph or a careful JPEG is as good to anybody, while another size, or a part
of the picture, may show less or more of its faults.
"""


def _saved(format_: str, **how: Any) -> Callable[[Pixels], ImageSource]:
    def save(pixels: Pixels) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format=format_, **how)
        return buffer.getvalue()

    return save


def _mirrored(pixels: Pixels) -> ImageSource:
    return np.ascontiguousarray(pixels[:, ::-1])


def _resized(factor: float) -> Callable[[Pixels], ImageSource]:
    def resize(pixels: Pixels) -> ImageSource:
        height, width = (max(MIN_SIDE, round(side * factor)) for side in pixels.shape[:2])
        # Bicubic, antialiased where it shrinks, as photographs are resized for a page.
        return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))

    return resize


def _cropped(ratio: float) -> Callable[[Pixels], ImageSource]:
    """The largest part from the middle with width / height of `ratio`."""

    def crop(pixels: Pixels) -> ImageSource:
        height, width = pixels.shape[:2]
        new_width = min(width, max(MIN_SIDE, round(height * ratio)))
        new_height = min(height, max(MIN_SIDE, round(width / ratio)))
        top, left = (height - new_height) // 2, (width - new_width) // 2
        return np.ascontiguousarray(pixels[top : top + new_height, left : left + new_width])

    return crop


def _padded(value: int) -> Callable[[Pixels], ImageSource]:
    """Bars above and below, a sixth of the height each, as of a film on a screen."""

    def pad(pixels: Pixels) -> ImageSource:
        bar = max(1, pixels.shape[0] // 6)
        return np.pad(pixels, ((bar, bar), (0, 0), (0, 0)), constant_values=value)

    return pad


_CHANGES: Mapping[str, tuple[Expectation, Callable[[Pixels], ImageSource]]] = {
    "PNG file": ("equal", _saved("PNG", compress_level=1)),
    "TIFF file": ("equal", _saved("TIFF")),
    "BMP file": ("equal", _saved("BMP")),
    "WebP file, lossless": ("equal", _saved("WEBP", lossless=True, quality=0, method=0)),
    "JPEG file, quality 95": ("close", _saved("JPEG", quality=95, subsampling=0)),
    "mirrored": ("close", _mirrored),
    "0.75 of its size": ("loose", _resized(0.75)),
    "0.5 of its size": ("loose", _resized(0.5)),
    "1.5 times its size": ("loose", _resized(1.5)),
    "cut to 1:1": ("loose", _cropped(1.0)),
    "cut to 2:1": ("loose", _cropped(2.0)),
    "cut to 1:2": ("loose", _cropped(0.5)),
    "black bars": ("loose", _padded(0)),
    "white bars": ("loose", _padded(255)),
}

EXPECTED: Mapping[str, Expectation] = MappingProxyType(
    {name: expected for name, (expected, _) in _CHANGES.items()}
)
"""All changes by name, with how near the scores must stay."""


def variants(pixels: Pixels) -> dict[str, ImageSource]:
    """All copies of a picture, in the order of `EXPECTED`: arrays, or the bytes of files.

    Args:
        pixels: uint8 RGB `[H, W, 3]`.

    Example:
        >>> copies = variants(np.zeros((64, 96, 3), np.uint8))
        >>> list(copies) == list(EXPECTED), copies["cut to 1:1"].shape
        (True, (64, 64, 3))
    """
    return {name: change(pixels) for name, (_, change) in _CHANGES.items()}
