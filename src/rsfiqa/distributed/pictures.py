"""One picture of a collection: a file, bytes out of a table, or an address of object storage."""

from __future__ import annotations

from dataclasses import replace

from rsfiqa.distributed.locations import is_address, read_picture
from rsfiqa.sources import Source

UNKNOWN_PIXELS = 12_000_000
"""What a picture is taken for whose size nobody has seen yet: a photograph of 12 megapixels. So about two
are fetched for each that is worked on (`rsfiqa.bulk.BATCH_PIXELS`), however large they turn out to be."""


class StoredSource(Source):
    """A source whose name may also be an address.

    Example:
        >>> StoredSource("s3://bucket/a.jpg").is_file, StoredSource("photos/a.jpg").is_file
        (False, True)
    """

    @property
    def is_file(self) -> bool:
        return super().is_file and not is_address(self.name)

    def estimated_pixels(self) -> int:
        return UNKNOWN_PIXELS if self._is_elsewhere else super().estimated_pixels()

    def fetched(self) -> StoredSource:
        """The same with the bytes of an address; a file stays where it is.

        Raises:
            ConfigError: nobody here knows the address's protocol.
            ImageError: there is nothing at the address, or it cannot be read.
        """
        return replace(self, data=read_picture(self.name)) if self._is_elsewhere else self

    @property
    def _is_elsewhere(self) -> bool:
        return self.data is None and is_address(self.name)
