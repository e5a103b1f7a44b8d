"""How large and how small a picture may be."""

from __future__ import annotations

import os

from rsfiqa.errors import ConfigError, ImageError

MAX_PIXELS = 200_000_000
"""The most pixels that a picture may have, unless `RSFIQA_MAX_PIXELS` or an argument says otherwise."""

MIN_SIDE = 32
"""The fewest pixels along either side: below it there is nothing to tell quality from."""

_VARIABLE = "RSFIQA_MAX_PIXELS"


def pixel_limit(max_pixels: int | None) -> int:
    """The limit in force: the argument, else `RSFIQA_MAX_PIXELS`, else `MAX_PIXELS`.

    Raises:
        ConfigError: the limit is not a whole number of at least 1.

    Example:
        >>> pixel_limit(1_000_000)
        1000000
    """
    if max_pixels is not None:
        if max_pixels < 1:
            raise ConfigError(f"max_pixels must be at least 1; got {max_pixels}.")
        return max_pixels
    text = os.environ.get(_VARIABLE, "").strip()
    if not text:
        return MAX_PIXELS
    try:
        limit = int(text)
    except ValueError:
        limit = 0
    if limit < 1:
        raise ConfigError(
            f"the environment variable {_VARIABLE} must be a whole number of pixels of at least 1, "
            f"such as {MAX_PIXELS}; got {text!r}."
        )
    return limit


def check_size(width: int, height: int, name: str, *, max_pixels: int, min_side: int) -> None:
    """Refuse a picture that is too large or too small.

    Raises:
        ImageError: `width * height` is over `max_pixels`, or a side is under `min_side`.
    """
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width}x{height} = {width * height:,} pixels, over the limit of "
            f"{max_pixels:,}; make it smaller, or raise the limit with max_pixels or {_VARIABLE}."
        )
    if min(width, height) < min_side:
        raise ImageError(
            f"{name} has {width}x{height} pixels; both sides must have at least {min_side}."
        )
