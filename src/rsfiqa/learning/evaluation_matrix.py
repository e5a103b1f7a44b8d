"""Several scorers on several data sets: the cross-data-set matrix, and which differences are real.

A scorer is as good as it does on pictures of other sources than those it was trained on: hence rows
of scorers and columns of sets. Differences between scorers are taken on the pictures that both
scored, and resampled together (the paired bootstrap, Efron & Tibshirani 1993), so that pictures that
are hard for both do not hide a difference.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from rsfiqa.errors import ConfigError
from rsfiqa.learning.evaluation_splits import FIGURES
from rsfiqa.learning.metrics import PairedDifference, paired_bootstrap
from rsfiqa.learning.resampling import Metric

if TYPE_CHECKING:
    from rsfiqa.learning.evaluation import Evaluation

COMPARED: tuple[Metric, ...] = ("srcc", "plcc", "rmse")
"""The figures whose differences are tested; all of raw scores."""


@dataclass(frozen=True)
class Difference:
    """How two scorers differ on one data set.

    Attributes:
        dataset, first, second: names.
        pictures: how many both scored.
        found: first less second.
    """

    dataset: str
    first: str
    second: str
    pictures: int
    found: PairedDifference

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        names = {"set": self.dataset, "first": self.first, "second": self.second}
        significant = self.found.low > 0 or self.found.high < 0
        return {
            **names,
            "pictures": self.pictures,
            **self.found.to_dict(),
            "significant": significant,
        }


@dataclass(frozen=True)
class EvaluationMatrix:
    """Evaluations of every scorer on every data set.

    Attributes:
        scorers, sets: names, in the order of rows and columns.
        cells: an evaluation for each (scorer, set).
        differences: between all pairs of scorers, later less earlier, for every figure of
            `COMPARED`; see `compare`.
    """

    scorers: tuple[str, ...]
    sets: tuple[str, ...]
    cells: Mapping[tuple[str, str], Evaluation]
    differences: tuple[Difference, ...] = ()

    def difference_to_first(
        self, scorer: str, dataset: str, figure: str
    ) -> PairedDifference | None:
        """A scorer's figure less that of the first scorer; None where it was not tested."""
        for each in self.differences:
            names = (each.first, each.second, each.dataset, each.found.metric)
            if names == (scorer, self.scorers[0], dataset, figure):
                return each.found
        return None

    def to_dict(self) -> dict[str, Any]:
        """Rows of scorers, columns of sets, and all differences, ready for JSON."""
        return {
            "scorers": list(self.scorers),
            "sets": list(self.sets),
            "pictures": self._grid(lambda cell: cell.overall.n),
            "failed": self._grid(lambda cell: len(cell.failures)),
            "known_from_training": self._grid(lambda cell: len(cell.leaks)),
            "figures": {
                name: self._grid(lambda cell, name=name: getattr(cell.overall, name))
                for name in FIGURES
            },
            "without_leaks": {
                name: self._grid(lambda cell, name=name: getattr(cell.without_leaks, name, None))
                for name in FIGURES
            },
            "median_of_splits": {
                name: self._grid(lambda cell, name=name: _median(cell, name)) for name in FIGURES
            },
            "differences": [each.to_dict() for each in self.differences],
            "meaning": {
                "figures": "a row for each scorer, a column for each set; null where there is none",
                "differences": "first less second, on the pictures that both scored; low, high: 95 % "
                "percentile interval of the paired bootstrap; significant: it leaves out 0, with no "
                "correction for the number of comparisons",
            },
        }

    def to_csv(self) -> str:
        """A line for each scorer and set, for a spreadsheet."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        medians = [f"{name}_median_of_splits" for name in FIGURES]
        writer.writerow(["scorer", "set", "pictures", "failed", *FIGURES, *medians])
        for (scorer, dataset), cell in self.cells.items():
            values = [getattr(cell.overall, name) for name in FIGURES]
            values += [_median(cell, name) for name in FIGURES]
            told = ["" if value is None else f"{value:.6f}" for value in values]
            writer.writerow([scorer, dataset, cell.overall.n, len(cell.failures), *told])
        return text.getvalue()

    def _grid(self, of: Any) -> list[list[Any]]:
        return [[of(self.cells[scorer, name]) for name in self.sets] for scorer in self.scorers]


def compare(
    scorers: Sequence[str],
    sets: Sequence[str],
    cells: Mapping[tuple[str, str], Evaluation],
    *,
    seed: int = 0,
) -> EvaluationMatrix:
    """Put evaluations side by side and test the differences between scorers.

    Args:
        scorers, sets: distinct names.
        cells: an evaluation for each (scorer, set).
        seed: of the bootstrap.

    Raises:
        ConfigError: names repeat, or an evaluation is missing.
    """
    for what, names in (("scorers", scorers), ("data sets", sets)):
        if len(set(names)) < len(names) or not names:
            raise ConfigError(f"{what} need distinct names; got {', '.join(names) or 'none'}.")
    wanted = [(scorer, name) for scorer in scorers for name in sets]
    missing = [key for key in wanted if key not in cells]
    if missing:
        raise ConfigError(f"there is no evaluation of {missing[0][0]} on {missing[0][1]}.")
    differences = []
    for name in sets:
        for earlier, later in combinations(scorers, 2):
            differences += _differences(name, (later, earlier), cells, seed)
    return EvaluationMatrix(
        tuple(scorers), tuple(sets), {key: cells[key] for key in wanted}, tuple(differences)
    )


def _differences(
    dataset: str, pair: tuple[str, str], cells: Mapping[tuple[str, str], Evaluation], seed: int
) -> list[Difference]:
    first, second = (
        {row.image: row for row in cells[name, dataset].predictions if row.score is not None}
        for name in pair
    )
    both = [image for image in first if image in second]
    targets = [first[image].target for image in both]
    found = []
    for metric in COMPARED:
        difference = paired_bootstrap(
            [first[image].score or 0.0 for image in both],
            [second[image].score or 0.0 for image in both],
            targets,
            metric,
            seed=seed,
        )
        if difference is not None:
            found.append(Difference(dataset, *pair, len(both), difference))
    return found


def _median(cell: Evaluation, figure: str) -> float | None:
    spread = cell.splits and cell.splits.spread(figure)
    return spread.median if spread else None
