"""Do ratings agree with the faults that people name in photographs?

People spoke of photographs, readers of regions. A photograph's value is the mean of its regions'
ratings by area: what an assessment says of a picture, too, but for the scorer's weights, which are no
business of the reader. Where people placed a fault is not used to choose regions: photographs without
the fault have no place, and the worse part of one side only would flatter the figures. The worst
region of at least 5 % of the picture stands beside it, as another rule that could be had; in macro
photographs it is often a background that is blurred on purpose, and nobody calls that a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.learning.mmp2k import MAGNITUDES, AnnotatedPhotograph
from rsfiqa.learning.reading_metrics import roc_area
from rsfiqa.learning.reading_raters import Levels, Rater, Studio, is_read, values_of
from rsfiqa.parallel import parallel_map
from rsfiqa.types import DIMENSIONS, Dimension

FACTOR_GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "blur": ("out of focus", "motion blur"),
        "exposure": ("underexposure", "overexposure"),
        "noise and artifact": ("noise and artifact",),
    }
)
"""What people named, as dimensions can tell it apart."""

RATED_BY: Mapping[str, tuple[Dimension, ...]] = MappingProxyType(
    {"blur": ("blur",), "exposure": ("color",), "noise and artifact": ("noise", "artifact")}
)
"""The dimensions that answer for each group; of two the worse one does."""

COUNTED = ("medium", "strong")
"""A photograph has a fault from here on; mild ones are neither with nor without it."""

LARGE = 0.05
"""Smaller regions, as fractions of the picture, cannot be its worst."""

MEAN, WORST = "mean_by_area", "worst_region"
_Floats = npt.NDArray[np.float64]


def measure_people(
    raters: Mapping[str, Rater],
    photographs: Sequence[AnnotatedPhotograph],
    studio: Studio,
    *,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """How well ratings tell photographs with a fault from those without it.

    Args:
        raters: by name.
        photographs: with what people said.
        studio: what they are divided and looked at with.
        workers: photographs side by side.
        told: called after each photograph.

    Returns:
        `pictures`; `cases`, by group how many photographs are `with` (medium or strong) and
        `without` the fault; and `rows`, by rater: `failed` (photographs of which no region could be
        read), and by group the area under the ROC, `auc` by the mean and `auc_worst_region` by the
        worst region, and `by_magnitude` for each magnitude alone against photographs without it.

    Raises:
        DataError: there are no photographs.
        ImageError: a photograph cannot be read.
    """
    if not photographs:
        raise DataError("agreement with people needs photographs; none was given.")

    def one(photograph: AnnotatedPhotograph) -> dict[str, dict[str, _Floats]]:
        picture = studio.picture(load_image(photograph.path).pixels)
        rated = {name: rater.rate(picture) for name, rater in raters.items()}
        areas = np.array([region.area for region in picture.partition.regions])
        return {name: picture_values(levels, areas) for name, levels in rated.items()}

    values: dict[str, dict[str, list[_Floats]]] = {n: {MEAN: [], WORST: []} for n in raters}
    for found in parallel_map(one, photographs, workers):
        for name, rules in found.items():
            for rule, row in rules.items():
                values[name][rule].append(row)
        told()
    magnitudes = {group: _magnitudes(photographs, group) for group in FACTOR_GROUPS}
    counted = [MAGNITUDES.index(m) + 1 for m in COUNTED]
    return {
        "pictures": len(photographs),
        "cases": {
            group: {"with": int(np.isin(found, counted).sum()), "without": int((found == 0).sum())}
            for group, found in magnitudes.items()
        },
        "rows": {
            name: _row({rule: np.array(rows) for rule, rows in rules.items()}, magnitudes)
            for name, rules in values.items()
        },
    }


def picture_values(levels: Levels, areas: _Floats) -> dict[str, _Floats]:
    """A picture's mean levels `[5]` from those of its regions, by both rules; nan if none was read.

    Args:
        levels: `[K, 5, 5]`.
        areas: fractions of the picture, `[K]`.

    Example:
        >>> levels = np.zeros((2, 5, 5))
        >>> levels[0, :, 0], levels[1, :, 4] = 1, 1  # excellent, and bad in a small corner
        >>> {rule: values.tolist()[0] for rule, values in picture_values(levels, [0.96, 0.04]).items()}
        {'mean_by_area': 4.84, 'worst_region': 5.0}
    """
    areas = np.asarray(areas)
    read = is_read(levels)
    if not read.any():
        return {rule: np.full(len(DIMENSIONS), np.nan) for rule in (MEAN, WORST)}
    values, areas = values_of(levels[read]), areas[read]
    large = areas >= LARGE
    return {
        MEAN: np.average(values, axis=0, weights=areas),
        WORST: (values[large] if large.any() else values).min(axis=0),
    }


def _magnitudes(photographs: Sequence[AnnotatedPhotograph], group: str) -> npt.NDArray[np.int64]:
    """The greatest magnitude of a group's factors, 1 to 3, and 0 without any."""
    found = [
        max(
            (
                MAGNITUDES.index(annotation.magnitude) + 1
                for annotation in photograph.annotations
                if annotation.factor in FACTOR_GROUPS[group]
            ),
            default=0,
        )
        for photograph in photographs
    ]
    return np.array(found, dtype=np.int64)


def _row(
    values: Mapping[str, _Floats], magnitudes: Mapping[str, npt.NDArray[np.int64]]
) -> dict[str, Any]:
    read = ~np.isnan(values[MEAN]).any(axis=1)
    row: dict[str, Any] = {"failed": int((~read).sum())}
    for group, dimensions in RATED_BY.items():
        columns = [DIMENSIONS.index(d) for d in dimensions]
        found = magnitudes[group][read]
        by_rule = {rule: rows[read][:, columns].min(axis=1) for rule, rows in values.items()}
        without = found == 0
        counted = np.isin(found, [MAGNITUDES.index(m) + 1 for m in COUNTED])
        mean, worst = by_rule[MEAN], by_rule[WORST]
        row[group] = {
            "auc": roc_area(mean[without], mean[counted]),
            "auc_worst_region": roc_area(worst[without], worst[counted]),
            "by_magnitude": {
                magnitude: roc_area(mean[without], mean[found == level])
                for level, magnitude in enumerate(MAGNITUDES, start=1)
            },
        }
    return row
