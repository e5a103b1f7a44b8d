"""One training run: what happens in an epoch, what is kept of it, and how it is taken up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from rsfiqa.extraction import PictureFeatures
from rsfiqa.learning.batches import Batch, balanced_chunks, chunks, stack
from rsfiqa.learning.descent import Descent, under
from rsfiqa.learning.graded import Graded, GradedCopies
from rsfiqa.learning.joint_sets import Alignment, JointSets, Line, SetFigures
from rsfiqa.learning.losses import quality_loss
from rsfiqa.learning.spoiled import Spoiled, locality_of, some_unread
from rsfiqa.learning.training_config import TrainingConfig
from rsfiqa.learning.training_reports import EpochReport, StepReport, TrainingResult
from rsfiqa.learning.training_state import MemberState
from rsfiqa.scoring.model import (
    ContextHead,
    PoolingHead,
    RegionHead,
    RegionScorer,
    ScorerConfig,
    to_score,
)


class TrainingRun:
    """A training run between two epochs.

    Args: as for `rsfiqa.learning.training.train_scorer`.
    """

    def __init__(
        self,
        model: ScorerConfig,
        config: TrainingConfig,
        pictures: Sequence[PictureFeatures],
        targets: Sequence[float],
        spoiled: Sequence[Spoiled],
        graded: Sequence[Graded],
        sets: JointSets | None,
        device: torch.device,
    ) -> None:
        self.sets = sets
        self._config, self._device = config, device
        self._pictures, self._spoiled = pictures, spoiled
        self._rsa = model.aggregation == "rsa"
        self._uses_spoiled = config.locality_weight > 0 and self._rsa and len(spoiled) > 0
        self._graded = GradedCopies(pictures, graded if config.grading_weight > 0 else (), device)
        torch.manual_seed(config.seed)
        self._rng = np.random.default_rng(config.seed)
        self._scorer = RegionScorer(replace(model, members=1)).to(device)
        self._alignment = Alignment(len(sets.names) if sets else 1).to(device)
        self._aligning = self._alignment.optimizer(config.learning_rate) if sets else None
        self._wanted = torch.tensor(targets, dtype=torch.float32)
        self._history: list[EpochReport] = []
        self._kept: dict[str, Tensor] = {}
        self._kept_lines: tuple[Line, ...] = ()

    def begin(self, state: MemberState | None) -> None:
        """Teach the whole-picture head, or take up what an earlier run left."""
        kept = None if state is None else state.load()
        rates = {"": self._config.learning_rate}
        if self._rsa and self._config.context_epochs:
            if kept is None:
                self._teach_context()
            rates["members.0.context."] = self._config.learning_rate * self._config.context_rate
        steps = sum(len(self._chunks(e)) for e in range(1, self._config.epochs + 1))
        self._steps = steps
        self._descent = Descent(self._scorer, rates, self._config, steps)
        self._descent.averaged.eval()
        if kept is not None and state is not None:
            try:
                self._take_up(*kept)
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                raise state.damaged(error) from error

    @property
    def averaged(self) -> RegionScorer:
        """The weights that are evaluated and kept."""
        return self._descent.averaged

    @property
    def epochs_done(self) -> int:
        """How many epochs there were, those of an earlier run included."""
        return len(self._history)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or nothing has become better for too long."""
        done, patience = self.epochs_done, self._config.patience
        stale = done - self._kept_report.epoch if done else 0
        return done >= self._config.epochs or (patience > 0 and stale >= patience)

    def epoch(self, on_step: Callable[[StepReport], None] | None) -> tuple[float, float]:
        """One pass over the pictures; its mean loss and locality loss."""
        self._scorer.train()
        losses, localities = [], []
        for chunk in self._chunks(self.epochs_done + 1, self._rng):
            loss, objective = self._quality(chunk)
            losses.append(loss.item())
            if self._uses_spoiled:
                locality = locality_of(
                    self._scorer,
                    self._pictures,
                    self._spoiled,
                    self._config,
                    self._rng,
                    self._device,
                )
                localities.append(locality.item())
                objective = objective + self._config.locality_weight * locality
            objective = objective + self._grading(self._context_head, self._rng)
            rate = self._descent.rate
            self._step(objective)
            if on_step:
                place = (self._descent.steps, self._steps)
                on_step(StepReport(*place, losses[-1], localities[-1] if localities else 0.0, rate))
        return float(np.mean(losses)), float(np.mean(localities)) if localities else 0.0

    def note(self, report: EpochReport) -> None:
        """Keep how an epoch went, and its weights, unless those of a better one are to stay."""
        is_kept = (
            self._config.keep == "last" or not self._history or report.rank > self._kept_report.rank
        )
        self._history.append(report)
        if is_kept:
            self._kept = {n: t.detach().clone() for n, t in self.averaged.state_dict().items()}
            self._kept_lines = self._alignment.lines() if self.sets else ()

    def result(self) -> TrainingResult:
        """The weights that were kept."""
        self.averaged.load_state_dict(self._kept)
        scorer = self.averaged.cpu().eval()
        return TrainingResult(scorer, self._kept_report, self._history, self._kept_lines)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What it takes to go on from here: tensors, and plain data for JSON."""
        tensors, descent = self._descent.state()
        tensors |= {f"kept.{name}": tensor for name, tensor in self._kept.items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if self._device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self._device)
        progress = {
            "descent": descent,
            "random": self._rng.bit_generator.state,
            "history": [asdict(report) for report in self._history],
            "lines": [asdict(line) for line in self._kept_lines],
        }
        if self._aligning is not None:
            moments = self._aligning.state_dict()["state"]
            tensors |= {f"line.{name}": t for name, t in self._alignment.state_dict().items()}
            tensors |= {f"moment.{i}.{k}": v for i, m in moments.items() for k, v in m.items()}
        return tensors, progress

    def _take_up(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        self._descent.take_up(tensors, progress["descent"])
        self._kept = under("kept.", tensors)
        self._history = [
            EpochReport(**{**report, "sets": tuple(SetFigures(**s) for s in report["sets"])})
            for report in progress["history"]
        ]
        self._kept_lines = tuple(Line(**line) for line in progress["lines"])
        self._rng.bit_generator.state = progress["random"]
        torch.set_rng_state(tensors["random.cpu"])
        if self._device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self._device)
        if self._aligning is not None:
            self._alignment.load_state_dict(under("line.", tensors))
            moments = {i: under(f"moment.{i}.", tensors) for i in range(2)}
            whole = self._aligning.state_dict()
            self._aligning.load_state_dict({**whole, "state": moments})

    def _chunks(self, epoch: int, rng: np.random.Generator | None = None) -> list[list[int]]:
        size = self._config.batch_size
        if self.sets is None:
            return chunks(self._pictures, size, rng)
        grids = [tuple(picture.labels.shape) for picture in self._pictures]
        return balanced_chunks(self.sets.training, grids, size, self._config.seed, epoch)

    def _quality(self, chunk: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The loss on scores of a batch, and what of it counts in the step."""
        batch: Batch = stack(self._pictures, chunk).to(self._device)
        (semantics,) = some_unread([batch.semantics], self._config.unread, self._rng)
        out = self._scorer(batch.positions, batch.context, batch.labels, batch.area, semantics)
        loss = self._loss(out.score, chunk)
        # A grid size that few pictures have makes small batches, which must not weigh as much.
        return loss, loss * (len(chunk) / self._config.batch_size)

    def _loss(self, scores: Tensor, chunk: Sequence[int]) -> Tensor:
        """Scores beside those of people, on the scale of the set that the batch is of."""
        wanted = self._wanted[torch.tensor(chunk)].to(self._device)
        if self.sets is not None:
            scores = self._alignment(scores, self.sets.training[chunk[0]])
        return quality_loss(scores, wanted, self._config.mse_weight)

    @property
    def _context_head(self) -> ContextHead:
        return cast("RegionHead | PoolingHead", self._scorer.members[0]).context

    def _grading(self, head: nn.Module, rng: np.random.Generator) -> Tensor | float:
        """What graded copies add to the loss of a whole-picture head."""
        if not len(self._graded):
            return 0.0
        loss = self._graded.loss(head, self._config.graded_per_step, rng)
        return self._config.grading_weight * loss

    def _step(self, loss: Tensor) -> None:
        self._descent.step(loss)
        self._move_lines()

    def _move_lines(self) -> None:
        if self._aligning is not None:
            self._aligning.step()
            self._aligning.zero_grad(set_to_none=True)

    def _teach_context(self) -> None:
        """Teach the whole-picture head alone; it needs no positions, so this takes seconds."""
        config = self._config
        head = self._context_head
        contexts = torch.stack([picture.context for picture in self._pictures]).float()
        epochs = list(self._context_chunks(len(contexts)))
        descent = Descent(head, {"": config.learning_rate}, config, sum(map(len, epochs)))
        head.train()
        rng = np.random.default_rng([config.seed, 1])
        for chunk in (chunk for epoch in epochs for chunk in epoch):
            scores = to_score(head(contexts[torch.tensor(chunk)].to(self._device)))
            loss = self._loss(scores, chunk) * (len(chunk) / config.batch_size)
            descent.step(loss + self._grading(head, rng))
            self._move_lines()
        head.load_state_dict(descent.averaged.state_dict())

    def _context_chunks(self, count: int) -> Iterator[list[list[int]]]:
        """The batches of each epoch of the whole-picture head."""
        config = self._config
        order = torch.Generator().manual_seed(config.seed)
        for epoch in range(1, config.context_epochs + 1):
            if self.sets is None:
                drawn = torch.randperm(count, generator=order).split(config.batch_size)
                yield [chunk.tolist() for chunk in drawn]
            else:
                alike = [()] * count
                yield balanced_chunks(
                    self.sets.training, alike, config.batch_size, config.seed, epoch
                )

    @property
    def _kept_report(self) -> EpochReport:
        if self._config.keep == "last":
            return self._history[-1]
        return max(self._history, key=lambda report: report.rank)  # of equals the first
