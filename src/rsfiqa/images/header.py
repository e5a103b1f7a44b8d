"""How large a picture file is, without decoding it."""

from __future__ import annotations

import os
from io import BytesIO

from rsfiqa.errors import ImageError
from rsfiqa.images.decode import _identify
from rsfiqa.images.files import open_picture_file


def header_pixels(file: str | os.PathLike[str] | bytes) -> int:
    """The number of pixels that a picture file's header tells of; 0 where it cannot be read.

    Args:
        file: its path, or its bytes.

    Example:
        >>> header_pixels("no-such-file.jpg"), header_pixels(b"no picture")
        (0, 0)
    """
    try:
        if isinstance(file, bytes):
            width, height = _identify(BytesIO(file), "").size
        else:
            name = os.fsdecode(file)
            with open_picture_file(file, name) as stream:
                width, height = _identify(stream, name).size
    except ImageError:
        return 0
    return width * height
