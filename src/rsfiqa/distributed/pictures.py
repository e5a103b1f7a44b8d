"""One picture of a collection, wherever it is: fetched, hashed, decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsfiqa.bulk import Outcome, sentence_of
from rsfiqa.distributed.locations import is_address, read_picture
from rsfiqa.errors import ConfigError, RsfiqaError
from rsfiqa.images import LoadedImage, hash_file, load_image


@dataclass(frozen=True)
class Source:
    """Where a picture comes from.

    Attributes:
        name: what its result calls it: its path or address, or what a table calls it.
        data: the bytes of its file, where they are at hand.
    """

    name: str
    data: bytes | None = field(default=None, repr=False)

    def fetched(self) -> Source:
        """The same with the bytes of an address fetched; a file stays where it is.

        Raises:
            ConfigError, ImageError: the address cannot be read.
        """
        if self.data is None and is_address(self.name):
            return replace(self, data=read_picture(self.name))
        return self

    def sha256(self) -> str:
        """Hash of the file's bytes.

        Raises:
            ImageError: the file cannot be read.
        """
        if self.data is None:
            return hash_file(Path(self.name))
        return hashlib.sha256(self.data).hexdigest()

    def load(self, max_pixels: int | None = None) -> LoadedImage:
        """The decoded picture.

        Raises:
            ImageError: it cannot be read, or its size is not accepted.
        """
        given = Path(self.name) if self.data is None else self.data
        return load_image(given, name=self.name, max_pixels=max_pixels)


def prepare(
    source: Source,
    is_kept: Callable[[str, Callable[[], str]], bool],
    max_pixels: int | None = None,
) -> LoadedImage | Outcome[Any]:
    """The decoded picture, or its outcome where it is kept or cannot be read.

    Args:
        source: where it comes from.
        is_kept: asked with the picture's name and a function that hashes its file, before it is decoded.
        max_pixels: the limit on a picture's pixels; None is the default limit.

    Raises:
        ConfigError: a setting is wrong, which every picture would fail by.
    """
    sha256: str | None = None
    try:
        source = source.fetched()
        if is_kept(source.name, source.sha256):
            return Outcome(source.name)
        return source.load(max_pixels)
    except ConfigError:
        raise
    except Exception as error:
        try:
            sha256 = None if source.data is None and is_address(source.name) else source.sha256()
        except (OSError, RsfiqaError):
            sha256 = None
        return Outcome(source.name, error=sentence_of(error), sha256=sha256)
