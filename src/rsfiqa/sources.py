"""One picture to work on, wherever its file is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from rsfiqa.images import LoadedImage, hash_file, load_image
from rsfiqa.images.header import header_pixels

_BYTES_A_PIXEL = 3


@dataclass(frozen=True)
class Source:
    """Where a picture comes from: a file of this machine, or bytes that are at hand.

    Other places are further classes; see `rsfiqa.distributed.pictures`.

    Attributes:
        name: what its result calls it; without `data` the path of its file.
        data: the bytes of its file.

    Example:
        >>> Source("no-such-file.jpg").estimated_pixels()
        0
        >>> Source("a picture", b"GIF89a").is_file
        False
    """

    name: str
    data: bytes | None = field(default=None, repr=False)

    @property
    def is_file(self) -> bool:
        """Whether the name is a path, at which the picture can be found again."""
        return self.data is None

    def estimated_pixels(self) -> int:
        """About how much memory it will take, in pixels, found out without decoding it.

        Its header's width times height; 0 for a file that has none, which will not be decoded.
        """
        if self.data is None:
            return header_pixels(self.name)
        # What has no header is no picture, and is held all the same.
        return max(header_pixels(self.data), len(self.data) // _BYTES_A_PIXEL)

    def fetched(self) -> Source:
        """The same with what is elsewhere brought here, once; a file stays where it is.

        Raises:
            ConfigError, ImageError: it cannot be had.
        """
        return self

    def sha256(self) -> str:
        """Hash of the file's bytes.

        Raises:
            ImageError: the file cannot be read.
        """
        if self.data is None:
            return hash_file(self.name)
        return hashlib.sha256(self.data).hexdigest()

    def load(self, max_pixels: int | None = None) -> LoadedImage:
        """The decoded picture.

        Args:
            max_pixels: the limit on its pixels; None is the default limit.

        Raises:
            ConfigError: the limit is no whole number of at least 1.
            ImageError: it cannot be read, or its size is not accepted.
        """
        given = Path(self.name) if self.data is None else self.data
        return load_image(given, name=self.name, max_pixels=max_pixels)
