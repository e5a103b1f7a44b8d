"""Do readers find what was done to regions? Figures on a set of instruction data, for several raters.

The set must be made of photographs that nobody learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsfiqa.errors import DataError
from rsfiqa.images import load_image
from rsfiqa.learning.instructions import Instruction, RegionInstruction
from rsfiqa.learning.reading_metrics import FaultTable, Reliability, reading_figures, reliability
from rsfiqa.learning.reading_raters import LINEAR, READER, Levels, Rater, Studio, is_read, values_of
from rsfiqa.parallel import parallel_map
from rsfiqa.types import DIMENSIONS

RESAMPLES = 500
"""Of the photographs, for the interval of the difference between two raters."""

_COMPARED = ("naming", "overall_srcc", "auc")
_COVERED = (2.5, 97.5)


@dataclass(frozen=True, eq=False)
class RatedRegions:
    """All instructed regions of a set, as several raters see them.

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
    """Have all instructed regions of a set rated.

    Args:
        raters: by name.
        instructions: the pictures of the set, with their partitions.
        studio: what they are looked at with.
        workers: pictures side by side.
        told: called after each picture.

    Raises:
        DataError: the set instructs of no region.
        ImageError: a picture cannot be read.
    """

    def one(number: int) -> tuple[Instruction, dict[str, Levels]]:
        instruction = instructions[number]
        picture = studio.picture(load_image(instruction.image).pixels, instruction.partition)
        wanted = [region.region for region in instruction.regions]
        return instruction, {name: rater.rate(picture)[wanted] for name, rater in raters.items()}

    said: dict[str, list[Levels]] = {name: [] for name in raters}
    regions: list[RegionInstruction] = []
    sources: list[str] = []
    for instruction, found in parallel_map(one, range(len(instructions)), workers):
        for name, levels in found.items():
            said[name].append(levels)
        regions += instruction.regions
        sources += [instruction.source] * len(instruction.regions)
        told()
    if not regions:
        raise DataError("the set instructs of no region; make one with rsfiqa teach data.")
    wanted = [[region.ratings[d].probabilities for d in DIMENSIONS] for region in regions]
    return RatedRegions(
        levels={name: np.concatenate(levels) for name, levels in said.items()},
        wanted=np.array(wanted, dtype=np.float64),
        faults=FaultTable.of([region.faults for region in regions]),
        photographs=np.unique(sources, return_inverse=True)[1].astype(np.int64),
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
    faults, photographs = rated.faults.at(both), rated.photographs[both]
    members = [np.flatnonzero(photographs == p) for p in np.unique(photographs)]

    def differences(index: npt.NDArray[np.int64]) -> dict[str, float]:
        drawn = faults.at(index)
        mine, theirs = (
            asdict(reading_figures(values[name][index], drawn)) for name in (READER, LINEAR)
        )
        return {
            key: mine[key] - theirs[key]
            for key in _COMPARED
            if mine[key] is not None and theirs[key] is not None
        }

    if not members:
        return {}
    whole = differences(np.arange(len(faults)))
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {key: [] for key in whole}
    for _ in range(RESAMPLES):
        chosen = rng.integers(len(members), size=len(members))
        for key, value in differences(np.concatenate([members[i] for i in chosen])).items():
            draws.setdefault(key, []).append(value)
    found = {}
    for key, value in whole.items():
        if draws[key]:
            low, high = np.percentile(draws[key], _COVERED)
            found[key] = {"value": value, "low": float(low), "high": float(high)}
    return found
