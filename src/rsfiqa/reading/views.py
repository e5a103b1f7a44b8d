"""What a model sees of a region: a picture for its eyes, and a sentence that says where to look.

Two ways. `crop` cuts the region out with some context, fades what is not the region towards grey and
outlines the region from outside (fading alone could pass for a faded photograph); every region is a picture of its own, at native resolution wherever the budget of pixels
allows, since noise, blur and compression show in single pixels. `picture` shows the whole picture
and names the region by its box; all regions share one picture, which a model encodes only once,
but a large picture is shrunk and a box is not a shape.

A view above its budget is shrunk with antialiasing, which takes fine noise away and sharpens what
is slightly blurred: the model then judges the region as it looks at that size. We prefer this to
showing a sharp window of a large region, since then nobody would have looked at the rest. Whoever
has the memory raises `max_pixels`.
"""

from __future__ import annotations

from math import isqrt
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.partition import Partition

View = Literal["crop", "picture"]

VERSION = "1"
"""Part of the key of cached readings: change it whenever a view's pixels or sentences change."""

MAX_PIXELS = 512 * 512
"""The default budget of a view, in pixels: about 330 tokens of a Qwen2.5-VL."""

MIN_SIDE = 56
"""No side of a view is shorter, in pixels: models cut pictures into patches of 14 to 32 pixels, join
these two by two, and refuse pictures that have too few."""

_CONTEXT = 1 / 8
"""Context on every side of a crop, as a fraction of the longer side of the region's box."""
_GREY = 128
_KEPT = 0.3
"""How much of its distance from grey the context keeps: enough to tell what it is."""
_OUTLINE = (255, 0, 255)
"""Magenta: of the pure colors the one that photographs show least."""
_OUTLINE_WIDTH = 2


def region_view(
    pixels: npt.NDArray[np.uint8],
    partition: Partition,
    region: int,
    *,
    view: View = "crop",
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """The picture that a model is shown of one region.

    `crop`: the region's box with an eighth of its longer side as context, or more to reach
    56 pixels. The region's own pixels are untouched, one for one, unless the crop has more than
    `max_pixels`; all else keeps three tenths of its contrast and colour around a middle grey, and its two pixels
    next to the region are magenta.
    `picture`: the whole picture, unmarked. Pictures too small for that are filled up with grey on
    the right and at the bottom.

    Args:
        pixels: uint8 RGB `[H, W, 3]`.
        partition: of the picture's size.
        region: its id, 0..K-1.
        view: what is shown.
        max_pixels: the most pixels of the result, at least 56 × 56.

    Returns:
        An RGB picture with at most `max_pixels` pixels; the same arguments give the same pixels.

    Raises:
        ConfigError: the view is unknown or the budget too small.
        DataError: the pixels are not uint8 RGB of the partition's size.
        IndexError: no region has that id.

    Example:
        >>> labels = np.zeros((200, 300), int)
        >>> labels[50:100, 100:200] = 1
        >>> region_view(np.zeros((200, 300, 3), np.uint8), Partition(labels), 1).size
        (124, 74)
    """
    require_view(view, max_pixels)
    expected = (partition.height, partition.width, 3)
    if pixels.dtype != np.uint8 or pixels.shape != expected:
        raise DataError(
            f"a view needs uint8 RGB pixels of the partition's size, {expected}; got "
            f"{pixels.dtype} with shape {pixels.shape}."
        )
    if view == "picture":
        _box_of(partition, region)  # an unknown region is an error in every view
        return _shrunk(_filled(pixels, _GREY), max_pixels)
    x, y, width, height = crop_box(partition, region)
    inside = partition.labels[y : y + height, x : x + width] == region
    crop = _shrunk(_filled(pixels[y : y + height, x : x + width], _GREY), max_pixels)
    # Averaged over the area, so that a thin region pales instead of vanishing.
    covered = _shrunk(
        _filled(np.where(inside, np.uint8(255), np.uint8(0)), 0), max_pixels, box=True
    )
    return Image.fromarray(_faded(np.asarray(crop), np.asarray(covered)))


def view_instruction(
    partition: Partition, region: int, *, view: View = "crop", max_pixels: int = MAX_PIXELS
) -> str:
    """The sentences that tell a model which part of what it sees is the region.

    In the view `picture` the region is named by its box, in pixels of the view (corners `x1, y1`
    inclusive to `x2, y2` exclusive, origin at the top left), and by how much of the box it fills.

    Args:
        partition, region, view, max_pixels: as given to `region_view`.

    Raises:
        ConfigError: the view is unknown or the budget too small.
        IndexError: no region has that id.

    Example:
        >>> labels = np.zeros((200, 300), int)
        >>> labels[50:100, 100:200] = 1
        >>> view_instruction(Partition(labels), 1, view="picture")
        'The picture is 300 pixels wide and 200 high. The region lies in the box from (100, 50) to (200, 100) and fills 100 % of it. Judge the region only.'
    """
    require_view(view, max_pixels)
    left, top, width, height = _box_of(partition, region)
    if view == "crop":
        _, _, crop_width, crop_height = crop_box(partition, region)
        # Small pictures are filled up with grey, which is no part of the region either.
        if len(partition) == 1 and min(crop_width, crop_height) >= MIN_SIDE:
            return "The region is the whole picture. Judge all of it."
        return (
            "The picture is cut out around one region of a photograph. The region is the part that "
            "keeps its full colors, bounded by a magenta line; what is faded towards grey is not part "
            "of it. Judge the region only."
        )
    full_width, full_height = max(partition.width, MIN_SIDE), max(partition.height, MIN_SIDE)
    shown_width, shown_height = _size_within(full_width, full_height, max_pixels)
    # In whole numbers: the box of a thin region rounds outwards, and never out of the view.
    start = (left * shown_width // full_width, top * shown_height // full_height)
    end = (
        -(-(left + width) * shown_width // full_width),
        -(-(top + height) * shown_height // full_height),
    )
    area = partition.regions[region].area * partition.width * partition.height
    filled = max(1, round(100 * area / (width * height)))
    return (
        f"The picture is {shown_width} pixels wide and {shown_height} high. The region lies in the "
        f"box from {start} to {end} and fills {filled} % of it. Judge the region only."
    )


def crop_box(partition: Partition, region: int) -> tuple[int, int, int, int]:
    """The part of the picture that the view `crop` shows: `(x, y, width, height)` in its pixels.

    Raises:
        IndexError: no region has that id.
    """
    left, top, width, height = _box_of(partition, region)
    margin = round(_CONTEXT * max(width, height))
    x, across = _with_context(left, width, margin, partition.width)
    y, down = _with_context(top, height, margin, partition.height)
    return x, y, across, down


def require_view(view: str, max_pixels: int) -> None:
    """See that a view and its budget are accepted.

    Raises:
        ConfigError: they are not.
    """
    if view not in get_args(View):
        raise ConfigError(f"a view is {' or '.join(get_args(View))}; got {view!r}.")
    if max_pixels < MIN_SIDE**2:
        raise ConfigError(
            f"a view has a budget of at least {MIN_SIDE**2} pixels ({MIN_SIDE} × {MIN_SIDE}); "
            f"got {max_pixels}."
        )


def _box_of(partition: Partition, region: int) -> tuple[int, int, int, int]:
    if not 0 <= region < len(partition):
        raise IndexError(f"region ids run from 0 to {len(partition) - 1}; got {region}.")
    return partition.regions[region].bbox


def _with_context(start: int, length: int, margin: int, limit: int) -> tuple[int, int]:
    """A stretch with context on both sides: its start and length, inside `0..limit`."""
    wanted = min(limit, max(length + 2 * margin, MIN_SIDE))
    first = start - (wanted - length) // 2
    return min(max(first, 0), limit - wanted), wanted


def _filled(pixels: npt.NDArray[np.uint8], value: int) -> npt.NDArray[np.uint8]:
    """With more rows and columns at the bottom and on the right, up to `MIN_SIDE` of each."""
    missing = [(0, max(0, MIN_SIDE - side)) for side in pixels.shape[:2]]
    missing += [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, missing, constant_values=value)


def _shrunk(pixels: npt.NDArray[np.uint8], max_pixels: int, *, box: bool = False) -> Image.Image:
    """At most `max_pixels` of it, antialiased; as it is when it has no more.

    Bicubic, since the wider Lanczos kernel rings more at edges, which reads as over-sharpening.
    """
    picture = Image.fromarray(pixels)
    size = _size_within(*picture.size, max_pixels)
    if size == picture.size:
        return picture
    kernel = Image.Resampling.BOX if box else Image.Resampling.BICUBIC
    return picture.resize(size, kernel, reducing_gap=3.0)


def _size_within(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Width and height of the same shape within a budget; no side falls below `MIN_SIDE`."""
    if width * height <= max_pixels:
        return width, height
    # The short side first: its rounding weighs more in the shape.
    short, long = sorted((width, height))
    new_short = max(min(short, MIN_SIDE), isqrt(max_pixels * short // long))
    new_long = min(round(long * new_short / short), max_pixels // new_short)
    return (new_short, new_long) if width <= height else (new_long, new_short)


def _faded(pixels: npt.NDArray[np.uint8], covered: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Pixels `[h, w, 3]` drawn towards grey, and outlined, where the region (255) does not cover."""
    kept = _KEPT + (1 - _KEPT) * (covered.astype(np.float32) / 255)[..., None]
    faded = np.rint(_GREY + (pixels.astype(np.float32) - _GREY) * kept).astype(np.uint8)
    touched = covered > 0
    near = ndimage.binary_dilation(touched, np.ones((3, 3), bool), iterations=_OUTLINE_WIDTH)
    faded[near & ~touched] = _OUTLINE
    return faded
