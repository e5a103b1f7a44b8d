"""Tiny photographs whose faults are labelled, for the tests of what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from photographs import CROPS, save_photographs
from rsfiqa.learning.fault_labels import COLUMNS, LABELLED, PhotographLabels, SeenFault
from rsfiqa.types import Dimension

ALL = tuple(range(1, 10))

LINES = (
    "cat.png,3,all,0,-,0,-,0,-,2",
    "people/astronaut.png,0,-,2,14,0,-,1,123,3.5",
    "coffee.png,0,-,0,-,0,-,0,-,4.5",
)
"""One of each of `CROPS`: blurred all over; noisy at the left, a little dark above; clean."""


def labels_of(
    faults: Mapping[Dimension, tuple[float, tuple[int, ...]]], overall: float = 3.0
) -> PhotographLabels:
    """Labels of a photograph with these faults, and no others."""
    seen = {d: SeenFault(*faults.get(d, (0.0, ()))) for d in LABELLED}
    return PhotographLabels("a.png", seen, overall)


def write_labels(path: Path, *lines: str, header: str = ",".join(COLUMNS)) -> Path:
    """A CSV of labels; by default that of the photographs of `save_photographs`."""
    path.write_text("\n".join([header, *(lines or LINES)]) + "\n", encoding="utf-8")
    return path


def save_labelled(folder: Path) -> tuple[Path, Path]:
    """The CSV and the folder of photographs."""
    assert {f"{name}.png" for name in CROPS} == {line.split(",")[0] for line in LINES}
    photographs = save_photographs(folder / "photographs")
    return write_labels(folder / "labels.csv"), photographs
