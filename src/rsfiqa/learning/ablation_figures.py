"""The figures of an ablation: means over seeds, and which differences are beyond chance.

Variants are compared by the mean of their seeds' figures. Pictures are resampled (the paired
bootstrap, Efron & Tibshirani 1993), the same ones for both variants and all seeds. The interval says
what other pictures might have given; what other seeds might have is not in it, and is told by the
deviation between seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from rsfiqa.learning.ablation import Variant
from rsfiqa.learning.evaluation import Evaluation
from rsfiqa.learning.evaluation_splits import FIGURES
from rsfiqa.learning.resampling import Floats, percentile_interval, resampled_means

Compared = Literal["srcc", "plcc"]
COMPARED: tuple[Compared, ...] = ("srcc", "plcc")
"""The figures whose differences are tested; both of raw scores."""

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class MeanDifference:
    """How two variants differ in the mean of a figure over seeds.

    Attributes:
        first, second: names of the variants.
        metric: the figure; higher is better.
        difference: of the first less that of the second, on all pictures.
        low, high: percentile interval over resamples of the pictures.
    """

    first: str
    second: str
    metric: Compared
    difference: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0; there is no correction for many comparisons."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return {**asdict(self), "significant": self.significant}


@dataclass(frozen=True)
class Ablation:
    """What the variants gave.

    Attributes:
        runs: for each variant the evaluations of its seeds, all of the same pictures.
        seeds: in the order of the evaluations.
    """

    runs: Mapping[Variant, Sequence[Evaluation]]
    seeds: tuple[int, ...]

    def values(self, variant: Variant, figure: str) -> list[float | None]:
        """One of `FIGURES`, of each seed."""
        return [getattr(each.overall, figure) for each in self.runs[variant]]

    def mean(self, variant: Variant, figure: str) -> float | None:
        """The mean over seeds; None where one of them has no such figure."""
        found = self.values(variant, figure)
        return None if None in found else statistics.fmean(v for v in found if v is not None)

    def deviation(self, variant: Variant, figure: str) -> float | None:
        """Standard deviation between seeds, of a sample; None for fewer than two."""
        found = [value for value in self.values(variant, figure) if value is not None]
        return statistics.stdev(found) if len(found) == len(self.seeds) > 1 else None

    def difference(
        self, first: Variant, second: Variant, metric: Compared
    ) -> MeanDifference | None:
        """One variant less another; None where the figure does not exist, or both are the same.

        Args:
            first, second: of the ablation.
            metric: the figure.
        """
        means = self.mean(first, metric), self.mean(second, metric)
        if first == second or means[0] is None or means[1] is None:
            return None
        one, other = (self._resampled[variant, metric] for variant in (first, second))
        interval = percentile_interval(one - other, LEVEL)
        if interval is None:
            return None
        return MeanDifference(first.name, second.name, metric, means[0] - means[1], *interval)

    def to_dict(self) -> dict[str, Any]:
        """All figures and the differences of all pairs, later less earlier, ready for JSON."""
        variants = list(self.runs)
        pairs = [(later, earlier) for i, later in enumerate(variants) for earlier in variants[:i]]
        differences = [self.difference(*pair, metric) for pair in pairs for metric in COMPARED]
        return {
            "seeds": list(self.seeds),
            "pictures": next(iter(self.runs.values()))[0].overall.n,
            "variants": {
                variant.name: {
                    figure: {
                        "mean": self.mean(variant, figure),
                        "deviation": self.deviation(variant, figure),
                        "each": self.values(variant, figure),
                    }
                    for figure in FIGURES
                }
                for variant in variants
            },
            "differences": [found.to_dict() for found in differences if found is not None],
            "meaning": {
                "each": "figures on the validation pictures, in the order of the seeds; all of the "
                "last epoch",
                "plcc": "of the raw scores; plcc_logistic: after a 4-parameter logistic fit",
                "deviation": "standard deviation between seeds, of a sample",
                "differences": "of the means over seeds, first less second; low, high: "
                f"{LEVEL:.0%} percentile interval of the paired bootstrap over pictures, "
                f"{RESAMPLES} resamples; significant: it leaves out 0, with no correction for the "
                "number of comparisons",
            },
        }

    @cached_property
    def _resampled(self) -> dict[tuple[Variant, Compared], Floats]:
        """For each variant the resampled means over seeds, all of the same draws."""
        first = next(iter(self.runs.values()))[0]
        wanted = np.array([row.target for row in first.predictions])
        return {
            (variant, metric): resampled_means(
                [[row.score or 0.0 for row in each.predictions] for each in runs],
                wanted,
                metric,
                resamples=RESAMPLES,
            )
            for variant, runs in self.runs.items()
            for metric in COMPARED
        }
