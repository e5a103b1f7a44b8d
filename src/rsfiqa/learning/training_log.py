"""Figures of a training run for TensorBoard, and for Weights & Biases where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rsfiqa.errors import MissingExtraError
from rsfiqa.learning.training_reports import EpochReport, StepReport

EVENTS = "events"
"""Folder of TensorBoard's files inside that of the run."""


class TensorBoardLog:
    """Writes events; a folder a member, so that TensorBoard lays their curves over one another.

    Args:
        folder: of the run; events go into `events/member-0` and so on below it.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("Logging for TensorBoard", "train") from error
        self._folder, self._make = folder / EVENTS, SummaryWriter
        self._writers: dict[int, Any] = {}
        self._step = 0

    def step(self, member: int, report: StepReport) -> None:
        """Losses and the learning rate of a step."""
        self._step = report.step
        writer = self._writer(member, report.step)
        for name, value in step_figures(report).items():
            writer.add_scalar(name, value, report.step)

    def epoch(self, member: int, report: EpochReport) -> None:
        """Validation figures of an epoch, at the step where it ended."""
        writer = self._writer(member, self._step)
        for name, value in epoch_figures(report).items():
            writer.add_scalar(name, value, self._step)
        writer.flush()

    def close(self) -> None:
        """Write what is left."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, member: int, step: int) -> Any:
        if member not in self._writers:
            # What an earlier run wrote from here on is not shown.
            folder = self._folder / f"member-{member}"
            self._writers[member] = self._make(str(folder), purge_step=step)
        return self._writers[member]


class WandbLog:
    """Sends figures to a project at Weights & Biases, one run a member.

    Args:
        project: its name.
        name: of the scorer.
        settings: of the run.

    Raises:
        MissingExtraError: wandb is not installed.
    """

    def __init__(self, project: str, name: str, settings: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise MissingExtraError("Logging to Weights & Biases", "wandb") from error
        self._wandb, self._project = wandb, project
        self._name, self._settings = name, dict(settings)
        self._runs: dict[int, Any] = {}
        self._step = 0

    def step(self, member: int, report: StepReport) -> None:
        """Losses and the learning rate of a step."""
        self._step = report.step
        self._run(member).log(step_figures(report), step=report.step)

    def epoch(self, member: int, report: EpochReport) -> None:
        """Validation figures of an epoch, at the step where it ended."""
        self._run(member).log(epoch_figures(report), step=self._step)

    def close(self) -> None:
        """End the runs."""
        for run in self._runs.values():
            run.finish()

    def _run(self, member: int) -> Any:
        if member not in self._runs:
            for run in self._runs.values():
                run.finish()
            self._runs = {
                member: self._wandb.init(
                    project=self._project,
                    name=f"{self._name}-{member}",
                    config=self._settings,
                )
            }
        return self._runs[member]


def step_figures(report: StepReport) -> dict[str, float]:
    """What is logged of a step, by name.

    Example:
        >>> step_figures(StepReport(1, 9, loss=0.5, locality=0.0, rate=0.001))
        {'train/loss': 0.5, 'train/locality': 0.0, 'train/learning_rate': 0.001}
    """
    return {
        "train/loss": report.loss,
        "train/locality": report.locality,
        "train/learning_rate": report.rate,
    }


def epoch_figures(report: EpochReport) -> dict[str, float]:
    """What is logged of an epoch, by name; figures that do not exist are left out."""
    figures = {"val/srcc": report.srcc, "val/plcc": report.plcc, "epoch": float(report.epoch)}
    for one in report.sets:
        figures |= {f"val/{one.name}/srcc": one.srcc, f"val/{one.name}/plcc": one.plcc}
    return {name: value for name, value in figures.items() if value is not None}


@contextmanager
def training_logs(
    folder: Path, *, tensorboard: bool, wandb: str, name: str, settings: Mapping[str, Any]
) -> Iterator[list[TensorBoardLog | WandbLog]]:
    """The logs that are asked for, closed at the end; none, if none are.

    Raises:
        MissingExtraError: a package is not installed.
    """
    logs: list[TensorBoardLog | WandbLog] = []
    try:
        if tensorboard:
            logs.append(TensorBoardLog(folder))
        if wandb:
            logs.append(WandbLog(wandb, name, settings))
        yield logs
    finally:
        for log in logs:
            log.close()
