"""From a data set's name and a copy of it to scored pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rsfiqa.errors import DataError
from rsfiqa.learning.known_sets.catalog import describe
from rsfiqa.learning.known_sets.entries import Copy, faults_of, read_copy

if TYPE_CHECKING:
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.known_sets.description import Description, Scale

_NAMED_FOLDER = re.compile(r"(?P<name>[A-Za-z0-9][\w-]+):(?P<folder>.+)", re.DOTALL)
_SHOWN = 3


def named_set(source: str | Path) -> tuple[Description, Path] | None:
    """What `NAME:FOLDER` stands for; None for anything that is a path, or looks like one.

    Raises:
        ConfigError: it has that form, but no data set has that name.

    Example:
        >>> description, folder = named_set("koniq10k:/data/koniq")
        >>> description.title, folder.as_posix()
        ('KonIQ-10k', '/data/koniq')
        >>> named_set("scores.csv")
    """
    found = _NAMED_FOLDER.fullmatch(str(source))
    if found is None or Path(source).exists():
        return None
    return describe(found["name"]), Path(found["folder"]).expanduser()


def load_set(description: Description, folder: str | Path) -> ScoredImages:
    """The pictures of a copy with their scores, in the order of its labels.

    Every picture must be there, once, with a score on the set's scale: a copy with a fault is
    refused, not read in part. `rsfiqa data check` lists all faults.

    Args:
        description: of the data set; `catalog.describe` has those of the field.
        folder: of the copy.

    Returns:
        Scores on 0..100, higher better; `group` is the reference where the set has references
        (and `by_reference` says so), or else a subset; `split` is the official one.

    Raises:
        DataError: the copy is not as described.
        MissingExtraError: labels are in a workbook, and nothing is installed that reads those.
    """
    from rsfiqa.learning.datasets import ScoredImages

    if description.scale is None:
        return ScoredImages.from_csv(folder)
    copy = read_copy(description, folder)
    faults = faults_of(copy)
    if faults:
        told = "; ".join(
            f"{fault.what} ({len(fault.items)}): {', '.join(fault.items[:_SHOWN])}"
            f"{', ...' if len(fault.items) > _SHOWN else ''}"
            for fault in faults
        )
        raise DataError(
            f"{description.title} in {copy.folder} has {told}. "
            f"rsfiqa data check {description.name} {copy.folder} lists them."
        )
    return _scored(copy, description.scale)


def _scored(copy: Copy, scale: Scale) -> ScoredImages:
    from rsfiqa.learning.datasets import ScoredImage, ScoredImages

    # As for a CSV: normpath rather than resolve, so that links stay what they are.
    folder = Path(os.path.normpath(copy.folder.absolute()))
    rows = []
    for entry in copy.entries:
        score = entry.score or 0.0  # never None: that is a fault
        above_worst = scale.high - score if scale.lower_is_better else score - scale.low
        rows.append(
            ScoredImage(
                path=folder / entry.image,
                image=entry.image,
                mos=score,
                score=100 * above_worst / (scale.high - scale.low),
                split=entry.split,
                group=entry.group,
            )
        )
    return ScoredImages(
        tuple(rows),
        (scale.low, scale.high),
        lower_is_better=scale.lower_is_better,
        by_reference=bool(copy.layout.reference),
    )
