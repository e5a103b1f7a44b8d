"""The overlay of a partition without scores: regions tinted, outlined and numbered."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from rsfiqa.errors import DataError
from rsfiqa.images.resize import fit_within
from rsfiqa.partition import Partition
from rsfiqa.report.borders import draw_borders, enlarged, region_borders
from rsfiqa.report.layers import labels_at, place_labels

_PREVIEW_SIDE = 2048
"""Larger pictures are shown at this long side."""

_TINT = 0.3
"""How much of a region's pixels is its tint."""

_GOLDEN = 0.618034
"""Steps of the golden section spread any number of hues evenly."""

_SMALLEST, _LARGEST = 0.6, 1.3
"""Numbers are drawn in these multiples of their size, as the region has room."""


def draw_partition(pixels: npt.NDArray[np.uint8], partition: Partition) -> Image.Image:
    """Draw a partition over its picture: each region in a tint of its own, with its id.

    Args:
        pixels: RGB `[H, W, 3]`.
        partition: of the same size.

    Returns:
        RGB picture of at most 2,048 pixels on its long side; small pictures are enlarged.

    Raises:
        DataError: the sizes differ.
    """
    height, width = pixels.shape[:2]
    if (partition.height, partition.width) != (height, width):
        raise DataError(
            f"the picture is {width}×{height} but its partition {partition.width}×"
            f"{partition.height}; resize the partition first."
        )
    ground = enlarged(Image.fromarray(fit_within(pixels, _PREVIEW_SIDE)))
    labels = labels_at(partition, ground.height, ground.width)
    image = _tinted(ground, _tints(len(partition)), labels)
    draw_borders(image, region_borders(partition, image.size), max(image.size) / 800)
    _draw_numbers(image, labels)
    return image


def _tints(count: int) -> npt.NDArray[np.uint8]:
    """A colour for each region; neighbours in number, often neighbours in place, differ most."""
    colors = [hsv_to_rgb(k * _GOLDEN % 1.0, 0.75, 1.0) for k in range(count)]
    tints: npt.NDArray[np.uint8] = np.rint(np.array(colors) * 255).astype(np.uint8)
    return tints


def _tinted(
    picture: Image.Image, tints: npt.NDArray[np.uint8], labels: npt.NDArray[Any]
) -> Image.Image:
    return Image.blend(picture, Image.fromarray(tints[labels]), _TINT)


def _draw_numbers(image: Image.Image, labels: npt.NDArray[Any]) -> None:
    """Every region's id at the roomiest place inside it."""
    size = max(image.size) / 54
    shown = np.unique(labels).tolist()
    boxes = {k: _box(str(k), size * _SMALLEST) for k in shown}
    draw = ImageDraw.Draw(image)
    for k, place in place_labels(labels, boxes).items():
        factor = min(_LARGEST, max(1.0, place.room) * _SMALLEST)
        width, height = _box(str(k), size * factor)
        x = min(max(place.x, width / 2), max(width / 2, image.width - width / 2))
        y = min(max(place.y, height / 2), max(height / 2, image.height - height / 2))
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        draw.rounded_rectangle(box, height * 0.3, fill=(20, 20, 22))
        draw.text((x, y), str(k), (255, 255, 255), _font(size * factor), anchor="mm")


def _box(number: str, size: float) -> tuple[float, float]:
    return _font(size).getlength(number) + size * 0.8, size * 1.5


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(6, round(size)))
