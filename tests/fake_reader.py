"""A reader that makes its readings of the pixels, counts what it was asked, and fails on request."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from rsfiqa.partition import Partition
from rsfiqa.reading.wording import rating_from_logits
from rsfiqa.types import DIMENSIONS, Reading

if TYPE_CHECKING:
    from rsfiqa.encoders.grid import GridFeatures

Pixels = npt.NDArray[np.uint8]


class FakeReader:
    """Describes a region by its brightness; `failing` are the ids of regions that it cannot read."""

    encoder_name: str | None = None

    def __init__(self, name: str = "fake/1", failing: Sequence[int] = ()) -> None:
        self.name = name
        self.failing = set(failing)
        self.shapes: list[tuple[int, ...]] = []
        self.grids: list[GridFeatures | None] = []
        self.interrupted = False

    def read(
        self, pixels: Pixels, partition: Partition, grid: GridFeatures | None = None
    ) -> Sequence[Reading]:
        if self.interrupted and len(self.shapes) >= 1:
            raise KeyboardInterrupt
        self.shapes.append(pixels.shape)
        self.grids.append(grid)
        return [self.read_one(pixels, partition, k) for k in range(len(partition))]

    def read_one(self, pixels: Pixels, partition: Partition, region: int) -> Reading:
        if region in self.failing:
            return Reading(status="failed", reason=f"region {region} is refused")
        bright = float(pixels[partition.mask(region)].mean())
        ratings = {
            d: rating_from_logits([bright * (k + 1) / 97 * level for level in range(5)])
            for k, d in enumerate(DIMENSIONS)
        }
        return Reading(status="ok", description=f"brightness {bright:.1f}", ratings=ratings)


class SelectiveReader(FakeReader):
    """The same, which can also read some regions without the others."""

    def __init__(self, name: str = "fake/1", failing: Sequence[int] = ()) -> None:
        super().__init__(name, failing)
        self.asked: list[list[int]] = []

    def read_regions(
        self,
        pixels: Pixels,
        partition: Partition,
        regions: Sequence[int],
        grid: GridFeatures | None = None,
    ) -> Sequence[Reading]:
        self.asked.append(list(regions))
        return [self.read_one(pixels, partition, k) for k in regions]


def serve(monkeypatch: pytest.MonkeyPatch, reader: FakeReader) -> list[dict[str, Any]]:
    """Have the fake stand for every `server:URL`; returns the settings it is asked for with."""
    asked: list[dict[str, Any]] = []

    def from_spec(spec: str, **settings: Any) -> FakeReader:
        asked.append({"spec": spec, **settings})
        return reader

    module = ModuleType("rsfiqa.reading.server")
    module.ServerReader = SimpleNamespace(from_spec=from_spec)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rsfiqa.reading.server", module)
    return asked


def read_often(folder: str, picture: tuple[Pixels, Partition], barrier: Any) -> None:
    """Read a picture again and again while others do, another region failing each time."""
    from rsfiqa.reading.cache import CachedReader

    barrier.wait(120)
    for attempt in range(25):
        reader = CachedReader(FakeReader(failing=[attempt % 3]), Path(folder))
        statuses = [reading.status for reading in reader.read(*picture)]
        if statuses.count("failed") > 1 or reader.notes:
            sys.exit(1)
