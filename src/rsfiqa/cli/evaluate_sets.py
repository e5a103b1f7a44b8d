"""What `rsfiqa evaluate` is told of data: which pictures, which splits, what is known from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from rsfiqa.cli import common
from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    from rsfiqa.learning.evaluation_leaks import TrainedOn
    from rsfiqa.learning.evaluation_sets import EvaluationSet

_SPLITS_PANEL, _LEAKS_PANEL = "Splits", "Leaks"


@dataclass(frozen=True)
class SplitOptions:
    """Which pictures are measured on."""

    split: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_SPLITS_PANEL,
            help="Only this part: train, val, test.",
            show_default="all pictures; with --splits: test",
        ),
    ] = None
    splits: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.csv",
            rich_help_panel=_SPLITS_PANEL,
            help="Several splits, as rsfiqa data splits writes them: median and spread of the figures "
            "over their parts. May be given again, for another data set.",
        ),
    ] = None


@dataclass(frozen=True)
class LeakOptions:
    """What is known from training."""

    trained_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            rich_help_panel=_LEAKS_PANEL,
            help="What the scorers were trained on, as CSV, folder or NAME:FOLDER; its split train "
            "where it has one. Pictures that are known from there (the same file, the same "
            "reference, a near-duplicate) are told. May be given again.",
        ),
    ] = None
    leaks: Annotated[
        str,
        typer.Option(
            metavar="warn|drop|fail",
            rich_help_panel=_LEAKS_PANEL,
            help="What is done about such pictures: figures with and without them, only without, or "
            "no evaluation at all.",
        ),
    ] = "warn"


@dataclass(frozen=True)
class LabelOptions:
    """How a CSV is read, and by what its pictures are grouped."""

    image_column: common.ImageColumnOption = "image"
    score_column: common.ScoreColumnOption = "mos"
    score_range: common.ScoreRangeOption = None
    lower_is_better: common.LowerIsBetterOption = False
    group_column: Annotated[
        str | None,
        typer.Option(
            help="Column of groups, which get figures of their own.",
            show_default="subset or group, where there is one",
        ),
    ] = None
    group_pattern: Annotated[
        str,
        typer.Option(
            metavar="REGEX",
            help="Group pictures by what this finds in their names instead: '_(\\d+)_' gives the "
            "distortions of KADID-10k, '^i\\d+_(\\d+)' those of TID2013.",
            show_default="the set's subsets or references",
        ),
    ] = ""

    @property
    def columns(self) -> dict[str, Any]:
        """As `ScoredImages.from_csv` takes them."""
        return {
            "image_column": self.image_column,
            "score_column": self.score_column,
            "score_range": self.score_range,
            "lower_is_better": self.lower_is_better,
            "group_column": self.group_column,
        }


def read_sets(
    sources: Sequence[str], splits: SplitOptions, labels: LabelOptions
) -> list[EvaluationSet]:
    """The data sets as the options have them.

    Raises:
        DataError: a set or a file of splits is not as it should be.
        ConfigError: a set is given twice, or settings do not go together.
    """
    from rsfiqa.learning.evaluation_sets import EvaluationSet, short_names

    twice = [source for source in dict.fromkeys(sources) if sources.count(source) > 1]
    if twice:
        raise ConfigError(f"{twice[0]} is given twice; name each data set once.")
    sets = [
        EvaluationSet(name, source, _read(source, sources, labels))
        for name, source in zip(short_names(sources), sources, strict=True)
    ]
    if splits.splits:
        return _with_splits(sets, splits.splits, splits.split or "test", asked=splits.split)
    if splits.split is not None:
        return [replace(each, data=each.data.split(splits.split)) for each in sets]
    return sets


def _read(source: str, sources: Sequence[str], labels: LabelOptions) -> Any:
    from rsfiqa.learning.datasets import ScoredImages
    from rsfiqa.learning.known_sets.loading import named_set

    # Settings of columns are for the CSVs among several sets; with a named set alone they are a
    # mistake, which the reader of the set will say.
    named = named_set(source) is not None
    others = any(named_set(other) is None for other in sources)
    return ScoredImages.from_csv(source, **({} if named and others else labels.columns))


def _with_splits(
    sets: list[EvaluationSet], files: Sequence[Path], part: str, *, asked: str | None
) -> list[EvaluationSet]:
    from rsfiqa.learning.evaluation_sets import of_which
    from rsfiqa.learning.splits import read_splits

    found = {}
    for file in files:
        splits = read_splits(file)
        owner = of_which(splits, sets, file)
        if owner.name in found:
            raise ConfigError(f"{file} is a second file of splits of {owner.name}; give one.")
        found[owner.name] = owner.with_splits(splits, part)
    rest = [
        each if asked is None else replace(each, data=each.data.split(asked))
        for each in sets
        if each.name not in found
    ]
    by_name = found | {each.name: each for each in rest}
    return [by_name[each.name] for each in sets]


def mark_leaks(sets: Sequence[EvaluationSet], options: LeakOptions) -> list[EvaluationSet]:
    """The data sets with what is known from training marked, or left out, as the options say.

    Raises:
        ConfigError: the policy is unknown.
        DataError: what was trained on cannot be read; or there is a leak, and that is to fail.
    """
    from rsfiqa.learning.evaluation_leaks import (
        LeakPolicy,
        TrainedOn,
        known_pictures,
        require_unknown,
    )

    if options.leaks not in get_args(LeakPolicy):
        raise ConfigError(f"--leaks is {', '.join(get_args(LeakPolicy))}; got {options.leaks!r}.")
    if not options.trained_on:
        return list(sets)
    trained_on = [TrainedOn.of(source) for source in options.trained_on]
    marked = []
    for each in sets:
        known = _known(known_pictures, trained_on, each)
        if options.leaks == "fail":
            require_unknown(known, each.name)
        if known:
            what = "are left out" if options.leaks == "drop" else "see the figures without them"
            image, how = next(iter(known.items()))
            typer.echo(
                f"rsfiqa: {len(known)} of {len(each.data)} pictures of {each.name} are known from "
                f"training, such as {image} ({how}); {what}.",
                err=True,
            )
        marked.append(
            each.without(known) if known and options.leaks == "drop" else replace(each, known=known)
        )
    return marked


def _known(find: Any, trained_on: Sequence[TrainedOn], each: EvaluationSet) -> dict[str, str]:
    count = len(each.data) + sum(len(one.data) for one in trained_on)
    with common.progress("looking for leaks", count, shown=common.on_terminal()) as advance:
        found: dict[str, str] = find(trained_on, each.data, each.source, advance)
    return found
