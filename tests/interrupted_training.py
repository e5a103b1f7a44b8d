"""Ctrl+C in the middle of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from rsfiqa.learning.training_reports import EpochReport
from rsfiqa.learning.training_run import TrainingRun


@contextmanager
def interrupted_in_epoch(number: int) -> Iterator[None]:
    """Within the block, training is interrupted in an epoch before anything of it is kept.

    Args:
        number: of the epoch, from 1, counted over all scorers that are trained in the block.
    """
    epochs = count(1)
    note = TrainingRun.note

    def interrupted(run: TrainingRun, report: EpochReport) -> None:
        if next(epochs) == number:
            raise KeyboardInterrupt
        note(run, report)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "note", interrupted)
        yield
