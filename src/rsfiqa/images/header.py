"""How large a picture file is, without decoding it."""

from __future__ import annotations

import os

from rsfiqa.errors import ImageError
from rsfiqa.images.decode import _identify
from rsfiqa.images.files import open_picture_file


def header_pixels(path: str | os.PathLike[str]) -> int:
    """The number of pixels that a picture file's header tells of; 0 where it cannot be read.

    Example:
        >>> header_pixels("no-such-file.jpg")
        0
    """
    name = os.fsdecode(path)
    try:
        with open_picture_file(path, name) as file:
            width, height = _identify(file, name).size
    except ImageError:
        return 0
    return width * height
