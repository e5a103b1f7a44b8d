"""Training a scorer on cached features: a few minutes on two cores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from rsfiqa.errors import ConfigError
from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.batches import batches, chunks, stack
from rsfiqa.learning.losses import locality_loss, quality_loss
from rsfiqa.learning.metrics import correlations
from rsfiqa.scoring.model import RegionHead, RegionScorer, ScorerConfig, to_score
from rsfiqa.scoring.semantics import Semantics

N = TypeVar("N", bound=nn.Module)

MARGINS = {1: 1.0, 2: 3.0, 3: 6.0, 4: 10.0}
"""Points by which a region's score must fall when it is spoiled at each strength."""


@dataclass(frozen=True)
class Spoiled:
    """A copy of a training picture, spoiled in one region and seen with the same partition.

    Attributes:
        features: of the spoiled copy.
        source: index of the clean picture.
        region: id of the spoiled region.
        strength: 1..4.
    """

    features: PictureFeatures
    source: int
    region: int
    strength: int


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training run.

    Attributes:
        context_epochs: passes that teach the whole-picture head of an RSA scorer alone, first:
            cheap, and regions then learn what it leaves unsaid.
        epochs: passes over the scored pictures.
        batch_size: pictures a step.
        learning_rate: peak of a one-cycle schedule.
        context_rate: factor on it for a whole-picture head that was taught before.
        weight_decay: of AdamW.
        mse_weight: see `quality_loss`.
        locality_weight: of `locality_loss`; 0 leaves spoiled copies out.
        spoiled_per_step: spoiled copies (with their clean originals) a step.
        unread: fraction of the pictures of a step, and of its spoiled copies with their originals,
            that are seen as if nobody had read them: the scorer has to do without a reader, too.
            Beyond that, single readings are dropped (`rsfiqa.scoring.semantics`).
        average: decay of the moving average of weights that is evaluated and kept.
        seed: of initialisation, order and dropout.
    """

    context_epochs: int = 12
    epochs: int = 5
    batch_size: int = 64
    learning_rate: float = 1e-3
    context_rate: float = 0.1
    weight_decay: float = 0.5
    mse_weight: float = 4.0
    locality_weight: float = 0.1
    spoiled_per_step: int = 8
    unread: float = 0.2
    average: float = 0.99
    seed: int = 0


@dataclass(frozen=True)
class EpochReport:
    """How one epoch went; SRCC and PLCC are those of the averaged weights on the validation split."""

    epoch: int
    loss: float
    locality: float
    srcc: float | None
    plcc: float | None


@dataclass
class TrainingResult:
    """The best weights by validation SRCC, and how training went."""

    scorer: RegionScorer
    best: EpochReport
    history: list[EpochReport] = field(default_factory=list)


def train_scorer(
    model: ScorerConfig,
    config: TrainingConfig,
    pictures: Sequence[PictureFeatures],
    targets: Sequence[float],
    validation: Sequence[PictureFeatures],
    validation_targets: Sequence[float],
    spoiled: Sequence[Spoiled] = (),
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> TrainingResult:
    """Train a scorer of one member and keep the epoch that is best on the validation split.

    Args:
        model, config: sizes and settings.
        pictures, targets: training features and their scores on 0..100.
        validation, validation_targets: chosen by, never trained on.
        spoiled: locally spoiled copies of `pictures`.
        on_epoch: told of every epoch.

    Raises:
        ConfigError: fewer than two training or three validation pictures, or no epochs.
    """
    require_enough(len(pictures), len(validation))
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    scorer = RegionScorer(replace(model, members=1))
    wanted = torch.tensor(targets, dtype=torch.float32)
    rates = {"": config.learning_rate}
    if model.aggregation == "rsa" and config.context_epochs:
        _teach_context(scorer, config, pictures, wanted)
        rates["members.0.context."] = config.learning_rate * config.context_rate
    steps = config.epochs * len(chunks(pictures, config.batch_size))
    descent = _Descent(scorer, rates, config, steps)
    averaged = descent.averaged.eval()
    use_spoiled = config.locality_weight > 0 and model.aggregation == "rsa" and len(spoiled) > 0
    history: list[EpochReport] = []
    best: tuple[EpochReport, dict[str, Tensor]] | None = None
    for epoch in range(1, config.epochs + 1):
        scorer.train()
        losses, localities = [], []
        for batch in batches(pictures, config.batch_size, rng):
            (semantics,) = _some_unread([batch.semantics], config.unread, rng)
            out = scorer(batch.positions, batch.context, batch.labels, batch.area, semantics)
            loss = quality_loss(out.score, wanted[batch.indices], config.mse_weight)
            losses.append(loss.item())
            # A grid size that few pictures have makes small batches, which must not weigh as much.
            loss = loss * (len(batch.indices) / config.batch_size)
            if use_spoiled:
                locality = _locality(scorer, pictures, spoiled, config, rng)
                localities.append(locality.item())
                loss = loss + config.locality_weight * locality
            descent.step(loss)
        measured = correlations(predict(averaged, validation), validation_targets)
        report = EpochReport(
            epoch,
            float(np.mean(losses)),
            float(np.mean(localities)) if localities else 0.0,
            measured.srcc,
            measured.plcc,
        )
        history.append(report)
        if on_epoch:
            on_epoch(report)
        if best is None or _rank(report) > _rank(best[0]):
            best = (report, copy.deepcopy(averaged.state_dict()))
    if best is None:
        raise ConfigError(f"epochs must be 1 or more; got {config.epochs}.")
    averaged.load_state_dict(best[1])
    return TrainingResult(averaged, best[0], history)


def require_enough(training: int, validation: int) -> None:
    """Refuse to train on fewer pictures than losses and correlations are made of.

    Raises:
        ConfigError: there are fewer than two training or three validation pictures.
    """
    if training < 2 or validation < 3:
        raise ConfigError(
            "training needs at least 2 training and 3 validation pictures; "
            f"got {training} and {validation}."
        )


@torch.inference_mode()
def predict(
    scorer: RegionScorer, pictures: Sequence[PictureFeatures], size: int = 64
) -> list[float]:
    """Scores of all pictures, in their order."""
    scorer.eval()
    scores = np.zeros(len(pictures))
    for batch in batches(pictures, size):
        out = scorer(batch.positions, batch.context, batch.labels, batch.area, batch.semantics)
        scores[batch.indices.numpy()] = out.score.numpy()
    return [float(score) for score in scores]


class _Descent(Generic[N]):
    """AdamW under a one-cycle schedule, with a moving average of the weights.

    Args:
        network: what is taught.
        rates: peak learning rates of parameters by name prefix; the longest prefix counts.
        config: weight decay and the average's decay.
        steps: how many there will be.
    """

    def __init__(
        self, network: N, rates: Mapping[str, float], config: TrainingConfig, steps: int
    ) -> None:
        self.network = network
        self.averaged = copy.deepcopy(network)
        self._decay = config.average
        self._steps = 0
        groups: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in rates}
        for name, parameter in network.named_parameters():
            groups[max((p for p in rates if name.startswith(p)), key=len)].append(parameter)
        self._optimizer = torch.optim.AdamW(
            [{"params": groups[prefix], "lr": rate} for prefix, rate in rates.items()],
            weight_decay=config.weight_decay,
        )
        # A rise of exactly one step, which 5 steps would have, is a division by zero in torch.
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            list(rates.values()),
            total_steps=6 if steps == 5 else max(steps, 1),
            pct_start=0.2,
        )

    def step(self, loss: Tensor) -> None:
        """One step down the loss; the average follows faster in the beginning."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        with torch.no_grad():
            for mine, new in zip(
                self.averaged.parameters(), self.network.parameters(), strict=True
            ):
                mine.lerp_(new, 1 - decay)


def _teach_context(
    scorer: RegionScorer,
    config: TrainingConfig,
    pictures: Sequence[PictureFeatures],
    wanted: Tensor,
) -> None:
    """Teach the whole-picture head alone; it needs no positions, so this takes seconds."""
    head = cast(RegionHead, scorer.members[0]).context
    contexts = torch.stack([picture.context for picture in pictures]).float()
    rng = torch.Generator().manual_seed(config.seed)
    steps = config.context_epochs * -(-len(contexts) // config.batch_size)
    descent = _Descent(head, {"": config.learning_rate}, config, steps)
    head.train()
    for _ in range(config.context_epochs):
        for chosen in torch.randperm(len(contexts), generator=rng).split(config.batch_size):
            loss = quality_loss(to_score(head(contexts[chosen])), wanted[chosen], config.mse_weight)
            descent.step(loss * (len(chosen) / config.batch_size))
    head.load_state_dict(descent.averaged.state_dict())


def _rank(report: EpochReport) -> float:
    """What epochs are compared by; one whose scores are all alike comes last."""
    return -1.0 if report.srcc is None else report.srcc


def _locality(
    scorer: RegionScorer,
    pictures: Sequence[PictureFeatures],
    spoiled: Sequence[Spoiled],
    config: TrainingConfig,
    rng: np.random.Generator,
) -> Tensor:
    count = config.spoiled_per_step
    grid = spoiled[int(rng.integers(len(spoiled)))].features.labels.shape
    alike = [i for i, s in enumerate(spoiled) if s.features.labels.shape == grid]
    chosen = [spoiled[alike[i]] for i in rng.integers(len(alike), size=count)]
    before = stack([pictures[s.source] for s in chosen], range(count))
    after = stack([s.features for s in chosen], range(count))
    region = torch.tensor([s.region for s in chosen])
    margin = torch.tensor([MARGINS[s.strength] for s in chosen])
    shown = _some_unread([before.semantics, after.semantics], config.unread, rng)
    # Both are seen in the clean picture's context: regions learn to answer for themselves, and
    # context stays free to say what a fault does to the picture as a whole.
    clean, changed = (
        scorer(b.positions, before.context, before.labels, before.area, semantics).region_scores
        for b, semantics in zip((before, after), shown, strict=True)
    )
    return locality_loss(clean, changed, region, before.area, margin)


def _some_unread(
    versions: Sequence[Semantics | None], fraction: float, rng: np.random.Generator
) -> list[Semantics | None]:
    """Versions of the same pictures' readings, with those of some pictures hidden in all of them."""
    read = [version for version in versions if version is not None]
    if not read or not fraction:
        return list(versions)
    hidden = torch.from_numpy(rng.random((len(read[0].known), 1)) < fraction)
    return [None if version is None else version.hidden(hidden) for version in versions]
