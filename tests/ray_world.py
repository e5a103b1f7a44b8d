"""Assessors for workers on Ray: quick, and some of them deadly."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsfiqa.errors import AssetError, ImageError
from rsfiqa.images import LoadedImage
from rsfiqa.partition import Partition
from rsfiqa.types import Assessment, ModelInfo, RegionAssessment

INFO = ModelInfo(segmenter="grid", reader="none", scorer="fake", version="0")


@dataclass(frozen=True)
class FakeRecipe:
    """Makes assessors that score a picture by its brightness.

    Attributes:
        marks: a folder in which every assessment leaves a file, so that they can be counted.
        once: of pictures with this in their name, the first assessment kills its worker.
        always: of these, every one.
        refused: these cannot be assessed.
        broken: the model cannot be loaded.
        slow: seconds that an assessment takes.
    """

    marks: str
    once: str = "\0"
    always: str = "\0"
    refused: str = "\0"
    broken: bool = False
    slow: float = 0.0
    segmenter: str = "grid"
    regions: str | None = None
    reader: str = "none"
    device: str = "auto"
    max_pixels: int | None = None
    masks: bool = True

    def load_assessor(self, *, divided: bool = False) -> FakeAssessor:
        if self.broken:
            raise AssetError("the weights cannot be had; try again.")
        return FakeAssessor(self)

    def load_divider(self) -> FakeDivider:
        return FakeDivider()

    def worked_on(self) -> list[str]:
        """The names of pictures, once for each time that work on them was begun."""
        return sorted(path.name.partition("@")[0] for path in Path(self.marks).iterdir())

    def workers(self) -> set[int]:
        """The processes that have begun to work."""
        return {int(text) for path in Path(self.marks).iterdir() if (text := path.read_text())}


class FakeAssessor:
    info = INFO
    regions = None

    def __init__(self, recipe: FakeRecipe) -> None:
        self.recipe = recipe

    def assess(self, picture: LoadedImage, *, partition: Partition | None = None) -> Assessment:
        name = Path(picture.name).name
        mark = Path(self.recipe.marks, f"{name}@{time.time_ns()}")
        mark.write_text(str(os.getpid()))
        time.sleep(self.recipe.slow)
        first = self.recipe.worked_on().count(name) == 1
        if self.recipe.always in name or (self.recipe.once in name and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.recipe.refused in name:
            raise ImageError(f"{picture.name} is refused.")
        bright = float(picture.pixels.mean()) / 2.55
        if partition is None:
            partition = halves(picture)
        regions = tuple(
            RegionAssessment(r.id, r.area, r.bbox, bright, 1 / len(partition))
            for r in partition.regions
        )
        return Assessment(
            picture.name, picture.width, picture.height, bright, regions, partition, INFO,
            sha256=picture.sha256, notes=picture.notes,
        )  # fmt: skip

    def assess_batch(self, pictures: list[LoadedImage], *, on_error: str) -> list[Any]:
        assert on_error == "return"
        return [self.assess(picture) for picture in pictures]


class FakeDivider:
    def divide(self, picture: LoadedImage) -> Any:
        from rsfiqa.distributed.rows import Divided

        return Divided(picture, halves(picture), "grid")


def halves(picture: LoadedImage) -> Partition:
    import numpy as np

    labels = np.zeros((picture.height, picture.width), int)
    labels[:, picture.width // 2 :] = 1
    return Partition(labels)
