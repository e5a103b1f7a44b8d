"""A linear classifier of what regions show, and how sure it must be to speak.

Multinomial logistic regression with a quadratic penalty, fitted by L-BFGS in torch: the problem is
small (some thousand samples of some thousand numbers) and deterministic. How often it is right when
it speaks is measured by leaving whole photographs out, never regions, since the regions of one
photograph resemble each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from rsfiqa.errors import DataError

Floats = npt.NDArray[np.float32]

PENALTY = 3e-5
"""Of the squared weights, beside the mean loss; from 1e-5 to 1e-4 little changes."""
STEPS = 60


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Log-probabilities of classes from features.

    Attributes:
        weight: `[D, C]`.
        bias: `[C]`.
    """

    weight: Floats
    bias: Floats

    def log_probabilities(self, features: Floats) -> Floats:
        """`[N, D]` gives `[N, C]`."""
        logits = torch.from_numpy(features @ self.weight + self.bias)
        found: Floats = logits.log_softmax(-1).numpy()
        return found


def fit_linear(features: Floats, labels: npt.NDArray[np.int64], classes: int) -> LinearClassifier:
    """Fit by maximum likelihood with `PENALTY`, from zero: the same data give the same weights.

    Args:
        features: `[N, D]`.
        labels: `[N]`, in 0..classes−1.

    Raises:
        DataError: there are no samples.
    """
    if not len(features):
        raise DataError("a classifier needs at least one labelled region; got none.")
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    with torch.inference_mode(False), torch.enable_grad():
        parameters = torch.zeros(x.shape[1] + 1, classes, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [parameters], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe"
        )

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(x @ parameters[:-1] + parameters[-1], y)
            loss = loss + PENALTY * parameters[:-1].square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    found = parameters.detach().numpy()
    return LinearClassifier(found[:-1].copy(), found[-1].copy())


def left_out(
    features: Floats,
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    classes: int,
    *,
    folds: int = 5,
    trained_on: npt.NDArray[np.bool_] | None = None,
) -> Floats:
    """Log-probabilities `[N, C]` of each sample by classifiers that saw none of its group.

    Args:
        features: `[N, D]`.
        labels: `[N]`.
        groups: `[N]`, such as the photograph of each sample.
        folds: how often is fitted; groups are dealt to folds in turn.
        trained_on: which samples may be trained on; all by default.

    Raises:
        DataError: there are fewer than two groups.
    """
    _, group = np.unique(groups, return_inverse=True)
    folds = min(folds, int(group.max(initial=0)) + 1)
    if folds < 2:
        raise DataError("leaving photographs out needs at least two photographs.")
    usable = np.ones(len(labels), bool) if trained_on is None else trained_on
    found = np.zeros((len(labels), classes), np.float32)
    for fold in range(folds):
        out = group % folds == fold
        chosen = ~out & usable
        model = fit_linear(features[chosen], labels[chosen], classes)
        found[out] = model.log_probabilities(features[out])
    return found


@dataclass(frozen=True)
class Operating:
    """How a threshold on confidence fares.

    Attributes:
        threshold: confidence at and above which something is said.
        precision: the fraction right among what is said.
        coverage: the fraction of samples of which something is said.
    """

    threshold: float
    precision: float
    coverage: float


def lowest_threshold(
    confidence: Sequence[float] | Floats,
    right: Sequence[bool] | npt.NDArray[np.bool_],
    precision: float,
) -> Operating:
    """The threshold that says the most with at least the wanted precision.

    Where none reaches it, the threshold is above every confidence: nothing is said.

    Example:
        >>> lowest_threshold([0.9, 0.8, 0.4, 0.3], [True, True, False, True], 0.75)
        Operating(threshold=0.3, precision=0.75, coverage=1.0)
    """
    values, hits = np.asarray(confidence, np.float64), np.asarray(right, bool)
    order = np.argsort(-values, kind="stable")
    values, hits = values[order], hits[order]
    running = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    # Of equal confidences all are said or none.
    last = np.append(values[1:] != values[:-1], True) if len(values) else np.zeros(0, bool)
    good = np.flatnonzero((running >= precision) & last)
    if not len(good):
        return Operating(float("inf"), 0.0, 0.0)
    k = int(good[-1])
    return Operating(float(values[k]), float(running[k]), (k + 1) / len(values))
