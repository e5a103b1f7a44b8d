"""What a training run tells of itself: each step, each epoch, the result."""

from __future__ import annotations

from dataclasses import dataclass, field

from rsfiqa.learning.joint_sets import Line, SetFigures
from rsfiqa.scoring.model import RegionScorer


@dataclass(frozen=True)
class EpochReport:
    """How one epoch went.

    Attributes:
        epoch: from 1.
        loss, locality: means over its steps.
        srcc, plcc: of the averaged weights on the validation split; of several data sets the mean.
        sets: the same for each of several data sets.
    """

    epoch: int
    loss: float
    locality: float
    srcc: float | None
    plcc: float | None
    sets: tuple[SetFigures, ...] = ()

    @property
    def rank(self) -> float:
        """What epochs are compared by; one whose scores are all alike comes last."""
        return -1.0 if self.srcc is None else self.srcc


@dataclass(frozen=True)
class StepReport:
    """One step: its number, of how many; its losses; its learning rate."""

    step: int
    steps: int
    loss: float
    locality: float
    rate: float


@dataclass
class TrainingResult:
    """The weights that were kept, and how training went.

    Attributes:
        scorer: on the CPU.
        best: the epoch whose weights they are.
        history: all epochs.
        lines: of several data sets, from the scorer's scale to each set's, in that epoch.
    """

    scorer: RegionScorer
    best: EpochReport
    history: list[EpochReport] = field(default_factory=list)
    lines: tuple[Line, ...] = ()
