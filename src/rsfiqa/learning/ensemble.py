"""From prepared features to a scorer: its members, trained one after the other, and their record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np
import torch

from rsfiqa import __version__
from rsfiqa.devices import choose_device
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.joint_sets import JointSets, Line
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.prepared import Prepared
from rsfiqa.learning.reliability import fit_reliability
from rsfiqa.learning.shown_readings import (
    donors,
    shuffle_readings,
    with_readings_of,
    without_readings,
)
from rsfiqa.learning.spoiled import Spoiled
from rsfiqa.learning.training import predict, train_scorer
from rsfiqa.learning.training_reports import EpochReport, StepReport, TrainingResult
from rsfiqa.learning.training_state import TrainingState, data_digest
from rsfiqa.scoring.checkpoint import Checkpoint, weights_digest
from rsfiqa.scoring.model import RegionScorer


class TrainingLog(Protocol):
    """Where the figures of training go besides the terminal; see `rsfiqa.learning.training_log`."""

    def step(self, member: int, report: StepReport) -> None:
        """One step of a member, counted from 0."""
        ...

    def epoch(self, member: int, report: EpochReport) -> None:
        """One epoch of a member."""
        ...


def train(
    prepared: Prepared,
    name: str,
    on_epoch: Callable[[EpochReport], None] | None = None,
    *,
    state: TrainingState | None = None,
    logs: Sequence[TrainingLog] = (),
    device: str = "auto",
) -> Checkpoint:
    """Train a scorer on prepared features; its `training` field tells how and how well.

    Members are trained one after the other, with seeds that follow the recipe's.

    Args:
        prepared: from `rsfiqa.learning.recipe.prepare`.
        name: what results call the scorer, before a digest of its weights.
        on_epoch: told of every epoch.
        state: where the run is kept after every epoch, and taken up; the same weights come of it
            as of a run that was not interrupted. It is left there: clear it when the scorer is safe.
        logs: told of every step and epoch.
        device: where the scorer is trained; `auto` is a CUDA device where there is one.

    Raises:
        ConfigError: there are too few pictures, the device cannot be used, or `state` is of a run
            of other settings.
        DataError: `state` is damaged or cannot be written.
    """
    recipe = prepared.recipe
    seed = recipe.training.seed
    training, validation, spoiled = _shown(prepared, seed)
    model = replace(
        recipe.model,
        channels=prepared.stem.channels,
        context_dim=len(prepared.stem.context_center),
    )
    # Also where readings are hidden: scorers that are compared begin alike.
    if (read := prepared.training[0].semantics) is not None:
        model = replace(model, description_dim=read.description.shape[-1])
    facts = {} if state is None else _facts(prepared, training, validation, spoiled)
    started = time.monotonic()
    results = [
        train_scorer(
            model,
            replace(recipe.training, seed=seed + i),
            training,
            prepared.training_scores,
            validation,
            prepared.validation_scores,
            spoiled,
            _epoch_teller(i, on_epoch, logs),
            graded=prepared.graded,
            sets=prepared.sets,
            state=None if state is None else state.member(i, facts),
            on_step=_step_teller(i, logs),
            device=choose_device(device),
        )
        for i in range(recipe.model.members)
    ]
    scorer = RegionScorer.merged([result.scorer for result in results])
    lines = _mean_lines(results)

    def agreement(pictures: Sequence[PictureFeatures]) -> dict[str, Any]:
        return _agreement(predict(scorer, pictures), prepared, lines)

    record: dict[str, Any] = {
        "rsfiqa": __version__,
        "settings": asdict(recipe.training),
        "precision": recipe.precision,
        "training_pictures": len(training) // (2 if recipe.flips else 1),
        "spoiled_copies": len(spoiled),
        "graded_copies": len(prepared.graded),
        "validation_pictures": len(validation),
        "members": [asdict(result.best) for result in results],
        **agreement(validation),
    }
    if recipe.flips:
        record["flips"] = True
    if prepared.shown != "none":
        record |= {
            "reader": prepared.reader,
            "readings": prepared.shown,
            "regions_read": _fraction_read(prepared.training),
            "validation_unread": agreement(without_readings(validation))["validation"],
        }
    checkpoint = Checkpoint(
        name=name,
        scorer=scorer,
        stem=prepared.stem,
        encoder=list(recipe.encoder),
        segmenter=prepared.segmenter,
        training={**record, "seconds": round(time.monotonic() - started, 1)},
        # Shuffled readings said nothing, so there is nothing in true ones that it could know.
        reader=prepared.reader if prepared.shown == "own" else "none",
    )
    reliability = fit_reliability(
        scorer,
        training,
        prepared.training_scores,
        validation,
        prepared.validation_scores,
        sets=prepared.sets,
    )
    checkpoint = replace(checkpoint, reliability=reliability)
    return replace(checkpoint, name=f"{name}-{weights_digest(checkpoint)}")


def _epoch_teller(
    member: int, on_epoch: Callable[[EpochReport], None] | None, logs: Sequence[TrainingLog]
) -> Callable[[EpochReport], None]:
    def tell(report: EpochReport) -> None:
        for log in logs:
            log.epoch(member, report)
        if on_epoch:
            on_epoch(report)

    return tell


def _step_teller(member: int, logs: Sequence[TrainingLog]) -> Callable[[StepReport], None] | None:
    if not logs:
        return None

    def tell(report: StepReport) -> None:
        for log in logs:
            log.step(member, report)

    return tell


def _facts(
    prepared: Prepared,
    training: Sequence[PictureFeatures],
    validation: Sequence[PictureFeatures],
    spoiled: Sequence[Spoiled],
) -> dict[str, Any]:
    """What a run depends on besides the recipe."""
    return {
        "training pictures": data_digest(
            training, prepared.training_scores, spoiled, prepared.graded
        ),
        "validation pictures": data_digest(validation, prepared.validation_scores),
        "data sets": None if prepared.sets is None else list(prepared.sets.names),
    }


def _mean_lines(results: Sequence[TrainingResult]) -> tuple[Line, ...]:
    """From the scale of the members' mean to each data set's; of one set there are none."""
    return tuple(
        Line(float(np.mean([m.slope for m in each])), float(np.mean([m.offset for m in each])))
        for each in zip(*(result.lines for result in results), strict=True)
    )


def _agreement(
    scores: Sequence[float], prepared: Prepared, lines: Sequence[Line]
) -> dict[str, Any]:
    """The field's figures on the validation pictures: of the first data set, and of each."""
    wanted = prepared.validation_scores
    if prepared.sets is None:
        return {"validation": correlations(scores, wanted).to_dict()}
    given, human = np.asarray(scores), np.asarray(wanted)
    found = []
    for index, (name, line) in enumerate(zip(prepared.sets.names, lines, strict=True)):
        mine = np.asarray(prepared.sets.validation) == index
        figures = correlations(line.slope * given[mine] + line.offset, human[mine]).to_dict()
        counts = _counts(prepared.sets, index)
        found.append({"name": name, **counts, **figures, "line": asdict(line)})
    first = correlations(
        given[np.asarray(prepared.sets.validation) == 0],
        human[np.asarray(prepared.sets.validation) == 0],
    )
    return {"validation": first.to_dict(), "sets": found}


def _counts(sets: JointSets, index: int) -> dict[str, int]:
    return {
        "training_pictures": sets.training.count(index),
        "validation_pictures": sets.validation.count(index),
    }


def _shown(
    prepared: Prepared, seed: int
) -> tuple[Sequence[PictureFeatures], Sequence[PictureFeatures], list[Spoiled]]:
    """Training pictures, validation pictures and spoiled copies with the readings to be shown."""
    training, validation, spoiled = prepared.training, prepared.validation, prepared.spoiled
    if prepared.shown == "own":
        return training, validation, spoiled
    if prepared.shown == "none":
        copies = without_readings([copy.features for copy in spoiled])
        training, validation = without_readings(training), without_readings(validation)
    else:
        givers = donors(len(training), seed)
        # A copy is read as its original is: another picture's readings know nothing of its fault.
        copies = [
            with_readings_of(copy.features, prepared.training[givers[copy.source]])
            for copy in spoiled
        ]
        training = shuffle_readings(training, seed)
        validation = shuffle_readings(validation, seed)
    return (
        training,
        validation,
        [replace(s, features=copy) for s, copy in zip(spoiled, copies, strict=True)],
    )


def _fraction_read(pictures: Sequence[PictureFeatures]) -> float:
    """Which fraction of all regions has a reading."""
    known = torch.cat([p.semantics.known for p in pictures if p.semantics is not None])
    return round(float(known.float().mean()), 4)
