"""From predictions to an evaluation: agreement with human scores, overall, by group and by split."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rsfiqa.errors import DataError
from rsfiqa.learning.evaluation_files import describe_environment, write_evaluation
from rsfiqa.learning.evaluation_splits import SplitFigures, split_figures
from rsfiqa.learning.evaluation_tables import evaluation_table
from rsfiqa.learning.metrics import Correlations, bootstrap_interval, correlations

if TYPE_CHECKING:
    from rsfiqa.learning.reliability_figures import ReliabilityFigures

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Evaluation",
    "Prediction",
    "describe_environment",
    "evaluate_predictions",
    "evaluation_table",
    "write_evaluation",
]

RESAMPLES = 1000
LEVEL = 0.95
_NO_GROUP = "(no group)"
_NAMED = 3


@dataclass(frozen=True)
class Prediction:
    """What a model said of one picture, beside what people said.

    Attributes:
        image: the picture's name in the data set.
        score: predicted, on 0..100; None where the picture failed.
        target: human score, on 0..100.
        group: such as the name of a subset; empty for none.
        error: why there is no score; None where there is one.
        leak: how the picture is known to the model from training, see
            `rsfiqa.learning.evaluation_leaks`; empty where nothing says that it is.
        uncertainty, low, high: the standard deviation of the score's error and the ends of its
            90 % interval, in points, where the scorer knows them.

    Raises:
        DataError: there is both a score and an error or neither, or a number is not finite.
    """

    image: str
    score: float | None
    target: float
    group: str = ""
    error: str | None = None
    leak: str = ""
    uncertainty: float | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if (self.score is None) == (self.error is None):
            raise DataError(
                f"The prediction for {self.image} has score {self.score} and error "
                f"{self.error!r}; give either a score or the reason why there is none."
            )
        if not math.isfinite(self.target) or (
            self.score is not None and not math.isfinite(self.score)
        ):
            raise DataError(
                f"The prediction for {self.image} has score {self.score} and target {self.target}; "
                "both must be finite, and a picture without a score needs an error instead."
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """How well a model agrees with people on a data set.

    Attributes:
        predictions: all of them, failed ones too, in the order given.
        overall: agreement over the pictures that have a score.
        groups: the same for every group, sorted by name; empty where no picture has a group.
        srcc_interval, plcc_interval: 95 % bootstrap intervals over pictures of the overall SRCC
            and raw PLCC; None where the statistic does not exist.
        splits: the figures over several splits' parts; None where there are no splits.
        without_leaks: as `overall`, without the pictures that are known from training; None where
            there are none of these.
        reliability: whether uncertainties and intervals fit the errors; None without them.
    """

    predictions: tuple[Prediction, ...]
    overall: Correlations
    groups: dict[str, Correlations]
    srcc_interval: tuple[float, float] | None
    plcc_interval: tuple[float, float] | None
    splits: SplitFigures | None = None
    without_leaks: Correlations | None = None
    reliability: ReliabilityFigures | None = None

    @property
    def scored(self) -> tuple[Prediction, ...]:
        """The pictures that have a score."""
        return tuple(row for row in self.predictions if row.score is not None)

    @property
    def failures(self) -> tuple[Prediction, ...]:
        """The pictures that have none, with their errors: in no statistic."""
        return tuple(row for row in self.predictions if row.score is None)

    @property
    def leaks(self) -> tuple[Prediction, ...]:
        """The pictures that are known from training."""
        return tuple(row for row in self.predictions if row.leak)

    @staticmethod
    def group_of(row: Prediction) -> str:
        """The name in `groups` under which a picture is counted."""
        return row.group or _NO_GROUP

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single scores, ready for JSON; every statistic named for what it is."""
        failed = Counter(self.group_of(row) for row in self.failures)
        further: dict[str, Any] = {}
        if self.splits is not None:
            further["splits"] = self.splits.to_dict()
        if self.without_leaks is not None:
            further["without_leaks"] = self.without_leaks.to_dict()
            further["leaks"] = [{"image": row.image, "leak": row.leak} for row in self.leaks]
        if self.reliability is not None:
            further["reliability"] = self.reliability.to_dict()
        return {
            "pictures": len(self.predictions),
            "scored": len(self.scored),
            "failed": len(self.failures),
            "overall": {
                **self.overall.to_dict(),
                "srcc_interval": self.srcc_interval,
                "plcc_interval": self.plcc_interval,
            },
            "groups": {
                name: {**found.to_dict(), "failed": failed[name]}
                for name, found in self.groups.items()
            },
            **further,
            "failures": [{"image": row.image, "error": row.error} for row in self.failures],
            "meaning": {
                "srcc": "Spearman's rank correlation",
                "plcc": "Pearson's correlation of the raw scores",
                "plcc_logistic": "Pearson's correlation after a 4-parameter logistic fit",
                "krcc": "Kendall's tau-b",
                "rmse": "root mean square error of the raw scores, in points of 0..100",
                "rmse_logistic": "the same after the logistic fit",
                "n": "pictures with a score; failed ones are in no statistic",
                "interval": f"{LEVEL:.0%} percentile bootstrap, {RESAMPLES} resamples of pictures",
                "splits": "figures over each split's part; spread: over splits; deviation: of a sample; "
                "quartiles: first and third",
                "without_leaks": "overall, without pictures known from training",
                "reliability": "of 90 % intervals: coverage, mean width in points, interval score "
                "(lower is better); root mean square of error over uncertainty (1 is wanted); "
                "Spearman of uncertainty with absolute error",
            },
        }


def evaluate_predictions(
    rows: Iterable[Prediction], *, seed: int = 0, parts: Sequence[Collection[str]] = ()
) -> Evaluation:
    """Measure predictions against human scores.

    Pictures that failed are counted and listed, never filled in and never silently dropped.

    Args:
        rows: one prediction for each picture.
        seed: of the bootstrap.
        parts: for each split, the names of the pictures that it is measured on.

    Raises:
        DataError: there are no rows, two for one picture, or none for a picture of a split.

    Example:
        >>> rows = [Prediction(f"{i}.jpg", score=i, target=i) for i in range(9)]
        >>> found = evaluate_predictions([*rows, Prediction("x.jpg", None, 50.0, error="truncated")])
        >>> round(found.overall.srcc, 6), found.overall.n, len(found.failures)
        (1.0, 9, 1)
    """
    predictions = tuple(rows)
    if not predictions:
        raise DataError("There are no predictions to evaluate; give one for each picture.")
    repeated = [image for image, n in Counter(row.image for row in predictions).items() if n > 1]
    if repeated:
        raise DataError(
            f"{len(repeated)} pictures have more than one prediction ("
            f"{', '.join(repeated[:_NAMED])}{', ...' if len(repeated) > _NAMED else ''}); "
            "give one for each."
        )
    members: dict[str, list[Prediction]] = {}
    if any(row.group for row in predictions):
        for row in predictions:
            members.setdefault(Evaluation.group_of(row), []).append(row)
    by_name = {row.image: row for row in predictions}
    missing = sorted({name for part in parts for name in part} - by_name.keys())
    if missing:
        raise DataError(
            f"The splits name {len(missing)} pictures that have no prediction ("
            f"{', '.join(missing[:_NAMED])}{', ...' if len(missing) > _NAMED else ''}); "
            "give one for each."
        )
    scores, targets = _pairs(predictions)
    clean = [row for row in predictions if not row.leak]
    return Evaluation(
        predictions=predictions,
        overall=correlations(scores, targets),
        groups={name: correlations(*_pairs(members[name])) for name in sorted(members)},
        srcc_interval=bootstrap_interval(scores, targets, "srcc", RESAMPLES, seed, LEVEL),
        plcc_interval=bootstrap_interval(scores, targets, "plcc", RESAMPLES, seed, LEVEL),
        splits=split_figures([_pairs(by_name[name] for name in part) for part in parts])
        if parts
        else None,
        without_leaks=correlations(*_pairs(clean)) if len(clean) < len(predictions) else None,
        reliability=_reliability(predictions),
    )


def _reliability(rows: Iterable[Prediction]) -> ReliabilityFigures | None:
    told = [
        (row.score, row.target, row.uncertainty, (row.low, row.high))
        for row in rows
        if row.score is not None
        and row.uncertainty is not None
        and row.low is not None
        and row.high is not None
    ]
    if not told:
        return None
    from rsfiqa.learning.reliability_figures import reliability_figures

    scores, targets, uncertainties, intervals = zip(*told, strict=True)
    return reliability_figures(scores, targets, uncertainties, intervals)


def _pairs(rows: Iterable[Prediction]) -> tuple[list[float], list[float]]:
    scored = [(row.score, row.target) for row in rows if row.score is not None]
    return [score for score, _ in scored], [target for _, target in scored]
