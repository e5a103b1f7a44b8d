"""Teaching a fine-tuned branch on scored pictures, end to end.

Pictures are decoded and cropped anew in every epoch: what varies cannot be kept. The state is written
after every epoch, and a run that is taken up ends with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsfiqa.encoders.backbone import FeatureMaps
from rsfiqa.encoders.fine_tuned import FineTunedBranch
from rsfiqa.encoders.grid import to_tensor
from rsfiqa.heap import freed_is_kept
from rsfiqa.images import PIXEL_BUDGET, load_image, resize_to_budget
from rsfiqa.learning.descent import Descent
from rsfiqa.learning.distortions import STRENGTHS, distort
from rsfiqa.learning.fine_tuning_config import FineTuningConfig
from rsfiqa.learning.graded import FALLS, plan_graded
from rsfiqa.learning.losses import grading_loss, quality_loss
from rsfiqa.learning.metrics import correlations
from rsfiqa.learning.training_state import MemberState
from rsfiqa.scoring.model import to_score

_GRID_PIXELS = 16
"""Crops are cut to multiples of this, so that the cells of the grid keep their size."""


@dataclass(frozen=True)
class FineTuningReport:
    """One epoch of a branch.

    Attributes:
        epoch: from 1.
        loss: mean over its steps.
        srcc, plcc: of the branch alone, averaged weights, on validation pictures.
    """

    epoch: int
    loss: float
    srcc: float | None
    plcc: float | None


@dataclass(frozen=True)
class ScoredPictures:
    """Files of pictures and their scores, 0..100."""

    paths: Sequence[Path]
    scores: Sequence[float]


class Frozen(Protocol):
    """What comes before a branch: RGB pictures `[B, 3, H, W]` in 0..1 → feature maps."""

    def __call__(self, pixels: Tensor) -> FeatureMaps: ...


def fine_tune(
    branch: FineTunedBranch,
    frozen: Frozen,
    training: ScoredPictures,
    validation: ScoredPictures,
    config: FineTuningConfig,
    *,
    state: MemberState | None = None,
    on_step: Callable[[int, int], None] = lambda *_: None,
    on_epoch: Callable[[FineTuningReport], None] = lambda _: None,
    device: torch.device | str = "cpu",
    half: bool = False,
) -> tuple[FineTunedBranch, list[FineTuningReport]]:
    """Teach a branch.

    Args:
        branch: just made.
        frozen: what it goes on from.
        training, validation: pictures to learn from, and to look how well it does.
        config: settings.
        state: where the run is kept after every epoch, and taken up.
        on_step: told how many steps are done, of how many.
        on_epoch: told of every epoch.
        device: where branch and frozen blocks are.
        half: compute linear layers in bfloat16; weights stay in fp32.

    Returns:
        a branch with the average of the weights, and the epochs.

    Raises:
        ConfigError: `state` is of a run of other settings.
        DataError: `state` is damaged or cannot be written.
        ImageError: a picture cannot be read.
    """
    run = _Run(branch, frozen, training, config, torch.device(device), half)
    reports = run.take_up(state)
    for epoch in range(len(reports) + 1, config.epochs + 1):
        with freed_is_kept():
            loss = run.epoch(epoch, on_step)
            scores = run.scores(validation.paths)
        measured = correlations(scores, validation.scores)
        reports.append(FineTuningReport(epoch, loss, measured.srcc, measured.plcc))
        if state is not None:
            run.save(state, reports)
        on_epoch(reports[-1])
    return run.averaged.eval(), reports


class _Run:
    """A branch being taught, between two epochs."""

    def __init__(
        self,
        branch: FineTunedBranch,
        frozen: Frozen,
        training: ScoredPictures,
        config: FineTuningConfig,
        device: torch.device,
        half: bool,
    ) -> None:
        self._frozen, self._config = frozen, config
        self._device, self._half = device, half
        self._paths = training.paths
        self._targets = torch.tensor(list(training.scores), dtype=torch.float32)
        self._batches = max(1, len(self._paths) // config.batch_size)
        self._steps = config.epochs * self._batches
        rate = config.rank_rate if branch.config.rank else config.learning_rate
        rates = {"": rate, "head.": config.head_rate}
        self._descent = Descent(branch, rates, config, self._steps)

    @property
    def averaged(self) -> FineTunedBranch:
        return self._descent.averaged

    def epoch(self, epoch: int, on_step: Callable[[int, int], None]) -> float:
        """One pass over the pictures; the mean loss."""
        rng = np.random.default_rng([self._config.seed, epoch])
        torch.manual_seed(int(rng.integers(2**31)))  # of dropout
        branch = self._descent.network.train()
        losses = []
        for pixels, targets in self._drawn(rng):
            scores = to_score(self._logits(branch, pixels))
            loss = self._loss(scores, targets)
            self._descent.step(loss)
            losses.append(float(loss.detach()))
            on_step(self._descent.steps, self._steps)
        return float(np.mean(losses))

    @torch.inference_mode()
    def scores(self, paths: Sequence[Path]) -> list[float]:
        """The averaged branch's own scores of whole pictures, each as inference sees it."""
        branch = self.averaged.eval()
        found = []
        for path in paths:
            pixels = to_tensor(load_as_encoded(path)).to(self._device)
            found.append(float(to_score(self._logits(branch, pixels))))
        return found

    def save(self, state: MemberState, reports: Sequence[FineTuningReport]) -> None:
        """Keep everything that the rest of the run depends on."""
        tensors, plain = self._descent.state()
        state.save(tensors, {"descent": plain, "reports": [asdict(r) for r in reports]})

    def take_up(self, state: MemberState | None) -> list[FineTuningReport]:
        """Go on where a run was left; the reports of the epochs that are done."""
        found = None if state is None else state.load()
        if state is None or found is None:
            return []
        tensors, progress = found
        try:
            self._descent.take_up(tensors, progress["descent"])
            return [FineTuningReport(**report) for report in progress["reports"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise state.damaged(error) from error

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Of the scored pictures, and of the graded copies behind them."""
        count = len(targets)
        loss = quality_loss(scores[:count], targets, self._config.mse_weight)
        if len(scores) == count:
            return loss
        graded = scores[count:].view(-1, 1 + len(STRENGTHS))
        falls = torch.tensor([0.0, *FALLS], device=scores.device)
        return loss + self._config.grading_weight * grading_loss(graded, falls)

    def _logits(self, branch: FineTunedBranch, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            features = self._frozen(pixels)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            logits: Tensor = branch(features)
        return logits.float()

    def _drawn(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of crops, in random order, with their scores; pictures of all sizes are cut alike.

        Behind them come graded copies of other pictures: each clean, then spoiled in all strengths.
        """
        order = rng.permutation(len(self._paths))
        size = self._config.batch_size
        each = self._config.graded_per_step if self._config.grading_weight else 0
        plans = plan_graded(len(self._paths), each * self._batches, int(rng.integers(2**31)))
        for batch in range(self._batches):
            chosen = order[batch * size : (batch + 1) * size]
            grades = plans[batch * each : (batch + 1) * each]
            wanted = [*chosen, *(plan.source for plan in grades)]
            pictures = [load_as_encoded(self._paths[i]) for i in wanted]
            rows = _side(min(p.shape[0] for p in pictures), self._config.crop)
            columns = _side(min(p.shape[1] for p in pictures), self._config.crop)
            crops = [_cropped(p, rows, columns, rng) for p in pictures]
            shown = crops[: len(chosen)]
            for plan, clean in zip(grades, crops[len(chosen) :], strict=True):
                shown.append(clean)
                shown += [distort(clean, plan.family, s, seed=plan.seed) for s in STRENGTHS]
            pixels = torch.cat([to_tensor(crop) for crop in shown])
            yield pixels.to(self._device), self._targets[chosen].to(self._device)


def load_as_encoded(path: Path) -> npt.NDArray[np.uint8]:
    """A picture `[H, W, 3]` at the size at which inference encodes it.

    Raises:
        ImageError: it cannot be read.
    """
    return resize_to_budget(load_image(path).pixels, PIXEL_BUDGET)


def _side(length: int, crop: float) -> int:
    """How long a crop's side is."""
    whole = int(length * crop) // _GRID_PIXELS * _GRID_PIXELS
    return whole or length


def _cropped(
    pixels: npt.NDArray[np.uint8], rows: int, columns: int, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """A random part of a picture, mirrored half of the time."""
    top = int(rng.integers(pixels.shape[0] - rows + 1))
    left = int(rng.integers(pixels.shape[1] - columns + 1))
    part = pixels[top : top + rows, left : left + columns]
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)
