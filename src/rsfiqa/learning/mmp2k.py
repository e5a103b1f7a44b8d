"""Reader of MMP-2k: macro photographs, and the faults that people named in them.

The data set is under CC BY-NC-SA 4.0: it serves to validate readings, and nothing that ships is
trained on it.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsfiqa.errors import DataError

SCORES_FILE = "scores.csv"
FACTORS = ("out of focus", "motion blur", "noise and artifact", "underexposure", "overexposure")
MAGNITUDES = ("mild", "medium", "strong")


@dataclass(frozen=True)
class Annotation:
    """One fault that people named.

    Attributes:
        factor: one of `FACTORS`.
        magnitude: one of `MAGNITUDES`.
        position: where, in words such as `entire image` or `bottom left`.
    """

    factor: str
    magnitude: str
    position: str


@dataclass(frozen=True)
class AnnotatedPhotograph:
    """A photograph with what people said of it; without annotations, they found no fault."""

    path: Path
    annotations: tuple[Annotation, ...]


def read_mmp2k(folder: Path) -> list[AnnotatedPhotograph]:
    """The photographs of the set, in the order of its table.

    Annotations that were left blank are left out.

    Args:
        folder: holds `scores.csv`, with the columns `image` and `distortion_annotation`, and the
            pictures it names.

    Raises:
        DataError: the table cannot be read or is not that of MMP-2k, or a picture is missing.
    """
    table = folder / SCORES_FILE
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{table} cannot be read ({error}); --people names a folder of MMP-2k."
        ) from error
    if not rows or not {"image", "distortion_annotation"} <= set(rows[0]):
        raise DataError(
            f"{table} needs a row a photograph, with the columns image and distortion_annotation."
        )
    photographs = [_photograph(folder, row, line) for line, row in enumerate(rows, start=2)]
    missing = [photograph.path for photograph in photographs if not photograph.path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(photographs)} photographs are missing, such as {missing[0]}."
        )
    return photographs


def _photograph(folder: Path, row: dict[str, Any], line: int) -> AnnotatedPhotograph:
    try:
        entries = json.loads(row["distortion_annotation"])
        found = [Annotation(e["factor"], e["magnitude"], e["position"]) for e in entries]
        path = folder / row["image"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"line {line} of {folder / SCORES_FILE} is no row of MMP-2k: {error!r}."
        ) from error
    for annotation in found:
        known = annotation.factor in FACTORS and annotation.magnitude in MAGNITUDES
        if annotation.factor and not known:
            raise DataError(
                f"line {line} of {folder / SCORES_FILE} names {annotation.magnitude!r} "
                f"{annotation.factor!r}; factors are {', '.join(FACTORS)}, each "
                f"{', '.join(MAGNITUDES)}."
            )
    return AnnotatedPhotograph(path, tuple(a for a in found if a.factor))
