"""What a reader is: anything that turns a picture and its partition into readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rsfiqa.partition import Partition
from rsfiqa.types import Reading


class Reader(Protocol):
    """Step 2: says of each region what it shows and how it fares on five dimensions."""

    @property
    def name(self) -> str:
        """Identifies the reader with its version, for results and caches."""
        ...

    def read(self, pixels: npt.NDArray[np.uint8], partition: Partition) -> Sequence[Reading]:
        """One reading a region of the RGB picture `[H, W, 3]`, in order of region ids.

        A region that cannot be read gives a reading that `failed` with its reason; a reader never
        raises for a picture and never makes up a value.
        """
        ...


class NoReader:
    """Reads nothing: every reading is absent, and the scorer sees its "no reading" token."""

    name = "none"

    def read(self, pixels: npt.NDArray[np.uint8], partition: Partition) -> Sequence[Reading]:
        """An absent reading for every region."""
        return [Reading()] * len(partition)
