"""Fitting a scorer's reliability: its uncertainty, and what the training pictures are like.

Training pictures say what is familiar, and which kinds of pictures are hard; how large errors are is
calibrated on held-out pictures alone. These are the same that chose the epoch, which flatters the
scorer slightly, and so its intervals. The figures are cross-validated: each held-out picture is
judged by what the others gave.

Tried on BIQ2021 (3,700 and 500 pictures, frozen backbones, three members) and left out, since they
told nothing of the errors beyond level and kind: the members' disagreement, the spread of region
scores within the picture, and the distance to the training pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsfiqa.errors import DataError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.joint_sets import JointSets
from rsfiqa.learning.reliability_figures import ReliabilityFigures, reliability_figures
from rsfiqa.learning.training import predict
from rsfiqa.scoring.familiarity import Familiarity
from rsfiqa.scoring.model import RegionScorer
from rsfiqa.scoring.reliability import Reliability
from rsfiqa.scoring.uncertainty import (
    COVERAGE,
    LEAST_ERROR,
    Uncertainty,
    kind_ratio,
    level_basis,
)

LEAST_PICTURES = 20
"""From fewer training or held-out pictures nothing can be said."""

COMPONENTS = 32
BANK = 4096
"""Most training pictures that are kept to measure distances to."""

_FOLDS = 10
_INNER_FOLDS = 5
_SHRINKAGE = 0.25
_ROUNDS = 5
_NO_VARIANCE = 1e-6
"""Of standardised features: what varies less does so by rounding."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """Pictures that a scorer has judged.

    Attributes:
        contexts: `[N, D]`, standardised whole-picture features, without fine-tuned branches' logits.
        predicted, scores: `[N]`, by the scorer and by people, 0..100. Pictures whose human score is
            not on the scorer's scale have NaN: they are familiar, and nothing is known of errors.
    """

    contexts: Tensor
    predicted: Array
    scores: Array

    @classmethod
    def by(
        cls, scorer: RegionScorer, pictures: Iterable[PictureFeatures], scores: Sequence[float]
    ) -> Judged:
        """Have a scorer judge pictures; only a few are in memory at a time if they are made so."""
        contexts: list[Tensor] = []
        predicted: list[float] = []
        chunk: list[PictureFeatures] = []
        width = scorer.config.frozen_dim

        def judge() -> None:
            predicted.extend(predict(scorer, chunk))
            contexts.extend(picture.context.float().cpu()[:width] for picture in chunk)
            chunk.clear()

        for picture in pictures:
            chunk.append(picture)
            if len(chunk) == 256:
                judge()
        if chunk:
            judge()
        stacked = torch.stack(contexts) if contexts else torch.zeros(0, 0)
        return cls(stacked, np.array(predicted), np.asarray(scores, dtype=np.float64))

    @property
    def errors(self) -> Array:
        return np.abs(self.scores - self.predicted)

    @property
    def scored(self) -> Judged:
        """Those that have a human score on the scorer's scale."""
        known = np.isfinite(self.scores)
        return Judged(
            self.contexts[torch.from_numpy(known)], self.predicted[known], self.scores[known]
        )


def fit_reliability(
    scorer: RegionScorer,
    training: Sequence[PictureFeatures],
    training_scores: Sequence[float],
    validation: Sequence[PictureFeatures],
    validation_scores: Sequence[float],
    *,
    sets: JointSets | None = None,
) -> Reliability | None:
    """What a trained scorer knows of its own reliability.

    Args:
        scorer: trained.
        training, training_scores: features as the scorer was shown them, and human scores, 0..100.
        validation, validation_scores: the same of pictures that were not trained on.
        sets: which picture is of which data set, where there are several: all are familiar, while
            errors are those on the first set, whose scale the scorer has.

    Returns:
        None with fewer than `LEAST_PICTURES` of either: nothing is known, and nothing is claimed.
    """
    wanted, held = list(training_scores), list(validation_scores)
    if sets is not None:
        wanted = [s if i == 0 else math.nan for s, i in zip(wanted, sets.training, strict=True)]
        held = [s if i == 0 else math.nan for s, i in zip(held, sets.validation, strict=True)]
    if min(np.isfinite(wanted).sum(), np.isfinite(held).sum()) < LEAST_PICTURES:
        return None
    return fit_judged(Judged.by(scorer, training, wanted), Judged.by(scorer, validation, held))


def fit_judged(training: Judged, held_out: Judged) -> Reliability:
    """As `fit_reliability`, from judged pictures; there must be `LEAST_PICTURES` of each.

    Raises:
        DataError: there are fewer.
    """
    scored = training.scored, held_out.scored
    counts = [len(judged.scores) for judged in scored]
    if min(counts) < LEAST_PICTURES:
        raise DataError(
            f"reliability needs {LEAST_PICTURES} training and as many held-out pictures; "
            f"got {counts[0]} and {counts[1]}."
        )
    projection, offset, bank = _components(training.contexts)
    unmeasured = Familiarity(projection, offset, bank, torch.zeros(1))
    distances = sorted(
        unmeasured.distance(unmeasured.coordinates(context)) for context in held_out.contexts
    )
    familiarity = replace(unmeasured, distances=torch.tensor(distances))
    taught, held = (_coordinates(familiarity, judged.contexts) for judged in scored)
    kinds = _fit_kinds(taught, scored[0])
    uncertainty = _fit_uncertainty(kinds, held, scored[1], np.arange(len(held)))
    figures = _cross_validated(kinds, held, scored[1])
    return Reliability(familiarity, uncertainty, _plain(figures))


def _coordinates(familiarity: Familiarity, contexts: Tensor) -> Array:
    found: Array = torch.stack([familiarity.coordinates(one) for one in contexts]).double().numpy()
    return found


def _components(contexts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whitened principal components of the training pictures, and these in them.

    All are rounded as a checkpoint keeps them, before anything is measured with them.
    """
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    count = len(contexts)
    chosen = np.sort(rng.permutation(count)[:BANK])
    sample = contexts[torch.from_numpy(chosen)]
    if (
        float(sample.var(0).max()) < _NO_VARIANCE
    ):  # then all pictures are alike, and so is any other
        return torch.zeros(contexts.shape[1], 1), torch.zeros(1), torch.zeros(len(sample), 1)
    width = min(COMPONENTS, count - 1, contexts.shape[1])
    solver = "full" if min(sample.shape) <= 4 * width else "randomized"
    found = PCA(width, svd_solver=solver, random_state=0, iterated_power=7).fit(sample.numpy())
    variance = found.explained_variance_
    kept = variance > _NO_VARIANCE * variance[0]
    scale = np.sqrt(variance[kept])
    projection = torch.from_numpy(found.components_[kept].T / scale[None]).half().float()
    offset = torch.from_numpy(found.mean_).float() @ projection
    bank = (sample.float() @ projection - offset).half().float()
    return projection, offset, bank


@dataclass(frozen=True, eq=False)
class _Kinds:
    """What training pictures say of errors: their curve over levels, and which kinds are hard."""

    curve: Array
    difficulty: Array

    def expected(self, levels: Array, coordinates: Array) -> Array:
        expected: Array = levels @ self.curve * kind_ratio(coordinates, self.difficulty)
        return expected


def _fit_kinds(coordinates: Array, training: Judged) -> _Kinds:
    """A ridge regression of the logarithm of errors over those that their level says.

    Errors on training pictures are too small; only their ratios are used.
    """
    levels = level_basis(training.predicted)
    curve = _fit_weights(levels, training.errors)
    usual = np.maximum(levels @ curve, LEAST_ERROR)
    ratios = np.log(np.maximum(training.errors, LEAST_ERROR) / usual)
    inputs = np.concatenate([coordinates, np.ones((len(coordinates), 1))], axis=1)
    penalty = np.full(inputs.shape[1], _SHRINKAGE * len(inputs))
    penalty[-1] = 1e-9  # the mean is not shrunk
    difficulty = np.linalg.solve(inputs.T @ inputs + np.diag(penalty), inputs.T @ ratios)
    return _Kinds(curve, difficulty)


def _fit_uncertainty(
    kinds: _Kinds, coordinates: Array, held_out: Judged, chosen: npt.NDArray[np.int64]
) -> Uncertainty:
    """Weights from all chosen pictures, factors from what those weights miss on others of them."""
    levels = level_basis(held_out.predicted[chosen])
    inputs = np.concatenate([levels, kinds.expected(levels, coordinates[chosen])[:, None]], axis=1)
    errors = held_out.errors[chosen]
    folds = _folds(len(chosen), _INNER_FOLDS)
    ratios = np.zeros(len(chosen))
    for fold in range(_INNER_FOLDS):
        mine = folds == fold
        weights = _fit_weights(inputs[~mine], errors[~mine])
        ratios[mine] = errors[mine] / np.maximum(inputs[mine] @ weights, LEAST_ERROR)
    weights = _fit_weights(inputs, errors)
    return Uncertainty(
        level=weights[:4],
        kind=weights[4] * kinds.curve,
        difficulty=kinds.difficulty,
        deviation=float(np.sqrt(np.mean(ratios**2))),
        half_width=_conformal(ratios),
    )


def _conformal(ratios: Array) -> float:
    """The factor that covers the next picture with probability `COVERAGE`."""
    rank = math.ceil((len(ratios) + 1) * COVERAGE)
    return float(np.sort(ratios)[rank - 1]) if rank <= len(ratios) else math.inf


def _cross_validated(kinds: _Kinds, coordinates: Array, held_out: Judged) -> ReliabilityFigures:
    folds = _folds(len(held_out.scores), _FOLDS)
    deviations = np.zeros(len(folds))
    intervals = np.zeros((len(folds), 2))
    for fold in range(_FOLDS):
        fitted = _fit_uncertainty(kinds, coordinates, held_out, np.flatnonzero(folds != fold))
        for i in np.flatnonzero(folds == fold):
            score = float(held_out.predicted[i])
            error = fitted.expected_error(score, torch.from_numpy(coordinates[i]))
            deviations[i] = fitted.deviation * error
            intervals[i] = fitted.interval(score, error)
    return reliability_figures(
        list(held_out.predicted),
        list(held_out.scores),
        list(deviations),
        [(low, high) for low, high in intervals],
    )


def _fit_weights(inputs: Array, errors: Array) -> Array:
    """Weights of 0 or more by which inputs give the expected error, which varies as itself does."""
    from scipy.optimize import nnls

    weights = np.zeros(inputs.shape[1])
    trust = np.ones(len(errors))
    for _ in range(_ROUNDS):
        weights, _ = nnls(inputs * trust[:, None], errors * trust)
        trust = 1 / np.maximum(inputs @ weights, LEAST_ERROR)
    return weights


def _folds(count: int, folds: int) -> npt.NDArray[np.int64]:
    """Which fold each of `count` pictures is in; the same at every run."""
    return np.random.default_rng(0).permutation(count) % folds


def _plain(figures: ReliabilityFigures) -> dict[str, float]:
    return {k: round(v, 4) for k, v in figures.to_dict().items() if v is not None}
