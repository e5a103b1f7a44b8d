"""Making a set of instruction data from photographs whose faults somebody has labelled.

Computed faults on clean photographs are many and known to the digit, but not what cameras do. Here
the photograph stays as it is: it is divided into regions, and what was seen in the cells of a grid is
brought to them. A region that a fault's cells cover about half is rated half way, widely, and no
severity is kept for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsfiqa.errors import DataError, ImageError
from rsfiqa.images import PIXEL_BUDGET, resize_to_budget
from rsfiqa.learning.fault_labels import LABELLED, PhotographLabels
from rsfiqa.learning.instructions import Instruction, RegionInstruction
from rsfiqa.learning.labelled_regions import RegionSeverities, severities_of_regions
from rsfiqa.learning.levels import overall_shift, seen_ratings
from rsfiqa.learning.set_making import (
    Describe,
    Made,
    MakingReport,
    Segment,
    Words,
    growing_set,
    line_of,
    open_photograph,
    save_picture,
)
from rsfiqa.learning.spoiling import large_regions
from rsfiqa.parallel import cpu_workers, parallel_map

VERSION = "1"
"""Kept with a set: change it whenever the same labels give other instructions."""

KIND = "labelled"
"""What lines of such a set say of their pictures."""


def make_labelled(
    labels: Sequence[PhotographLabels],
    photographs: str | Path,
    out: str | Path,
    *,
    segment: Segment,
    describe: Describe | None = None,
    made_by: dict[str, str] | None = None,
    workers: int | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> MakingReport:
    """Make a set of instruction data from labelled photographs, or go on making it.

    A picture of the set is the photograph within the pixel budget, as readers see it. Its number is
    the place of its labels, its source the photograph's name.

    Args:
        labels: of each photograph, such as `packaged_labels("biq2021-train")`.
        photographs: the folder that their names are relative to.
        out: the folder of the set; made when needed.
        segment: pixels `[H, W, 3]` → their partition.
        describe: pixels and their partition → what each region shows, or None where nobody knows;
            None makes a set without descriptions.
        made_by: what `segment` and `describe` are, to be kept with the set.
        workers: photographs side by side; as many as there are cores by default.
        told: called with the number of further pictures that are done.

    Returns:
        what was done; photographs that are not in the folder, or cannot be read, are named there and
        are made by a later run that finds them.

    Raises:
        DataError: none of the photographs is in the folder, the folder of the set holds one made
            otherwise, or cannot be written, or another run is writing to it.
    """
    folder, out = Path(photographs), Path(out)
    require_photographs(labels, folder)
    with growing_set(out, _settings(labels, describe is not None, made_by)) as growing:
        tasks = [
            _Task(number, folder / photograph.image, photograph)
            for number, photograph in enumerate(labels)
            if number not in growing.there
        ]
        kept = len(labels) - len(tasks)
        told(kept)
        missing = tuple(task.labels.image for task in tasks if not task.path.is_file())
        found = [task for task in tasks if task.path.is_file()]
        maker = _Maker(out, segment, describe)
        done = parallel_map(maker.make, found, workers or cpu_workers())
        made, failures = growing.extend(done, told)
    return MakingReport(made, kept, failures, missing)


def require_photographs(labels: Sequence[PhotographLabels], folder: Path) -> None:
    """See that there is something to make a set of.

    Raises:
        DataError: there are no labels, or none of their photographs is in the folder.
    """
    if not labels:
        raise DataError("no labels were given; label at least one photograph.")
    if not any((folder / photograph.image).is_file() for photograph in labels):
        raise DataError(
            f"none of the {len(labels)} labelled photographs is in {folder}; name the folder that "
            f"{labels[0].image} is in."
        )


@dataclass(frozen=True, eq=False)
class _Task:
    number: int
    path: Path
    labels: PhotographLabels


@dataclass(frozen=True)
class _Maker:
    """Makes pictures, each independently of all others."""

    out: Path
    segment: Segment
    describe: Describe | None

    def make(self, task: _Task) -> Made:
        try:
            pixels = resize_to_budget(open_photograph(task.path), PIXEL_BUDGET)
        except ImageError as error:
            return Made(failure=(task.labels.image, str(error)))
        partition = self.segment(pixels)
        words = self.describe(pixels, partition) if self.describe else [None] * len(partition)
        severities = severities_of_regions(partition, task.labels)
        shift = overall_shift(task.labels.overall, list(task.labels.severities.values()))
        regions = tuple(
            _instruction_of(region, severities[region], shift, words[region])
            for region in large_regions(partition)
        )
        path = save_picture(pixels, self.out, task.number)
        instruction = Instruction(path, task.labels.image, partition, regions)
        return Made((line_of(instruction, self.out, KIND),))


def _instruction_of(
    region: int, severities: RegionSeverities, shift: float, words: Words | None
) -> RegionInstruction:
    return RegionInstruction(
        region,
        seen_ratings(severities.seen, severities.unsure, shift),
        tuple(words.descriptions) if words else (),
        words.noun if words else None,
        seen=severities.seen,
    )


def _settings(
    labels: Sequence[PhotographLabels], described: bool, made_by: dict[str, str] | None
) -> dict[str, Any]:
    rows = [
        [p.image, p.overall, *((p.faults[d].severity, p.faults[d].cells) for d in LABELLED)]
        for p in labels
    ]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return {
        "version": f"{KIND}-{VERSION}",
        "labels": f"{len(labels)} with sha256 {digest[:16]}",
        "described": described,
        **(made_by or {}),
    }
