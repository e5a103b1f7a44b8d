"""Training a scorer on cached features: a few minutes on two cores.

A run that is interrupted goes on after its last whole epoch and ends with the same weights, bit for
bit: see `rsfiqa.learning.training_state`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from rsfiqa.errors import ConfigError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.batches import batches
from rsfiqa.learning.graded import Graded
from rsfiqa.learning.joint_sets import JointSets, figures_by_set, mean_of
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.spoiled import MARGINS, Spoiled
from rsfiqa.learning.training_config import TrainingConfig
from rsfiqa.learning.training_reports import EpochReport, StepReport, TrainingResult
from rsfiqa.learning.training_run import TrainingRun
from rsfiqa.learning.training_state import MemberState
from rsfiqa.scoring.model import RegionScorer, ScorerConfig

__all__ = [
    "MARGINS",
    "EpochReport",
    "Spoiled",
    "StepReport",
    "TrainingConfig",
    "TrainingResult",
    "predict",
    "require_enough",
    "train_scorer",
]


def train_scorer(
    model: ScorerConfig,
    config: TrainingConfig,
    pictures: Sequence[PictureFeatures],
    targets: Sequence[float],
    validation: Sequence[PictureFeatures],
    validation_targets: Sequence[float],
    spoiled: Sequence[Spoiled] = (),
    on_epoch: Callable[[EpochReport], None] | None = None,
    *,
    graded: Sequence[Graded] = (),
    sets: JointSets | None = None,
    state: MemberState | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    device: torch.device | str = "cpu",
) -> TrainingResult:
    """Train a scorer of one member and keep the epoch that `TrainingConfig.keep` says.

    Args:
        model, config: sizes and settings.
        pictures, targets: training features and their scores on 0..100.
        validation, validation_targets: chosen by, never trained on.
        spoiled: locally spoiled copies of `pictures`.
        on_epoch: told of every epoch, once its state is kept.
        graded: copies of `pictures` with one fault of the whole picture in all strengths.
        sets: where the pictures are of several data sets: which; see
            `rsfiqa.learning.joint_sets`.
        state: where the run is kept after every epoch, and taken up.
        on_step: told of every step.
        device: where the scorer is trained; features stay in memory and go there batch by batch.

    Raises:
        ConfigError: there are fewer than two training or three validation pictures; or `state` is
            of a run of other settings.
        DataError: `state` is damaged or cannot be written.
    """
    require_enough(len(pictures), len(validation))
    run = TrainingRun(model, config, pictures, targets, spoiled, graded, sets, torch.device(device))
    run.begin(state)
    while not run.is_done:
        loss, locality = run.epoch(on_step)
        report = _measure(run, loss, locality, validation, validation_targets)
        run.note(report)
        if state is not None:
            state.save(*run.state())
        if on_epoch:
            on_epoch(report)
    return run.result()


def require_enough(training: int, validation: int) -> None:
    """Refuse to train on fewer pictures than losses and correlations are made of.

    Raises:
        ConfigError: there are fewer than two training or three validation pictures.
    """
    if training < 2 or validation < 3:
        raise ConfigError(
            "training needs at least 2 training and 3 validation pictures; "
            f"got {training} and {validation}."
        )


@torch.inference_mode()
def predict(
    scorer: RegionScorer, pictures: Sequence[PictureFeatures], size: int = 64
) -> list[float]:
    """Scores of all pictures, in their order, computed where the scorer is."""
    scorer.eval()
    device = next(scorer.parameters()).device
    scores = np.zeros(len(pictures))
    for stacked in batches(pictures, size):
        batch = stacked.to(device)
        out = scorer(batch.positions, batch.context, batch.labels, batch.area, batch.semantics)
        scores[batch.indices.numpy()] = out.score.cpu().numpy()
    return [float(score) for score in scores]


def _measure(
    run: TrainingRun,
    loss: float,
    locality: float,
    validation: Sequence[PictureFeatures],
    targets: Sequence[float],
) -> EpochReport:
    """Agreement of the averaged weights with people, on the validation split."""
    epoch = run.epochs_done + 1
    scores = predict(run.averaged, validation)
    if run.sets is None:
        measured = correlations(scores, targets)
        return EpochReport(epoch, loss, locality, measured.srcc, measured.plcc)
    sets = figures_by_set(run.sets.names, run.sets.validation, scores, targets)
    srcc, plcc = mean_of([s.srcc for s in sets]), mean_of([s.plcc for s in sets])
    return EpochReport(epoch, loss, locality, srcc, plcc, sets)
