"""`rsfiqa fine-tune`: teach a scorer's backbones further, end to end.

rsfiqa train pictures/scores.csv --out scorer
rsfiqa fine-tune pictures/scores.csv --model scorer --out tuned
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from rsfiqa.cli import common

if TYPE_CHECKING:
    from rsfiqa.devices import Precision
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.scoring.checkpoint import Checkpoint

STATE = "fine-tuning"
"""Folder of what an interrupted run left, inside that of the scorer."""


def fine_tune(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="What the scorer was trained on: a CSV file (image,mos[,split]), its folder or "
            "NAME:FOLDER for a data set that rsfiqa data list names.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder for the fine-tuned scorer. An interrupted run goes on when the same command "
            "is given again.",
        ),
    ],
    model: common.ModelOption = None,
    branch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BACKBONE:DEPTH[:RANK]",
            help="Teach the blocks of a backbone behind one of its depths, counted from 0 among "
            "those that the scorer has; with a rank, linear layers by changes of low rank (LoRA). "
            "May be given again, for another backbone.",
            show_default="dinov2-small:2:16 and efficientnet-lite0:2",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pictures.")] = 4,
    batch_size: Annotated[int, typer.Option(min=2, help="Pictures a step.")] = 16,
    seed: common.SeedOption = 0,
    device: common.DeviceOption = "auto",
    precision: common.PrecisionOption = "fp32",
    image_column: common.ImageColumnOption = "image",
    score_column: common.ScoreColumnOption = "mos",
    score_range: common.ScoreRangeOption = None,
    lower_is_better: common.LowerIsBetterOption = False,
    cache: common.FeatureCacheOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, not where a run stopped.")
    ] = False,
) -> None:
    """Teach the later blocks of a scorer's backbones on its pictures, end to end.

    Regions, readings and frozen features stay as they are: each branch adds its logit to that of the
    whole picture. On two cores, some ten minutes an epoch for 4,000 pictures of 512 × 512; on a GPU
    less.
    """
    from rich.console import Console

    from rsfiqa.assessor import load_scorer
    from rsfiqa.cli import outputs
    from rsfiqa.cli import train_output as output
    from rsfiqa.learning.fine_tuned_scorer import (
        WEIGHTS,
        FineTuning,
        fine_tuned,
        require_same_split,
    )
    from rsfiqa.learning.fine_tuning_config import FineTuningConfig, branches_for
    from rsfiqa.learning.train_config import DataSource
    from rsfiqa.learning.training_state import TrainingState

    source = DataSource(
        path=data,
        image_column=image_column,
        score_column=score_column,
        score_range=score_range,
        lower_is_better=lower_is_better,
    )
    config = FineTuningConfig(epochs=epochs, batch_size=batch_size, seed=seed)
    scorer = load_scorer(model)
    branches = branches_for(scorer.encoder, branch or ())
    console = Console(stderr=True, markup=False, soft_wrap=True)
    pictures: ScoredImages = source.load()
    require_same_split(scorer, pictures)
    output.say_data(console, {source.label: pictures})
    outputs.require_writable_folder(out)
    state = TrainingState(out / STATE, {})
    if fresh:
        state.clear()
    plan = FineTuning(
        pictures,
        branches,
        out / STATE,
        config,
        cast("Precision", precision),  # which it checks
        cache,
        device,
    )
    with output.stages(console) as told:
        done = fine_tuned(
            scorer,
            plan,
            on_epoch=lambda name, report: console.print(output.branch_line(name, report)),
            progress=told,
        )
    _write(done, out)
    for path in state.folder.glob(WEIGHTS.format("*")):
        path.unlink()
    state.clear()
    srcc = output.figure(done.training["validation"]["srcc"])
    console.print(f"{done.name}: val SRCC {srcc}, written to {out}")


def _write(checkpoint: Checkpoint, out: Path) -> None:
    from dataclasses import replace

    from rsfiqa.learning.card import model_card
    from rsfiqa.scoring.checkpoint import save_checkpoint

    card = model_card(checkpoint, common.given_command())
    save_checkpoint(replace(checkpoint, card=card), out)
