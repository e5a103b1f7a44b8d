"""`rsfiqa evaluate`: a scorer against human scores, by the field's figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common
from rsfiqa.cli.common import (
    DeviceOption,
    ImageColumnOption,
    LowerIsBetterOption,
    ModelOption,
    PrecisionOption,
    ScoreColumnOption,
    ScoreRangeOption,
)
from rsfiqa.cli.reader_options import READER_PANEL, ReaderOptions
from rsfiqa.cli.unfolding import unfolded
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rsfiqa.reading.base import Reader
    from rsfiqa.scoring.checkpoint import Checkpoint
    from rsfiqa.types import Assessment


@unfolded
def evaluate(
    *,
    data: Annotated[Path, typer.Argument(help="A CSV file (image,mos[,split]) or its folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for predictions, summary, settings and plot.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only this split.", show_default="all pictures")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "fp32",
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
    image_column: ImageColumnOption = "image",
    score_column: ScoreColumnOption = "mos",
    score_range: ScoreRangeOption = None,
    lower_is_better: LowerIsBetterOption = False,
) -> None:
    """Compare scores with human scores: SRCC, PLCC, KRCC and RMSE, overall and by group."""
    from dataclasses import asdict

    from rich.console import Console

    from rsfiqa.assessor import load_scorer
    from rsfiqa.bulk import assess_many
    from rsfiqa.cli.common import make_assessor, on_terminal, progress
    from rsfiqa.cli.outputs import require_writable_folder
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.evaluation import Prediction, evaluate_predictions, evaluation_table
    from rsfiqa.learning.evaluation_files import write_evaluation

    scored = ScoredImages.from_csv(
        data,
        image_column=image_column,
        score_column=score_column,
        score_range=score_range,
        lower_is_better=lower_is_better,
    )
    if split is not None:
        scored = scored.split(split)
    if out is not None:
        require_writable_folder(out)
    checkpoint = load_scorer(model)
    chosen_reader = _reader_for(
        checkpoint, reader, options=reading, device=device, encoder_precision=precision
    )
    assessor = make_assessor(
        model=checkpoint, reader=chosen_reader, device=device, precision=precision
    )
    predictions = []
    unread = 0
    rows = iter(scored.rows)
    with progress("evaluating", len(scored), shown=on_terminal()) as advance:
        for outcomes in assess_many(assessor, [str(row.path) for row in scored.rows]):
            for outcome in outcomes:
                row = next(rows)
                score = outcome.result.score if outcome.result else None
                unread += _has_failed_readings(outcome.result)
                predictions.append(
                    Prediction(row.image, score, row.score, row.group, outcome.error)
                )
            advance(len(outcomes))
    evaluation = evaluate_predictions(predictions)
    title = f"{assessor.info.scorer} on {data.name}" + (f", {split}" if split else "")
    Console().print(evaluation_table(evaluation, title))
    if out is not None:
        write_evaluation(
            evaluation,
            out,
            run_config={
                "data": str(data),
                "split": split,
                "score_range": list(scored.score_range),
                "lower_is_better": lower_is_better,
                "model": asdict(assessor.info),
            },
        )
    if unread:
        typer.echo(
            f"rsfiqa: {unread} of {len(predictions)} pictures have regions that could not be read; "
            "these were scored without their readings.",
            err=True,
        )
    failed = [p for p in predictions if p.error]
    for prediction in failed:
        typer.echo(f"rsfiqa: {prediction.image}: {prediction.error}", err=True)
    if failed:
        raise typer.Exit(1)


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


def _has_failed_readings(assessment: Assessment | None) -> bool:
    return assessment is not None and any(
        region.reading.status == "failed" for region in assessment.regions
    )
