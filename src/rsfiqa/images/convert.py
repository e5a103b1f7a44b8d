"""Decoded PIL images of any mode to upright uint8 RGB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from rsfiqa.errors import ImageError
from rsfiqa.images.arrays import (
    ALPHA_NOTE,
    Pixels,
    array_to_rgb,
    composite_on_white,
    rows_per_strip,
)
from rsfiqa.images.profiles import profile_note, srgb_converter


def to_rgb(image: Image.Image, name: str) -> tuple[Pixels, tuple[str, ...]]:
    """A decoded image as upright uint8 RGB `[H, W, 3]`, with notes on what was changed.

    Raises:
        ImageError: the values of a 16-bit or float image are out of range.
    """
    orientation = _orientation(image)
    width, height = image.size
    shape = (width, height, 3) if orientation >= 5 else (height, width, 3)
    pixels = np.empty(shape, np.uint8)
    stored = _as_stored(pixels, orientation)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        stored[...], notes = array_to_rgb(_numbers(image, name), name)
    else:
        notes = _copy_in_strips(image, stored)
    return pixels, notes


def _copy_in_strips(image: Image.Image, stored: Pixels) -> tuple[str, ...]:
    """Convert to RGB a strip at a time: Pillow holds 4 bytes a pixel, and a copy of all is large."""
    convert, notes = _converter(image)
    width, height = image.size
    seen_through = False
    rows = rows_per_strip(width)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        whole = bottom - top == height
        strip = np.asarray(convert(image if whole else image.crop((0, top, width, bottom))))
        if strip.shape[2] == 4:
            strip, here = composite_on_white(strip)
            seen_through |= here
        stored[top:bottom] = strip
    return (ALPHA_NOTE, *notes) if seen_through else notes


def _converter(
    image: Image.Image,
) -> tuple[Callable[[Image.Image], Image.Image], tuple[str, ...]]:
    """What brings an image and pieces of it to RGB, or to RGBA where there is transparency."""
    if image.mode in ("CMYK", "LAB"):
        to_srgb = srgb_converter(image)
        if to_srgb is not None:
            return to_srgb, (f"{image.mode} converted to sRGB",)
        return lambda piece: piece.convert("RGB"), (f"{image.mode} converted to RGB",)
    note = profile_note(image)
    notes = () if note is None else (note,)
    if image.mode == "La":
        return lambda piece: piece.convert("LA").convert("RGBA"), notes
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return lambda piece: piece.convert(mode), notes


def _numbers(image: Image.Image, name: str) -> npt.NDArray[Any]:
    """The values of a mode without 8-bit values: 16-bit grey as uint16, or float.

    Mode "I" is taken for 16-bit values in a wider type: that is where Pillow puts 16-bit PNG (in
    older versions) and PGM files.
    """
    values = np.asarray(image)
    if image.mode == "F":
        return values
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ImageError(
            f"{name} holds whole numbers from {low} to {high}; they must lie in 0..65535."
        )
    return values.astype(np.uint16)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1..8; 1 (upright) where it is missing or damaged."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata do not spoil the pixels
        return 1
    return value if value in range(1, 9) else 1


def _as_stored(upright: Pixels, orientation: int) -> Pixels:
    """A view of the upright picture in which rows and columns lie as they do in the file.

    Writing through it turns the picture without a second copy. Orientations as in EXIF 2.32,
    tag 0x0112.
    """
    views: dict[int, Callable[[Pixels], Pixels]] = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }
    return views[orientation](upright) if orientation in views else upright
