"""`rsfiqa evaluate`: scorers against human scores, by the field's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common
from rsfiqa.cli.evaluate_sets import (
    LabelOptions,
    LeakOptions,
    SplitOptions,
    mark_leaks,
    read_sets,
)
from rsfiqa.cli.reader_options import READER_PANEL, ReaderOptions
from rsfiqa.cli.unfolding import unfolded
from rsfiqa.errors import ConfigError
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rsfiqa.learning.evaluation import Evaluation, Prediction
    from rsfiqa.learning.evaluation_scoring import Grouping
    from rsfiqa.learning.evaluation_sets import EvaluationSet
    from rsfiqa.reading.base import Reader
    from rsfiqa.scoring.checkpoint import Checkpoint


@unfolded
def evaluate(
    *,
    data: Annotated[
        list[str],
        typer.Argument(
            help="CSV files (image,mos[,split]), their folders, or NAME:FOLDER (see rsfiqa data)."
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A scorer of your own: a folder that rsfiqa train wrote, or a hub id. May be given "
            "again, to compare; the first is what others are compared with.",
            show_default="the one in the package",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for predictions, summary, settings and plots."),
    ] = None,
    parts: SplitOptions,
    leak: LeakOptions,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    reader: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=READER_PANEL,
            help="What describes and rates the regions, as for rsfiqa assess, for a scorer that was "
            "trained with readings; none shows how it does without. Other scorers see no readings.",
            show_default=DEFAULT_READER,
        ),
    ] = None,
    reading: ReaderOptions,
    labels: LabelOptions,
) -> None:
    """Compare scores with human scores: SRCC, PLCC, KRCC and RMSE, overall, by group and by split.

    With several data sets or scorers: a matrix, and which differences between scorers are beyond
    chance.
    """
    from rsfiqa.assessor import load_scorer
    from rsfiqa.cli.outputs import require_writable_folder
    from rsfiqa.learning.evaluation_scoring import Grouping

    grouping = Grouping(labels.group_pattern)
    sets = read_sets(data, parts, labels)
    if out is not None:
        require_writable_folder(out)
    checkpoints = [load_scorer(each) for each in _distinct(model)]
    sets = mark_leaks(sets, leak)
    run = _Run(sets, grouping, device, precision)
    for checkpoint in checkpoints:
        chosen = _reader_for(
            checkpoint, reader, options=reading, device=device, encoder_precision=precision
        )
        run.score_with(checkpoint, chosen)
    settings: dict[str, Any] = {
        "split": parts.split,
        "splits": [str(file) for file in parts.splits or ()],
        "trained_on": leak.trained_on or [],
        "leaks": leak.leaks,
        "group_pattern": labels.group_pattern,
        "lower_is_better": labels.lower_is_better,
    }
    run.show_and_write(out, settings)
    run.tell_failures()


class _Run:
    """All scorers on all data sets, and what is said of them."""

    def __init__(
        self, sets: Sequence[EvaluationSet], grouping: Grouping, device: str, precision: str
    ) -> None:
        self.sets = sets
        self.grouping = grouping
        self.device, self.precision = device, precision
        self.models: list[dict[str, Any]] = []
        self.rows: list[list[Evaluation]] = []
        self.unread = 0

    def score_with(self, checkpoint: Checkpoint, reader: Reader) -> None:
        """Evaluate a scorer on all sets."""
        from rsfiqa.learning.evaluation import evaluate_predictions
        from rsfiqa.learning.evaluation_scoring import score_set

        assessor = common.make_assessor(
            model=checkpoint, reader=reader, device=self.device, precision=self.precision
        )
        row = []
        for each in self.sets:
            shown = common.on_terminal()
            with common.progress(each.name, len(each.data), shown=shown) as advance:
                scored = score_set(assessor, each, grouping=self.grouping, told=advance)
            self.unread += scored.unread
            row.append(evaluate_predictions(scored.predictions, parts=each.parts))
        self.models.append(asdict(assessor.info))
        self.rows.append(row)

    def show_and_write(self, out: Path | None, settings: Mapping[str, Any]) -> None:
        """The figures in the terminal, and all files where they are asked for."""
        from rich.console import Console

        from rsfiqa.learning.evaluation_files import write_evaluation, write_matrix
        from rsfiqa.learning.evaluation_matrix import compare
        from rsfiqa.learning.evaluation_sets import distinct_names
        from rsfiqa.learning.evaluation_tables import evaluation_table, matrix_table

        told = [_settings_of(each) for each in self.sets]
        console = Console()
        if len(self.sets) == len(self.models) == 1:
            evaluation, dataset = self.rows[0][0], self.sets[0]
            part = f", {settings['split']}" if settings["split"] else ""
            title = f"{self.models[0]['scorer']} on {Path(dataset.source).name}{part}"
            console.print(evaluation_table(evaluation, title))
            if out is not None:
                config = {**settings, **told[0], "model": self.models[0]}
                write_evaluation(evaluation, out, run_config=config)
            return
        scorers = distinct_names(model["scorer"] for model in self.models)
        names = [each.name for each in self.sets]
        cells = {
            (scorer, name): evaluation
            for scorer, row in zip(scorers, self.rows, strict=True)
            for name, evaluation in zip(names, row, strict=True)
        }
        matrix = compare(scorers, names, cells)
        console.print(matrix_table(matrix))
        if out is not None:
            models = dict(zip(scorers, self.models, strict=True))
            config = {**settings, "sets": dict(zip(names, told, strict=True)), "models": models}
            write_matrix(matrix, out, run_config=config)

    def tell_failures(self) -> None:
        """Name the pictures that have no score, and end with exit status 1 if there are any."""
        evaluations = [
            (each, evaluation)
            for row in self.rows
            for each, evaluation in zip(self.sets, row, strict=True)
        ]
        if self.unread:
            count = sum(len(evaluation.predictions) for _, evaluation in evaluations)
            typer.echo(
                f"rsfiqa: {self.unread} of {count} pictures have regions that could not be read; "
                "these were scored without their readings.",
                err=True,
            )
        # A picture that no scorer could open is named once.
        failed: dict[tuple[str, str], Prediction] = {}
        for each, evaluation in evaluations:
            for row in evaluation.failures:
                failed.setdefault((each.name, row.image), row)
        for row in failed.values():
            typer.echo(f"rsfiqa: {row.image}: {row.error}", err=True)
        if failed:
            raise typer.Exit(1)


def _distinct(models: Sequence[str] | None) -> list[str | None]:
    twice = [model for model in models or () if (models or []).count(model) > 1]
    if twice:
        raise ConfigError(f"--model {twice[0]} is given twice; name each scorer once.")
    return [*models] if models else [None]


def _settings_of(each: EvaluationSet) -> dict[str, Any]:
    return {
        "data": each.source,
        "pictures": len(each.data),
        "score_range": list(each.data.score_range),
        "left_out": [{"image": image, "leak": how} for image, how in each.left_out.items()],
    }


def _reader_for(checkpoint: Checkpoint, reader: str | None, **settings: Any) -> Reader:
    """The reader that the options ask for, unless the scorer would not look at what it says."""
    from rsfiqa.reading.base import NoReader

    if checkpoint.reads:
        return common.make_reader(reader or DEFAULT_READER, **settings)
    if reader not in (None, "none"):
        typer.echo(
            f"rsfiqa: {checkpoint.name} was trained without readings and sees none, so nobody "
            "reads.",
            err=True,
        )
    return NoReader()
