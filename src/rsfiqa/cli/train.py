"""`rsfiqa train`: a scorer from pictures with human scores.

rsfiqa train pictures/scores.csv --out scorer
rsfiqa train koniq10k:/data/koniq kadid10k:/data/kadid10k --out scorer
rsfiqa train run.yaml --out scorer
rsfiqa train pictures/scores.csv --splits 10 --out splits
accelerate launch -m rsfiqa train run.yaml --out scorer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli.common import DeviceOption
from rsfiqa.cli.reader_options import READER_PANEL, AdapterOption, ReaderPrecisionOption, ViewOption
from rsfiqa.errors import ConfigError
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rsfiqa.learning.train_config import TrainConfig

_DATA_PANEL, _RUN_PANEL = "Data", "Run"

BackboneOption = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME:DEPTHS such as timm:resnet18:1,2,3,4; may be given again.",
        show_default="dinov2-small:3,5,7,11 and efficientnet-lite0:0,1,2,3,4",
    ),
]
BackbonePrecisionOption = Annotated[
    str | None,
    typer.Option(help="Precision of the backbones: fp32 or bf16.", show_default="fp32"),
]


def train(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...|CONFIG.yaml",
            help="CSV files (image,mos[,split]), their folders or NAME:FOLDER for a data set that "
            "rsfiqa data list names; of several, the first gives the scale of the scores. Or a file "
            "of settings, over which data and options given here win.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder for the trained scorer. An interrupted run goes on when the same command "
            "is given again.",
        ),
    ],
    aggregation: Annotated[
        str | None,
        typer.Option(help="rsa, or pooling: the twin without regions.", show_default="rsa"),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train so many scorers, with successive seeds, and merge them into one.",
            show_default="1",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the pictures.", show_default="5")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            help="The epoch whose weights are kept: the best on the validation pictures, or the last.",
            show_default="best",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="End after so many epochs without a better validation SRCC.",
            show_default="never",
        ),
    ] = None,
    spoiled: Annotated[
        int | None,
        typer.Option(min=0, help="Locally spoiled copies to learn from.", show_default="1500"),
    ] = None,
    graded: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Pictures that are spoiled as a whole in growing strengths, to learn how far scores fall.",
            show_default="276",
        ),
    ] = None,
    flips: Annotated[
        bool | None,
        typer.Option(
            "--flips/--no-flips", help="Learn from mirror images, too.", show_default="no flips"
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Try it out on so many pictures of each data set only, copies in proportion.",
            show_default="all",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of initialisation, order and dropout.", show_default="0"),
    ] = None,
    backbone: BackboneOption = None,
    precision: BackbonePrecisionOption = None,
    reader: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=READER_PANEL,
            help="What describes and rates the regions, as for rsfiqa assess.",
            show_default=DEFAULT_READER,
        ),
    ] = None,
    reader_precision: ReaderPrecisionOption = None,
    adapter: AdapterOption = None,
    view: ViewOption = None,
    readings: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=READER_PANEL,
            help="What of the reader the scorer sees: own; or, to measure what that is worth, "
            "shuffled among the pictures, or none. All three share cached features.",
            show_default="own",
        ),
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DATA_PANEL, help="Column of the pictures' names.", show_default="image"
        ),
    ] = None,
    score_column: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DATA_PANEL, help="Column of the human scores.", show_default="mos"
        ),
    ] = None,
    score_range: Annotated[
        tuple[float, float] | None,
        typer.Option(
            rich_help_panel=_DATA_PANEL,
            help="Lowest and highest possible score.",
            show_default="from the values",
        ),
    ] = None,
    lower_is_better: Annotated[
        bool, typer.Option(rich_help_panel=_DATA_PANEL, help="Low scores are good, as with DMOS.")
    ] = False,
    splits: Annotated[
        str | None,
        typer.Option(
            metavar="N|FILE.csv",
            rich_help_panel=_DATA_PANEL,
            help="Train one scorer a split, each in a folder of its own, and measure it on the "
            "split's test part: median and spread of the figures. N random splits, 80 % to 20 % by "
            "reference, or those in a file that rsfiqa data splits wrote. Splits that are done are "
            "kept.",
            show_default="one scorer, on the data's own split",
        ),
    ] = None,
    leaks: Annotated[
        str | None,
        typer.Option(
            metavar="exact|fail|warn|drop|ignore",
            rich_help_panel=_DATA_PANEL,
            help="Where training pictures are in validation or test, too: exact refuses the same "
            "file or reference and warns of near-duplicates; fail refuses all; warn warns of all; "
            "drop leaves these training pictures out; ignore does not look.",
            show_default="exact",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(rich_help_panel=_RUN_PANEL, help="What results call the scorer.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_RUN_PANEL,
            help="Folder of cached features.",
            show_default="asset cache",
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", rich_help_panel=_RUN_PANEL, help="Begin anew, not where a run stopped."
        ),
    ] = False,
    tensorboard: Annotated[
        bool | None,
        typer.Option(
            "--tensorboard/--no-tensorboard",
            rich_help_panel=_RUN_PANEL,
            help="Write figures for TensorBoard into DIR/events.",
            show_default="no tensorboard",
        ),
    ] = None,
    wandb: Annotated[
        str | None,
        typer.Option(
            metavar="PROJECT",
            rich_help_panel=_RUN_PANEL,
            help="Send figures to a project at Weights & Biases.",
            show_default="nowhere",
        ),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Train a scorer on pictures with human scores.

    First features and readings are computed, once for all runs: on two cores one to two seconds a
    picture, with --reader none about half a second. Training itself takes minutes.

    To see that all goes well: `--limit 64 --epochs 1`.
    """
    given = {
        "model.aggregation": aggregation,
        "model.members": members,
        "training.epochs": epochs,
        "training.keep": keep,
        "training.patience": patience,
        "training.seed": seed,
        "spoiled": spoiled,
        "graded": graded,
        "flips": flips,
        "limit": limit,
        "encoder": [parse_backbone(text) for text in backbone] if backbone else None,
        "precision": precision,
        "reader": reader,
        "reader_settings.precision": reader_precision,
        "reader_settings.adapter": None if adapter is None else str(adapter),
        "reader_settings.view": view,
        "readings": readings,
        "leaks": leaks,
        "name": name,
        "tensorboard": tensorboard,
        "wandb": wandb,
    }
    of_data = {
        "image_column": image_column,
        "score_column": score_column,
        "score_range": score_range,
        "lower_is_better": lower_is_better or None,
    }
    config = configuration(data, without_none(given), without_none(of_data))
    if splits is not None:
        from rsfiqa.cli.train_splits import SplitRuns

        SplitRuns(config, out, cache, device, fresh, splits).go()
        return
    from rsfiqa.cli.train_run import Run

    Run(config, out, cache, device, fresh).go()


def configuration(
    named: Sequence[str], options: Mapping[str, Any], of_data: Mapping[str, Any]
) -> TrainConfig:
    """What the file, the data and the options of a command say together.

    Args:
        named: a file of settings, data sets, or a file and then data sets.
        options: fields of `TrainConfig`, with dots.
        of_data: fields of `DataSource`, for every data set.
    """
    from rsfiqa.learning.train_config import config_from_options, read_config, with_data_settings

    files = [name for name in named if Path(name).suffix.lower() in (".yaml", ".yml")]
    sets = [name for name in named if name not in files]
    if len(files) > 1:
        raise ConfigError(f"one file of settings is read at a time; got {', '.join(files)}.")
    if sets:
        options = {**options, "data": [{"path": path} for path in sets]}
    config = read_config(Path(files[0]), options) if files else config_from_options(options)
    return with_data_settings(config, of_data)


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in values.items() if value is not None}


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
