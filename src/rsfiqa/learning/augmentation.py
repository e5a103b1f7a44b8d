"""Harmless changes of clean photographs, so that one folder of them shows more than itself.

Mirrored, cropped, shrunk, a little brighter or darker, in black and white, mildly compressed: what a
clean photograph may have gone through and still count as clean. Shrinking also makes cleaner sources, since small
faults that a photograph came with vanish.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

LARGEST_SIDE = 640
"""The default for the long side of what comes out, in pixels."""

_SMALLEST_SIDE = 320
_SMALLEST_CROP = 0.7
_LARGEST_SHRINK = 2.0
_JPEG_SHARE = 1 / 3
_JPEG_QUALITIES = (85, 97)
_GAMMAS = (0.88, 1.14)
_STOPS = 0.15
_MONOCHROME_SHARE = 0.08


def augment(pixels: Pixels, rng: np.random.Generator, largest_side: int = LARGEST_SIDE) -> Pixels:
    """A clean photograph, changed as any might have been; never enlarged.

    In this order: a mirror (half of them), a crop of 70 to 100 % of each side, a shrink by 1 to 2
    with antialiasing (more only if the photograph is larger than twice `largest_side`; never below
    320 pixels on the long side), gamma 0.88..1.14 and exposure ±0.15 stops (half), black and white
    (8 %), JPEG of quality 85..97 (a third: most photographs are JPEGs).

    Args:
        pixels: uint8 RGB `[H, W, 3]`.
        rng: of all choices; the same state gives the same picture.
        largest_side: the long side is this at most, in pixels.
    """
    # All numbers are drawn whatever becomes of them: one choice does not move the next.
    mirror, compress, tone = rng.random(3) < (0.5, _JPEG_SHARE, 0.5)
    parts = rng.uniform(_SMALLEST_CROP, 1, 2)
    places = rng.random(2)
    shrink = rng.uniform(1, _LARGEST_SHRINK)
    gamma, stops = rng.uniform(*_GAMMAS), rng.uniform(-_STOPS, _STOPS)
    quality = int(rng.integers(_JPEG_QUALITIES[0], _JPEG_QUALITIES[1] + 1))
    monochrome = rng.random() < _MONOCHROME_SHARE
    changed = _cropped(pixels[:, ::-1] if mirror else pixels, parts, places)
    changed = _shrunk(changed, shrink, largest_side)
    if tone:
        changed = _toned(changed, gamma, stops)
    if monochrome:
        changed = _without_colour(changed)
    return _compressed(changed, quality) if compress else np.ascontiguousarray(changed)


def _cropped(
    pixels: Pixels, parts: npt.NDArray[np.float64], places: npt.NDArray[np.float64]
) -> Pixels:
    height, width = (
        max(1, round(side * part)) for side, part in zip(pixels.shape[:2], parts, strict=True)
    )
    top, left = (
        int(place * (whole - side + 1))
        for place, whole, side in zip(places, pixels.shape[:2], (height, width), strict=True)
    )
    return pixels[top : top + height, left : left + width]


def _shrunk(pixels: Pixels, factor: float, largest_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    long = max(height, width)
    wanted = min(long, largest_side, max(long / factor, _SMALLEST_SIDE))
    if wanted == long:
        return pixels
    size = (max(1, round(width * wanted / long)), max(1, round(height * wanted / long)))
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))


def _toned(pixels: Pixels, gamma: float, stops: float) -> Pixels:
    values = np.clip((np.arange(256) / 255) ** gamma * 2.0 ** (stops / 2.2), 0, 1)
    table: Pixels = np.rint(values * 255).astype(np.uint8)
    return table[pixels]


def _without_colour(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L").convert("RGB"))


def _compressed(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))
