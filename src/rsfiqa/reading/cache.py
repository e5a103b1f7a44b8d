"""Readings on disk: what a slow or paid reader has said of a picture is not asked again.

**Key.** The picture's pixels, the partition's label map, the reader's name and the version of the
fixed texts (`rsfiqa.reading.wording.VERSION`): change any of them, and it is another reading. A
reader's name therefore has to say everything that shapes its readings.

**What is kept.** One small JSON file a picture, with the whole probabilities: what comes back is
equal to what was read, to the last bit. Damaged and foreign files are read anew and replaced.

**Failed readings are never final.** A picture of which some regions failed is kept, but counts as
incomplete: next time its failed regions alone are read again, if the reader is a `RegionReader`,
or else the whole picture. What has been read once stays as it was read, also when it fails or
comes out otherwise the next time. A picture of which every region failed is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rsfiqa.assets import cache_folder
from rsfiqa.contents import ContentFolder, content_key
from rsfiqa.partition import Partition
from rsfiqa.reading import wording
from rsfiqa.reading.base import Reader
from rsfiqa.types import Dimension, Rating, Reading

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridFeatures

_KIND = "rsfiqa readings 1"

Pixels = npt.NDArray[np.uint8]


@runtime_checkable
class RegionReader(Protocol):
    """A reader that can also read some regions of a picture without the others."""

    def read_regions(
        self,
        pixels: Pixels,
        partition: Partition,
        regions: Sequence[int],
        grid: GridFeatures | None = None,
    ) -> Sequence[Reading]:
        """One reading for each of the given region ids, in their order; otherwise as `read`."""
        ...


def default_folder(cache: Path | None = None) -> Path:
    """Where readings are kept: `readings` in the given cache folder, or in that of the assets."""
    return (cache or cache_folder()) / "readings"


def reading_key(pixels: Pixels, partition: Partition, reader: str) -> str:
    """What the readings of a picture are kept under: 64 hexadecimal digits.

    Args:
        pixels: RGB `[H, W, 3]`.
        partition: of the picture's size.
        reader: the reader's name.
    """
    return content_key("readings", reader, wording.VERSION, pixels, partition.labels)


def is_complete(readings: Sequence[Reading]) -> bool:
    """Whether no region failed; one that the reader leaves out (`absent`) is no failure."""
    return all(reading.status != "failed" for reading in readings)


class CachedReader:
    """A reader that remembers on disk; the module's text says what.

    Args:
        reader: reads what is not kept.
        folder: where readings are kept; `default_folder()` by default. One that cannot be written
            only means that nothing is kept, which `notes` then says.

    Example:
        >>> import tempfile
        >>> from rsfiqa.reading.base import NoReader
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     reader = CachedReader(NoReader(), Path(folder))
        ...     readings = reader.read(np.zeros((4, 6, 3), np.uint8), Partition([[0] * 6] * 4))
        >>> reader.name, [reading.status for reading in readings]
        ('none', ['absent'])
    """

    def __init__(self, reader: Reader, folder: Path | None = None) -> None:
        self.reader = reader
        self._kept = ContentFolder(folder or default_folder(), _KIND)

    @property
    def name(self) -> str:
        """That of the reader: what it says does not depend on who remembers it."""
        return self.reader.name

    @property
    def encoder_name(self) -> str | None:
        """That of the reader."""
        return self.reader.encoder_name

    @property
    def folder(self) -> Path:
        """Where readings are kept."""
        return self._kept.folder

    @property
    def notes(self) -> list[str]:
        """What the user should know, such as that nothing could be kept."""
        return self._kept.notes

    def read(
        self, pixels: Pixels, partition: Partition, grid: GridFeatures | None = None
    ) -> Sequence[Reading]:
        """The kept readings where they are complete; what is missing is read and kept.

        See `rsfiqa.reading.base.Reader`.
        """
        name = self.name
        key = reading_key(pixels, partition, name)
        kept = self.kept(key, len(partition))
        if kept is not None and is_complete(kept):
            return kept
        fresh = self._read_missing(pixels, partition, grid, kept)
        if self.name != name:  # a server that could not say before which model it has
            key = reading_key(pixels, partition, self.name)
        # Looked up again: another process may have read the same picture meanwhile.
        readings = _joined(self.kept(key, len(partition)), fresh)
        if any(reading.status != "failed" for reading in readings):
            self._kept.save(key, [_to_plain(reading) for reading in readings])
        return readings

    def kept(self, key: str, regions: int | None = None) -> tuple[Reading, ...] | None:
        """What is kept under a key, complete or not; None where there is nothing sound.

        Args:
            key: from `reading_key`.
            regions: how many readings there must be; any number by default.
        """
        content = self._kept.load(key)
        try:
            readings = tuple(_from_plain(plain) for plain in content or ())
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
        return readings if readings and len(readings) == (regions or len(readings)) else None

    def _read_missing(
        self,
        pixels: Pixels,
        partition: Partition,
        grid: GridFeatures | None,
        kept: Sequence[Reading] | None,
    ) -> Sequence[Reading]:
        if kept is None or not isinstance(self.reader, RegionReader):
            return self.reader.read(pixels, partition, grid)
        failed = [k for k, reading in enumerate(kept) if reading.status == "failed"]
        again = self.reader.read_regions(pixels, partition, failed, grid)
        readings = list(kept)
        for k, reading in zip(failed, again, strict=True):
            readings[k] = reading
        return readings


def _joined(kept: Sequence[Reading] | None, fresh: Sequence[Reading]) -> tuple[Reading, ...]:
    """What is kept, with fresh readings for regions that had failed."""
    if kept is None:
        return tuple(fresh)
    return tuple(
        new if old.status == "failed" else old for old, new in zip(kept, fresh, strict=True)
    )


def _to_plain(reading: Reading) -> dict[str, Any]:
    return {
        "status": reading.status,
        "description": reading.description,
        "ratings": {d: [float(p) for p in r.probabilities] for d, r in reading.ratings.items()},
        "reason": reading.reason,
    }


def _from_plain(plain: Mapping[str, Any]) -> Reading:
    ratings: dict[Dimension, Rating] = {
        dimension: Rating(tuple(probabilities))
        for dimension, probabilities in plain["ratings"].items()
    }
    return Reading(
        status=plain["status"],
        description=plain["description"],
        ratings=ratings,
        reason=plain["reason"],
    )
