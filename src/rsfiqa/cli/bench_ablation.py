"""`rsfiqa bench ablation`: what regions and readings are worth, as a table and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsfiqa.cli import common, outputs
from rsfiqa.cli import train as train_command
from rsfiqa.cli import train_output as output
from rsfiqa.errors import ConfigError
from rsfiqa.reading.build import DEFAULT_READER

if TYPE_CHECKING:
    from rich.console import Console

    from rsfiqa.learning.ablation import AblationData, Variant
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.evaluation import Evaluation
    from rsfiqa.learning.train_config import TrainConfig

FIGURES = "ablation.json"
STATE = "training"


def ablation(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA|CONFIG.yaml",
            help="A CSV (image,mos[,split]), its folder or NAME:FOLDER; or a file of settings, as "
            "for rsfiqa train, over which data and options given here win.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder for the predictions and figures of each run and of all. What is there is "
            "not trained again: an interrupted measurement goes on, and variants or seeds may be "
            "added.",
        ),
    ],
    seeds: Annotated[
        str, typer.Option(metavar="N,N,...", help="Each variant is trained with each of these.")
    ] = "0,1,2",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the pictures.", show_default="5")
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...",
            help="pooling, rsa, readings, shuffled and grid, of the whole encoder, or of one of its "
            "backbones, as in dinov2-small:rsa. The first is what all are compared with.",
            show_default="all five; without a reader the three that need none",
        ),
    ] = None,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone", help="Each backbone of the encoder alone, too: its pooling twin and its RSA."
        ),
    ] = False,
    cells: Annotated[
        int, typer.Option(min=1, help="For grid: cells along the long side of a picture.")
    ] = 4,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="Try it out on so many pictures only.", show_default="all"),
    ] = None,
    backbone: train_command.BackboneOption = None,
    precision: train_command.BackbonePrecisionOption = None,
    reader: Annotated[
        str | None,
        typer.Option(
            help="What describes and rates the regions, as for rsfiqa assess; it is asked only "
            "where a variant sees readings.",
            show_default=DEFAULT_READER,
        ),
    ] = None,
    cache: common.FeatureCacheOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train all anew, whatever is there.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE.json", help="Write the figures here, too."),
    ] = None,
    device: common.DeviceOption = "auto",
) -> None:
    """What regions and readings are worth: variants of one training, over seeds, on the val split.

    All see the same features, computed once; each gives the scorer of its last epoch.
    """
    from rsfiqa.learning import ablation as measured

    outputs.require_writable_figures(json_file)
    given = {
        "training.epochs": epochs,
        "limit": limit,
        "encoder": [train_command.parse_backbone(b) for b in backbone] if backbone else None,
        "precision": precision,
        "reader": reader,
    }
    config = train_command.configuration(data, train_command.without_none(given), {})
    chosen = _variants(config, variants, alone)
    numbers = _seeds(seeds)
    measured.GridCut(cells)  # refuses a number of cells that cannot be
    for variant in chosen:
        measured.recipe_of(variant, config, 0)
    run = _Runs(config, chosen, numbers, cells, out, cache, device, fresh)
    run.go(json_file)


@dataclass
class _Runs:
    """All variants with all seeds."""

    config: TrainConfig
    variants: Sequence[Variant]
    seeds: Sequence[int]
    cells: int
    out: Path
    cache: Path | None
    device: str
    fresh: bool

    def go(self, json_file: Path | None) -> None:
        """Train what is not there yet; write and print the figures of all."""
        from rich.console import Console

        from rsfiqa.learning.ablation_figures import Ablation
        from rsfiqa.learning.ablation_tables import differences_table, figures_table
        from rsfiqa.learning.prepared import split
        from rsfiqa.learning.train_config import plain_config
        from rsfiqa.learning.training import require_enough

        console = Console(stderr=True, markup=False, soft_wrap=True)
        name, data = self._one_data_set(console)
        training, validation = split(data, self.config)
        require_enough(len(training), len(validation))
        outputs.require_writable_folder(self.out)
        # Seed by seed: a measurement that is ended early has all variants of the first ones.
        wanted = [(variant, seed) for seed in self.seeds for variant in self.variants]
        found: dict[tuple[Variant, int], Evaluation] = {}
        for variant, seed in () if self.fresh else wanted:
            kept = self._kept(variant, seed, training, validation)
            if kept is not None:
                found[variant, seed] = kept
        missing = [pair for pair in wanted if pair not in found]
        if found:
            console.print(f"{len(found)} of {len(wanted)} runs are there already, in {self.out}")
        if missing:
            prepared = self._prepare(data, training, validation, console)
            for pair in missing:
                place = f"{wanted.index(pair) + 1} of {len(wanted)}"
                found[pair] = self._train(*pair, prepared, place, console)
        runs = {v: [found[v, seed] for seed in self.seeds] for v in self.variants}
        ablation = Ablation(runs, tuple(self.seeds))
        shown = Console()
        shown.print(figures_table(ablation, f"{name}: what regions and readings are worth"))
        if len(runs) > 1:
            shown.print(differences_table(ablation))
        settings = {"cells": self.cells, **plain_config(self.config)}
        figures = {**ablation.to_dict(), "settings": settings}
        for file in (self.out / FIGURES, json_file):
            outputs.write_figures(figures, file)
        console.print(f"written to {self.out / FIGURES}")

    def _one_data_set(self, console: Console) -> tuple[str, ScoredImages]:
        sets = self.config.load_data()
        if len(sets) > 1:
            raise ConfigError(
                f"an ablation is of one data set; got {len(sets)}: {', '.join(sets)}."
            )
        output.say_data(console, sets)
        return next(iter(sets.items()))

    def _kept(
        self, variant: Variant, seed: int, training: ScoredImages, validation: ScoredImages
    ) -> Evaluation | None:
        """What an earlier measurement made of a run, if it came to its end."""
        from rsfiqa.learning.kept_evaluations import kept_evaluation

        made_from = self._made_from(variant, seed, training, validation)
        return kept_evaluation(self._folder(variant, seed), made_from)

    def _prepare(
        self,
        data: ScoredImages,
        training: ScoredImages,
        validation: ScoredImages,
        console: Console,
    ) -> AblationData:
        from rsfiqa.learning.ablation import READING_KINDS, AblationData
        from rsfiqa.learning.picture_work import PictureWork
        from rsfiqa.learning.recipe import prepare_bank

        reads = any(variant.kind in READING_KINDS for variant in self.variants)
        recipe = self.config if reads else replace(self.config, reader="none", readings="own")
        recipe = replace(recipe, model=replace(recipe.model, aggregation="rsa"))
        rows = replace(data, rows=(*training.rows, *validation.rows))
        graded = PictureWork.of(data, self.config).grades  # of training pictures, which are first
        given = (rows, recipe, self.cache)
        with output.stages(console) as told:
            bank = prepare_bank(*given, told, self.device, stem=training, graded=graded)
        mean = sum(len(each.area) for each in bank.pictures) / len(bank.pictures)
        console.print(f"{mean:.1f} regions a picture")
        return AblationData(bank, self.config, training, validation, self.cells)

    def _train(
        self, variant: Variant, seed: int, data: AblationData, place: str, console: Console
    ) -> Evaluation:
        """Train one variant with one seed, and keep how it does."""
        from rsfiqa.learning.ensemble import train
        from rsfiqa.learning.kept_evaluations import keep_evaluation
        from rsfiqa.learning.training_state import TrainingState

        made_from = self._made_from(variant, seed, data.training, data.validation)
        folder = self._folder(variant, seed)
        state = TrainingState(folder / STATE, made_from)
        if self.fresh:
            state.clear()
        console.print(f"{variant.name}, seed {seed} ({place})")
        prepared = data.prepared(variant, seed)
        checkpoint = train(
            prepared,
            variant.name,
            lambda report: console.print(output.epoch_line(report)),
            state=state,
            device=self.device,
        )
        evaluation = data.evaluation(prepared, checkpoint)
        told = {"variant": variant.name, "seed": seed, "training": checkpoint.training}
        keep_evaluation(evaluation, folder, made_from=made_from, told=told)
        state.clear()
        return evaluation

    def _folder(self, variant: Variant, seed: int) -> Path:
        plain = variant.name.replace(":", "-").replace("/", "-")
        return self.out / plain / f"seed-{seed}"

    def _made_from(
        self, variant: Variant, seed: int, training: ScoredImages, validation: ScoredImages
    ) -> dict[str, Any]:
        """What a run's figures depend on."""
        from rsfiqa.learning.ablation import recipe_of
        from rsfiqa.learning.kept_evaluations import pictures_digest
        from rsfiqa.learning.train_config import result_settings

        return {
            "variant": variant.name,
            **({"cells": self.cells} if variant.kind == "grid" else {}),
            **result_settings(recipe_of(variant, self.config, seed)),
            "pictures": pictures_digest(training, validation),
        }


def _variants(config: TrainConfig, given: str | None, alone: bool) -> list[Variant]:
    """The rows of the table, each once, in the order given."""
    from rsfiqa.learning import ablation as measured

    backbones = measured.backbone_names(config)
    if given is None:
        reads = config.reader != "none"
        kinds = [k for k in measured.KINDS if reads or k not in measured.READING_KINDS]
        chosen = [measured.Variant(kind) for kind in kinds]
    else:
        names = [name.strip() for name in given.split(",")]
        chosen = [measured.parse_variant(name, backbones) for name in names]
    if alone:
        if len(backbones) < 2:
            raise ConfigError(
                f"{backbones[0]} is the encoder's only backbone, so it is alone already; "
                "leave --alone out."
            )
        chosen += [measured.Variant(k, b) for b in backbones for k in ("pooling", "rsa")]
    return list(dict.fromkeys(chosen))


def _seeds(given: str) -> list[int]:
    """`0,1,2` → numbers, each once."""
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--seeds are whole numbers from 0, such as 0,1,2; got {given!r}.")
    return list(dict.fromkeys(int(part) for part in parts))
