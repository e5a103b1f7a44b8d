"""`rsfiqa train`: a scorer from a folder of pictures with human scores."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from rsfiqa.cli.common import (
    ImageColumnOption,
    LowerIsBetterOption,
    ScoreColumnOption,
    ScoreRangeOption,
)
from rsfiqa.cli.reader_options import (
    READER_PANEL,
    AdapterOption,
    ReaderOption,
    ReaderPrecisionOption,
    ViewOption,
)
from rsfiqa.errors import ConfigError
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rich.console import Console

    from rsfiqa.learning.recipe import Progress
    from rsfiqa.learning.shown_readings import Readings
    from rsfiqa.learning.training import EpochReport


def train(
    data: Annotated[Path, typer.Argument(help="A CSV file (image,mos[,split]) or its folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the trained scorer.")],
    aggregation: Annotated[
        str, typer.Option(help="rsa, or pooling: the twin without regions.")
    ] = "rsa",
    members: Annotated[int, typer.Option(min=1, help="Scorers whose mean is the score.")] = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the pictures.")] = None,
    spoiled: Annotated[
        int, typer.Option(min=0, help="Locally spoiled copies to learn from.")
    ] = 1500,
    seed: Annotated[int, typer.Option(help="Of initialisation, order and dropout.")] = 0,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME:DEPTHS such as timm:resnet18:1,2,3,4; may be given again.",
            show_default="dinov2-small:3,5,7,11 and efficientnet-lite0:0,1,2,3,4",
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help="Of the backbones: fp32 or bf16.")] = "fp32",
    reader: ReaderOption = DEFAULT_READER,
    reader_precision: ReaderPrecisionOption = None,
    adapter: AdapterOption = None,
    view: ViewOption = None,
    readings: Annotated[
        str,
        typer.Option(
            rich_help_panel=READER_PANEL,
            help="What of the reader the scorer sees: own; or, to measure what that is worth, "
            "shuffled among the pictures, or none. All three share cached features.",
        ),
    ] = "own",
    cache: Annotated[
        Path | None, typer.Option(help="Folder of cached features.", show_default="asset cache")
    ] = None,
    name: Annotated[str, typer.Option(help="What results call the scorer.")] = "",
    image_column: ImageColumnOption = "image",
    score_column: ScoreColumnOption = "mos",
    score_range: ScoreRangeOption = None,
    lower_is_better: LowerIsBetterOption = False,
) -> None:
    """Train a scorer on your own pictures with scores; a few minutes beyond their features.

    Features and readings are computed once and kept: with the embedded reader on two cores, some
    seconds a picture; with --reader none a fraction of that.
    """
    from dataclasses import replace

    from rich.console import Console

    from rsfiqa.cli.outputs import require_writable_folder
    from rsfiqa.learning.card import model_card
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.recipe import Recipe, prepare
    from rsfiqa.learning.recipe import train as train_prepared
    from rsfiqa.learning.shown_readings import require_readings
    from rsfiqa.learning.training import TrainingConfig
    from rsfiqa.scoring.checkpoint import save_checkpoint
    from rsfiqa.scoring.model import ScorerConfig

    if aggregation not in ("rsa", "pooling"):
        raise ConfigError(f"aggregation is rsa or pooling; got {aggregation!r}.")
    if precision not in ("fp32", "bf16"):
        raise ConfigError(f"precision is fp32 or bf16; got {precision!r}.")
    require_readings(readings, reader)
    of_reader = {"precision": reader_precision, "adapter": adapter, "view": view}
    console = Console(stderr=True, markup=False, soft_wrap=True)
    scored = ScoredImages.from_csv(
        data,
        image_column=image_column,
        score_column=score_column,
        score_range=score_range,
        lower_is_better=lower_is_better,
    )
    low, high = scored.score_range
    guessed = " (guessed from the values)" if scored.range_guessed else ""
    console.print(f"{len(scored)} pictures, scores {low:g}..{high:g}{guessed}")
    settings = TrainingConfig(seed=seed)
    recipe = Recipe(
        model=ScorerConfig(
            channels=0,
            context_dim=0,
            aggregation="rsa" if aggregation == "rsa" else "pooling",
            members=members,
        ),
        training=replace(settings, epochs=epochs) if epochs else settings,
        spoiled=spoiled,
        precision=precision,
        reader=reader,
        reader_settings={name: value for name, value in of_reader.items() if value is not None},
        readings=cast("Readings", readings),  # which was checked
    )
    if backbone:
        recipe = replace(recipe, encoder=[parse_backbone(text) for text in backbone])
    require_writable_folder(out)
    with _stages(console) as told:
        prepared = prepare(scored, recipe, cache, told)

    def report(epoch: EpochReport) -> None:
        srcc, plcc = (
            "-" if value is None else f"{value:.4f}" for value in (epoch.srcc, epoch.plcc)
        )
        console.print(
            f"epoch {epoch.epoch:3d}  loss {epoch.loss:.4f}  locality {epoch.locality:.4f}  "
            f"val SRCC {srcc}  PLCC (raw) {plcc}"
        )

    checkpoint = train_prepared(prepared, name or f"{aggregation}-{data.stem}", report)
    save_checkpoint(checkpoint, out)
    command = " ".join(["rsfiqa", *map(shlex.quote, sys.argv[1:])])
    (out / "README.md").write_text(model_card(checkpoint, command), encoding="utf-8")
    srcc = checkpoint.training["validation"]["srcc"]
    console.print(
        f"{checkpoint.name}: val SRCC {'-' if srcc is None else f'{srcc:.4f}'}, written to {out}"
    )


@contextmanager
def _stages(console: Console) -> Iterator[Progress]:
    """A progress bar a stage on a terminal, a line when each is done elsewhere."""
    if console.is_terminal:
        from rich import progress as rich_progress

        columns = (
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeRemainingColumn(),
        )
        with rich_progress.Progress(*columns, console=console) as bars:
            tasks: dict[str, rich_progress.TaskID] = {}

            def show(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=total)
                bars.update(tasks[stage], completed=done)

            yield show
    else:

        def say(stage: str, done: int, total: int) -> None:
            if done == total:
                console.print(f"{stage}: {total}")

        yield say


def parse_backbone(text: str) -> dict[str, object]:
    """`timm:resnet18:1,2,3` → what `build_encoder` takes.

    Raises:
        ConfigError: the text is not NAME:DEPTHS.

    Example:
        >>> parse_backbone("timm:resnet18:2,3")
        {'backbone': 'timm:resnet18', 'indices': [2, 3], 'pretrained': True}
    """
    name, _, depths = text.rpartition(":")
    try:
        indices = [int(depth) for depth in depths.split(",")]
    except ValueError:
        name = ""
    if not name:
        raise ConfigError(f"a backbone is NAME:DEPTHS, such as timm:resnet18:1,2,3; got {text!r}.")
    spec: dict[str, object] = {"backbone": name, "indices": indices}
    if name.startswith("timm:"):
        spec["pretrained"] = True
    return spec
