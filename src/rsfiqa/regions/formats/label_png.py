"""Label maps as PNG: the grey value (or the palette's index) of a pixel is its label."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from rsfiqa.errors import DataError
from rsfiqa.images.limits import pixel_limit
from rsfiqa.partition import Partition
from rsfiqa.regions.formats.files import read_bytes, write_bytes

MOST_REGIONS = 1 << 16
"""What 16 bits tell apart."""

_LABEL_MODES = ("1", "L", "P", "I;16", "I")


def write(partition: Partition, path: Path) -> None:
    """Write the label map as 16-bit grey PNG.

    Raises:
        DataError: it cannot be written, or there are more than `MOST_REGIONS` regions.
    """
    if len(partition) > MOST_REGIONS:
        raise DataError(
            f"a 16-bit label PNG holds {MOST_REGIONS:,} regions at most; this partition has "
            f"{len(partition):,}; write it as npy or panoptic."
        )
    buffer = BytesIO()
    Image.fromarray(partition.labels.astype(np.uint16)).save(buffer, format="PNG")
    write_bytes(buffer.getvalue(), path)


def read(path: Path) -> Partition:
    """The partition of a label PNG; ids with gaps are renumbered in ascending order.

    Raises:
        DataError: it cannot be read, or is in colour.
    """
    return Partition.from_labels(decode(path, modes=_LABEL_MODES).astype(np.int32))


def is_color(path: Path) -> bool:
    """Whether a PNG has colours of its own, not an index into a palette.

    Raises:
        DataError: it cannot be read.
    """
    return _open(path).mode not in _LABEL_MODES


def decode(path: Path, modes: tuple[str, ...] = ()) -> npt.NDArray[Any]:
    """The values of a PNG as they are stored: `[H, W]`, or `[H, W, C]` in colour.

    Args:
        path: the file.
        modes: the modes (in Pillow's words) that are accepted; all by default.

    Raises:
        DataError: it cannot be read, is too large, or of another mode.
    """
    image = _open(path)
    if modes and image.mode not in modes:
        raise DataError(
            f"{path} is in colour ({image.mode}), so its values are no labels; save it as grey or "
            "palette PNG, or put the JSON of its segments (COCO panoptic) beside it."
        )
    if image.width * image.height > pixel_limit(None):
        raise DataError(
            f"{path} has {image.width}×{image.height} pixels, over the limit of "
            f"{pixel_limit(None):,}; make it smaller, or raise RSFIQA_MAX_PIXELS."
        )
    try:
        values = np.asarray(image)
    except _BROKEN as error:
        raise DataError(f"{path} is damaged: {error}.") from error
    return values.astype(np.uint8) if values.dtype == bool else values


_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError)


def _open(path: Path) -> PngImageFile:
    # Not Image.open: a label map is as large as its picture, and has the same limit.
    try:
        return PngImageFile(BytesIO(read_bytes(path)))
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(f"{path} is no PNG, or damaged: {error}.") from error
