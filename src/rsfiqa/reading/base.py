"""What a reader is: anything that turns a picture and its partition into readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from rsfiqa.partition import Partition
from rsfiqa.types import Reading

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridFeatures


class Reader(Protocol):
    """Step 2: says of each region what it shows and how it fares on five dimensions."""

    @property
    def name(self) -> str:
        """Identifies the reader with its version, for results and caches."""
        ...

    @property
    def encoder_name(self) -> str | None:
        """The encoder whose features the reader can take over; None when it reads pixels only."""
        ...

    def read(
        self,
        pixels: npt.NDArray[np.uint8],
        partition: Partition,
        grid: GridFeatures | None = None,
    ) -> Sequence[Reading]:
        """One reading a region of the RGB picture `[H, W, 3]`, in order of region ids.

        A region that cannot be read gives a reading that `failed` with its reason; a reader never
        raises for a picture and never makes up a value.

        Args:
            pixels: the picture.
            partition: of the picture's size.
            grid: the picture's features by the encoder named `encoder_name`, where somebody has
                computed them already; a reader computes what it needs otherwise.
        """
        ...


class NoReader:
    """Reads nothing: every reading is absent, and the scorer sees its "no reading" token."""

    name = "none"
    encoder_name: str | None = None

    def read(
        self,
        pixels: npt.NDArray[np.uint8],
        partition: Partition,
        grid: GridFeatures | None = None,
    ) -> Sequence[Reading]:
        """An absent reading for every region."""
        return [Reading()] * len(partition)
