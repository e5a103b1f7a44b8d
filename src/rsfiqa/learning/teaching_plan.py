"""Which regions each step of a teaching run takes, and how fast weights move then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from rsfiqa.learning.teaching_config import TeachingConfig


@dataclass(frozen=True)
class Batch:
    """What one process looks at before its gradients are added up or applied.

    Attributes:
        indices: of the examples.
        share: of this batch in its step, over all processes; the shares of a step sum to 1. It is
            0 where a process repeats an example because none are left for it.
        is_last: of this process in this step.
    """

    indices: list[int]
    share: float
    is_last: bool


class Plan:
    """The order of examples, which follows from the seed alone.

    Every example is looked at once an epoch, over all processes; the last step of an epoch takes
    what is left.

    Args:
        examples: how many there are, at least one.
        config: of the run.
        processes: that learn together.
    """

    def __init__(self, examples: int, config: TeachingConfig, processes: int = 1) -> None:
        self._examples, self._config, self._processes = examples, config, processes
        self._a_step = config.batch_size * config.accumulate * processes
        self._steps_an_epoch = -(-examples // self._a_step)
        steps = self._steps_an_epoch * config.epochs
        self.steps = min(steps, config.max_steps or steps)

    def batches(self, step: int, process: int = 0) -> Iterator[Batch]:
        """The batches of one process in one step, one after the other; at least one."""
        epoch, place = divmod(step, self._steps_an_epoch)
        seed = torch.Generator().manual_seed(self._config.seed * 7919 + epoch)
        order = torch.randperm(self._examples, generator=seed)
        together = order[place * self._a_step : (place + 1) * self._a_step]
        mine = together.tensor_split(self._processes)[process]
        if not len(mine):  # processes step together, so this one has to do something
            yield Batch(together[:1].tolist(), 0.0, is_last=True)
            return
        chunks = mine.split(self._config.batch_size)
        for number, chunk in enumerate(chunks, start=1):
            yield Batch(chunk.tolist(), len(chunk) / len(together), number == len(chunks))

    def rate(self, step: int) -> float:
        """Part of the peak learning rate: a linear rise, then half a cosine."""
        rise = max(1, int(self.steps * self._config.warmup))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))
