"""How well a pupil does on its validation regions: one summary for every kind of pupil."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rsfiqa.learning.instructions import RegionInstruction
from rsfiqa.learning.reading_metrics import Array, reading_figures, reliability
from rsfiqa.learning.reading_raters import values_of
from rsfiqa.learning.reading_seen import seen_figures
from rsfiqa.types import DIMENSIONS


def taught_figures(
    said: Array, regions: Sequence[RegionInstruction], pictures: Sequence[int]
) -> dict[str, Any]:
    """Figures of ratings against what was taught, as plain data.

    Args:
        said: level probabilities `[N, 5, 5]`, dimensions by levels, best level first.
        regions: what each should have been.
        pictures: a number of each region's picture.

    Returns:
        those of `reading_figures` over computed regions, `calibration_error` over all, and
        `labelled`, those of `seen_figures` over regions of labelled photographs (where a
        photograph's value is the plain mean of its regions'), where there are any. Empty without
        regions.
    """
    if not len(regions):
        return {}
    wanted = np.array([[r.ratings[d].probabilities for d in DIMENSIONS] for r in regions])
    values = values_of(said.astype(np.float64))
    labelled = np.array([r.seen is not None for r in regions])
    figures = asdict(
        reading_figures(values[~labelled], [r.faults for r in regions if r.seen is None])
    )
    figures["calibration_error"] = reliability(said.astype(np.float64), wanted).error
    if labelled.any():
        found = seen_figures(
            values[labelled],
            [r.seen for r in regions if r.seen is not None],
            np.asarray(pictures)[labelled],
            np.ones(int(labelled.sum())),
            values_of(wanted)[labelled, DIMENSIONS.index("overall")],
        )
        figures["labelled"] = asdict(found)
    return figures
