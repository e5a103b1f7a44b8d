"""Settings of one training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rsfiqa.errors import ConfigError
from rsfiqa.learning.ranges import (
    AT_LEAST_ONE,
    BELOW_ONE,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    require,
)

Keep = Literal["best", "last"]
"""Which epoch's weights a run keeps."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training run.

    Attributes:
        context_epochs: passes that teach the whole-picture head of an RSA scorer alone, first:
            cheap, and regions then learn what it leaves unsaid.
        epochs: passes over the scored pictures.
        batch_size: pictures a step.
        learning_rate: peak of a one-cycle schedule.
        context_rate: factor on it for a whole-picture head that was taught before.
        weight_decay: of AdamW.
        mse_weight: see `quality_loss`.
        locality_weight: of `locality_loss`; 0 leaves spoiled copies out.
        spoiled_per_step: spoiled copies (with their clean originals) a step.
        grading_weight: of `grading_loss`; 0 leaves graded copies out.
        graded_per_step: graded copies, each with its clean original and in all strengths, a step.
        unread: fraction of the pictures of a step, and of its spoiled copies with their originals,
            that are seen as if nobody had read them: the scorer has to do without a reader, too.
            Beyond that, single readings are dropped (`rsfiqa.scoring.semantics`).
        average: decay of the moving average of weights that is evaluated and kept.
        keep: the epoch whose weights are kept: that with the `best` SRCC on the validation split, or the
            `last`. Early epochs often agree as well with people, while regions have not yet learned
            to answer for themselves; and of the last one, validation figures are not flattered by
            having chosen it.
        patience: epochs without a better SRCC on the validation split after which a run ends;
            0 never ends it early. The schedule is made for all epochs, and the best weights mostly
            come at its end: worth it for long runs only.
        seed: of initialisation, order and dropout.

    Raises:
        ConfigError: a value is outside its range.
    """

    context_epochs: int = 12
    epochs: int = 5
    batch_size: int = 64
    learning_rate: float = 1e-3
    context_rate: float = 0.1
    weight_decay: float = 0.5
    mse_weight: float = 4.0
    locality_weight: float = 0.1
    spoiled_per_step: int = 8
    grading_weight: float = 0.03
    graded_per_step: int = 8
    unread: float = 0.2
    average: float = 0.99
    keep: Keep = "best"
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, AT_LEAST_ONE, "epochs", "batch_size", "spoiled_per_step", "graded_per_step")
        require(self, NOT_NEGATIVE, "context_epochs", "patience", "seed")
        if self.keep not in get_args(Keep):
            raise ConfigError(f"keep must be best or last; got {self.keep!r}.")
        if self.keep == "last" and self.patience:
            raise ConfigError(
                f"patience waits for the best epoch; got patience {self.patience} with keep last."
            )
        require(self, POSITIVE, "learning_rate")
        weights = ("mse_weight", "locality_weight", "grading_weight")
        require(self, NOT_NEGATIVE, "context_rate", "weight_decay", *weights)
        require(self, FRACTION, "unread")
        require(self, BELOW_ONE, "average")
