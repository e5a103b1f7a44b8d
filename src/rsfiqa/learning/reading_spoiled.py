"""Do readers find what was done to regions? Figures on a set of instruction data, for several raters.

The set must be made of photographs that nobody learned from. Regions whose faults somebody saw are
neither clean nor spoiled: they are left out here, and measured by `rsfiqa.learning.reading_labelled`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.learning.instructions import Instruction
from rsfiqa.learning.reading_metrics import FaultTable, Reliability, reading_figures, reliability
from rsfiqa.learning.reading_rated import rate_instructed
from rsfiqa.learning.reading_raters import LINEAR, READER, Levels, Rater, Studio, is_read, values_of
from rsfiqa.learning.reading_resampling import Members, differences_of, differences_with_intervals
from rsfiqa.types import DIMENSIONS

_COMPARED = ("naming", "overall_srcc", "auc")


@dataclass(frozen=True, eq=False)
class RatedRegions:
    """All clean and spoiled regions of a set, as several raters see them.

    Attributes:
        levels: by rater, the level probabilities `[N, 5, 5]`; nan where a region was not read.
        wanted: by the labels, `[N, 5, 5]`.
        faults: what was done.
        photographs: the number of each region's clean photograph, `[N]`.
    """

    levels: Mapping[str, Levels]
    wanted: Levels
    faults: FaultTable
    photographs: npt.NDArray[np.int64]


def rate_spoiled(
    raters: Mapping[str, Rater],
    instructions: Sequence[Instruction],
    studio: Studio,
    *,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> RatedRegions:
    """Have all clean and spoiled regions of a set rated.

    Args:
        raters: by name.
        instructions: the pictures of the set, with their partitions.
        studio: what they are looked at with.
        workers: pictures side by side.
        told: called after each picture.

    Raises:
        DataError: the set instructs of no such region.
        ImageError: a picture cannot be read.
    """
    rated = rate_instructed(
        raters,
        instructions,
        studio,
        belongs=lambda region: region.seen is None,
        workers=workers,
        told=told,
    )
    if not len(rated):
        raise DataError(
            "the set instructs of no region that is clean or spoiled; make one with rsfiqa teach data."
        )
    wanted = [[region.ratings[d].probabilities for d in DIMENSIONS] for region in rated.regions]
    return RatedRegions(
        levels=rated.levels,
        wanted=np.array(wanted, dtype=np.float64),
        faults=FaultTable.of([region.faults for region in rated.regions]),
        photographs=np.unique(rated.sources, return_inverse=True)[1].astype(np.int64),
    )


def spoiled_figures(rated: RatedRegions, *, seed: int = 0) -> dict[str, Any]:
    """The figures of every rater over the regions that it could read.

    Args:
        rated: see `rate_spoiled`.
        seed: of the resampling.

    Returns:
        `photographs`, `regions`; `rows`, by rater the fields of
        `rsfiqa.learning.reading_metrics.ReadingFigures`, `failed` (regions that it could not read)
        and `calibration` (the expected `error` and the `bins` over all dimensions, and the error
        `by_dimension`); and where both the reader and the linear head are there, `difference`: the
        reader's figure less the linear head's with its 95 % interval, by bootstrap over photographs.
    """
    found: dict[str, Any] = {
        "photographs": len(np.unique(rated.photographs)),
        "regions": len(rated.faults),
        "rows": {name: _row(rated, name) for name in rated.levels},
    }
    if READER in rated.levels and LINEAR in rated.levels:
        found["difference"] = _difference(rated, seed)
    return found


def reliability_of(rated: RatedRegions, rater: str, dimension: int | None = None) -> Reliability:
    """Whether a rater's probabilities, of all dimensions or of one, mean what they say.

    Raises:
        DataError: the rater could read no region.
    """
    read = is_read(rated.levels[rater])
    if not read.any():
        raise DataError(f"the {rater} could read no region of the set.")
    chosen = slice(None) if dimension is None else slice(dimension, dimension + 1)
    return reliability(rated.levels[rater][read][:, chosen], rated.wanted[read][:, chosen])


def _row(rated: RatedRegions, name: str) -> dict[str, Any]:
    levels = rated.levels[name]
    read = is_read(levels)
    figures = asdict(reading_figures(values_of(levels[read]), rated.faults.at(read)))
    row: dict[str, Any] = {**figures, "failed": int((~read).sum())}
    if read.any():
        whole = reliability_of(rated, name)
        row["calibration"] = {
            "error": whole.error,
            "by_dimension": {
                d: reliability_of(rated, name, k).error for k, d in enumerate(DIMENSIONS)
            },
            "bins": {key: list(values) for key, values in asdict(whole).items()},
        }
    return row


def _difference(rated: RatedRegions, seed: int) -> dict[str, dict[str, float]]:
    """On the regions that both could read; photographs are drawn whole, with all their regions."""
    both = is_read(rated.levels[READER]) & is_read(rated.levels[LINEAR])
    values = {name: values_of(rated.levels[name][both]) for name in (READER, LINEAR)}
    faults = rated.faults.at(both)

    def differences(members: Members) -> dict[str, float]:
        index = np.concatenate(members)
        drawn = faults.at(index)
        mine, theirs = (
            asdict(reading_figures(values[name][index], drawn)) for name in (READER, LINEAR)
        )
        return differences_of(mine, theirs, _COMPARED)

    return differences_with_intervals(differences, rated.photographs[both], seed=seed)
