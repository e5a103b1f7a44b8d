"""`rsfiqa evaluate`: a scorer against human scores, by the field's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsfiqa.cli.common import (
    DeviceOption,
    ImageColumnOption,
    LowerIsBetterOption,
    ModelOption,
    PrecisionOption,
    ScoreColumnOption,
    ScoreRangeOption,
)


def evaluate(
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
    image_column: ImageColumnOption = "image",
    score_column: ScoreColumnOption = "mos",
    score_range: ScoreRangeOption = None,
    lower_is_better: LowerIsBetterOption = False,
) -> None:
    """Compare scores with human scores: SRCC, PLCC, KRCC and RMSE, overall and by group."""
    from dataclasses import asdict

    from rich.console import Console

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
    assessor = make_assessor(model=model, device=device, precision=precision)
    predictions = []
    rows = iter(scored.rows)
    with progress("evaluating", len(scored), shown=on_terminal()) as advance:
        for outcomes in assess_many(assessor, [str(row.path) for row in scored.rows]):
            for outcome in outcomes:
                row = next(rows)
                score = outcome.result.score if outcome.result else None
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
    failed = [p for p in predictions if p.error]
    for prediction in failed:
        typer.echo(f"rsfiqa: {prediction.image}: {prediction.error}", err=True)
    if failed:
        raise typer.Exit(1)
