"""Who is measured by `rsfiqa bench read`, behind one door, and the pictures that all of them see.

A rater turns a picture's regions into level probabilities. Readers are raters, and so is the linear
head that they are compared with (`rsfiqa.learning.reading_linear`). A picture's features are computed
once, whoever asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from rsfiqa.encoders.grid import GridEncoder, GridFeatures, to_tensor
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.images import PIXEL_BUDGET, resize_to_budget
from rsfiqa.partition import Partition
from rsfiqa.reading.base import Reader
from rsfiqa.reading.evidence import RegionEvidence, region_evidence
from rsfiqa.regions.base import Segmenter
from rsfiqa.types import DIMENSIONS, LEVELS, Reading

READER, LINEAR = "reader", "linear"
"""How raters are called in figures."""

Pixels: TypeAlias = npt.NDArray[np.uint8]
Levels: TypeAlias = npt.NDArray[np.float64]
"""Level probabilities `[K, 5, 5]`, dimensions by levels, best first; nan for a region not read."""

_VALUES = np.arange(len(LEVELS), 0, -1, dtype=np.float64)


class Rater(Protocol):
    """Anything that rates the regions of a picture."""

    def rate(self, picture: Picture) -> Levels:
        """The level probabilities of every region, in order of ids."""
        ...


@dataclass(frozen=True)
class Studio:
    """What pictures are looked at with.

    Attributes:
        encoder: computes features; None where nobody reads any.
        segmenter: divides pictures that come without a partition.
    """

    encoder: GridEncoder | None = None
    segmenter: Segmenter | None = None

    def picture(self, pixels: Pixels, partition: Partition | None = None) -> Picture:
        """A picture to rate.

        Args:
            pixels: RGB `[H, W, 3]`; it is rated within the pixel budget.
            partition: of the picture's size; None has it segmented.

        Raises:
            ConfigError: there is neither a partition nor a segmenter.
            DataError: the partition does not fit the picture, or is too fine for the budget.
        """
        small = resize_to_budget(pixels, PIXEL_BUDGET)
        if partition is None:
            if self.segmenter is None:
                raise ConfigError("a picture without a partition needs a segmenter; give one.")
            return Picture(small, self.segmenter, self.encoder)
        if (partition.height, partition.width) != pixels.shape[:2]:
            raise DataError(
                f"the picture is {pixels.shape[1]}×{pixels.shape[0]} but its partition "
                f"{partition.width}×{partition.height}."
            )
        fitted = partition.resize(*small.shape[:2])
        if len(fitted) != len(partition):
            raise DataError(
                f"{len(partition) - len(fitted)} of {len(partition)} regions vanish when the "
                "picture is brought within the pixel budget; measure on smaller pictures."
            )
        return Picture(small, fitted, self.encoder)


class Picture:
    """A picture within the pixel budget; what is known of it is computed when first asked for.

    Args:
        pixels: RGB `[H, W, 3]`.
        regions: its partition, or what divides it.
        encoder: see `Studio`.
    """

    def __init__(
        self, pixels: Pixels, regions: Partition | Segmenter, encoder: GridEncoder | None
    ) -> None:
        self.pixels = pixels
        self._regions = regions
        self._encoder = encoder

    @cached_property
    def partition(self) -> Partition:
        """Of the picture's size."""
        if isinstance(self._regions, Partition):
            return self._regions
        semantic = self.grid.semantic_of(0) if self._regions.needs_semantic else None
        return self._regions.segment(self.pixels, semantic)

    @cached_property
    def grid(self) -> GridFeatures:
        """The picture's features, a batch of one."""
        if self._encoder is None:
            raise ConfigError("features are asked for, but the studio has no encoder; give one.")
        device = next(self._encoder.parameters()).device
        grid: GridFeatures = self._encoder(to_tensor(self.pixels).to(device))
        return grid

    @cached_property
    def evidence(self) -> RegionEvidence:
        """What the embedded reader sees of the regions."""
        return region_evidence(self.pixels, self.partition, self.grid)

    def read_by(self, reader: Reader) -> Sequence[Reading]:
        """What a reader says of the regions, features shared where it takes them over.

        Raises:
            DataError: there is not one reading a region.
        """
        own = reader.encoder_name
        shared = own is not None and self._encoder is not None and own == self._encoder.name
        readings = reader.read(self.pixels, self.partition, self.grid if shared else None)
        if len(readings) != len(self.partition):
            raise DataError(
                f"{reader.name} gave {len(readings)} readings of {len(self.partition)} regions."
            )
        return readings


class ReaderRater:
    """A reader, as a rater.

    Args:
        reader: step 2. One that can leave out descriptions does.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = rating_only(reader)

    def rate(self, picture: Picture) -> Levels:
        """See `Rater`."""
        return levels_of(picture.read_by(self.reader))


def rating_only(reader: Reader) -> Reader:
    """The reader without its descriptions, where it can be had: they take most of its time."""
    from rsfiqa.reading.embedded import EmbeddedReader

    return reader.rating_only() if isinstance(reader, EmbeddedReader) else reader


def levels_of(readings: Sequence[Reading]) -> Levels:
    """The level probabilities of readings; nan where nothing was read."""
    unread = [[float("nan")] * len(LEVELS)] * len(DIMENSIONS)
    rows = [
        [r.ratings[d].probabilities for d in DIMENSIONS] if r.ratings else unread for r in readings
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, len(DIMENSIONS), len(LEVELS))


def values_of(levels: Levels) -> npt.NDArray[np.float64]:
    """Mean levels `[..., 5]` on 1..5 of level probabilities `[..., 5, 5]`.

    Example:
        >>> values_of(np.full((1, 5, 5), 0.2)).round(6).tolist()
        [[3.0, 3.0, 3.0, 3.0, 3.0]]
    """
    values: npt.NDArray[np.float64] = levels @ _VALUES
    return values


def is_read(levels: Levels) -> npt.NDArray[np.bool_]:
    """Which regions have been read `[K]`."""
    return np.asarray(~np.isnan(levels).any(axis=(-2, -1)))
