"""The ground of every overlay: the picture, large enough, and the borders of its regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from rsfiqa.report.layers import labels_at
from rsfiqa.report.outlines import TOLERANCE, Points, trace_outlines

if TYPE_CHECKING:
    from rsfiqa.partition import Partition

_SHOWN_SIDE = 1024
"""Smaller pictures are enlarged to about this long side, so that labels on them can be read."""

_PIXELS_SHOW_BELOW = 160
"""Pictures this small are enlarged by whole pixels: smoothing would look like blur of their own."""

_OUTLINE_SIDE = 1024
"""Borders are traced on a label map of at most this long side."""

_SMOOTHING = 2
"""Borders are drawn this many times larger and scaled down, against stairs."""


def enlarged(picture: Image.Image) -> Image.Image:
    """A small picture enlarged to about 1,024 pixels, so that labels on it can be read."""
    factor = _SHOWN_SIDE / max(picture.size)
    if factor <= 1:
        return picture
    if _shows_pixels(*picture.size):
        whole = int(np.ceil(factor))
        size = (picture.width * whole, picture.height * whole)
        return picture.resize(size, Image.Resampling.NEAREST)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _shows_pixels(width: int, height: int) -> bool:
    return max(width, height) < _PIXELS_SHOW_BELOW


def region_borders(partition: Partition, size: tuple[int, int]) -> list[Points]:
    """The borders between regions as lines in pixels of a picture of this size."""
    factor = min(1.0, _OUTLINE_SIDE / max(partition.width, partition.height))
    width, height = (max(1, round(side * factor)) for side in (partition.width, partition.height))
    tolerance = 0.0 if _shows_pixels(width, height) else TOLERANCE
    outlines = trace_outlines(labels_at(partition, height, width), tolerance)
    scale = np.array([size[0] / width, size[1] / height])
    return [line * scale for line in outlines.borders]


def draw_borders(
    image: Image.Image, borders: list[Points], line: float, opacity: float = 1.0
) -> None:
    """A white line between two dark ones, `line` pixels each: it shows on any picture."""
    size = (image.width * _SMOOTHING, image.height * _SMOOTHING)
    for width, color, strength in ((3 * line, (16, 16, 18), 0.8), (line, (255, 255, 255), 1.0)):
        mask = Image.new("L", size)
        draw = ImageDraw.Draw(mask)
        for border in borders:
            points = (border * _SMOOTHING).ravel().tolist()
            draw.line(
                points,
                fill=round(255 * strength * opacity),
                width=round(width * _SMOOTHING),
                joint="curve",
            )
        image.paste(color, mask=mask.resize(image.size, Image.Resampling.BOX))
