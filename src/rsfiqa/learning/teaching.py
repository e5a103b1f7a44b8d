"""Teaching a reader: one loop for the embedded reader and for any vision-language model.

What is taught is a pupil: a module whose forward pass gives two losses, soft cross-entropy over the
level words and next-token loss over descriptions. The loop runs on one processor, one GPU or several
through accelerate. A run that is interrupted goes on from its last checkpoint to the same result:
every step's random numbers follow from the seed and the step's number, and so does the order of the
examples.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rsfiqa.errors import ConfigError, MissingExtraError
from rsfiqa.in_order import map_in_order
from rsfiqa.learning.teaching_config import TeachingConfig
from rsfiqa.learning.teaching_plan import Batch, Plan
from rsfiqa.learning.teaching_processes import join_processes
from rsfiqa.learning.teaching_state import CHECKPOINT, PROGRESS, RunState

__all__ = ["CHECKPOINT", "PROGRESS", "Pupil", "StepReport", "TeachingConfig", "teach"]

_BATCHES_AHEAD = 3
"""One that is being made, and two that are ready."""
_LARGEST_GRADIENT = 1.0


class Pupil(Protocol):
    """What can be taught."""

    @property
    def module(self) -> nn.Module:
        """Called with a batch, gives `{"levels": loss, "description": loss}`, and any further
        losses, which count in full."""
        ...

    def __len__(self) -> int:
        """How many training examples there are."""
        ...

    def batch(self, indices: Sequence[int], step: int) -> dict[str, Tensor]:
        """The batch of some examples; `step` chooses among wordings.

        Called ahead of its time in another thread, so it depends on its arguments alone and draws
        nothing from torch's global generator.
        """
        ...

    def parameter_groups(self, config: TeachingConfig) -> list[dict[str, Any]]:
        """What is trained, with peak learning rates, as torch's optimisers take it."""
        ...

    def figures(self) -> dict[str, Any]:
        """How well it does on the validation photographs."""
        ...

    def save(self, folder: Path, training: dict[str, Any]) -> None:
        """Write what was taught, with a model card."""
        ...


@dataclass(frozen=True)
class StepReport:
    """One weight update: its number, of how many, and its losses over all processes."""

    step: int
    steps: int
    levels: float
    description: float


def teach(
    pupil: Pupil,
    config: TeachingConfig,
    out: Path,
    told: Callable[[StepReport], None] = lambda _: None,
    *,
    facts: Mapping[str, Any] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Teach a pupil and save it to a folder, or go on where an earlier run stopped.

    Args:
        pupil: changed in place.
        config: settings.
        out: where checkpoints, TensorBoard's events and the result go.
        told: called after every weight update, in the main process only.
        facts: what the result depends on besides the settings, such as the base model and the
            data; a run of other facts is not taken up.
        notes: what else the saved reader's training record should say, such as the command.

    Returns:
        the pupil's figures on its validation photographs; nothing in other than the main process.

    Raises:
        ConfigError: there is nothing to learn from, or the folder holds a run of other settings.
        DataError: the folder's checkpoint is damaged, or the folder cannot be written.
        MissingExtraError: accelerate or TensorBoard is not installed.
    """
    try:
        from accelerate import Accelerator
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("Teaching a reader", "teach") from error

    if not len(pupil):
        raise ConfigError("there are no regions to learn from; make more instruction data.")
    join_processes()
    # Precision is the loop's own affair: accelerate would keep the first run's for the process's
    # life.
    accelerator = Accelerator(mixed_precision="no")
    optimizer = torch.optim.AdamW(
        pupil.parameter_groups(config), weight_decay=config.weight_decay, betas=(0.9, 0.98)
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    plan = Plan(len(pupil), config, accelerator.num_processes)
    record = {**(facts or {}), "regions": len(pupil), "processes": accelerator.num_processes}
    state = RunState(pupil.module, optimizer, out, config, record)
    step = state.load()
    module, prepared = accelerator.prepare(pupil.module, optimizer)
    loop = _Loop(accelerator, module, prepared, config)
    writer = None
    if accelerator.is_main_process:
        writer = SummaryWriter(str(out / "events"), purge_step=step + 1 if step else None)
    module.train()
    prepared.zero_grad(set_to_none=True)  # a pupil's own preparations may have left some
    with closing(_batches(pupil, plan, step, accelerator.process_index)) as batches:
        for _ in range(step, plan.steps):
            torch.manual_seed(config.seed * 1_000_003 + step * 64 + accelerator.process_index)
            for group, peak in zip(prepared.param_groups, peaks, strict=True):
                group["lr"] = peak * plan.rate(step)
            levels, description = loop.update(batches)
            step += 1
            if writer is not None:
                report = StepReport(step, plan.steps, levels, description)
                writer.add_scalar("loss/levels", report.levels, step)
                writer.add_scalar("loss/description", report.description, step)
                told(report)
                if step % config.checkpoint_every == 0 or step == plan.steps:
                    state.save(step)
    accelerator.wait_for_everyone()
    pupil.module.eval()
    figures: dict[str, Any] = {}
    if writer is not None:
        writer.close()
        figures = pupil.figures()
        record = {**record, **(notes or {})}
        pupil.save(
            out,
            {"settings": asdict(config), "steps": plan.steps, "validation": figures, **record},
        )
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return figures


_Ready = tuple[Batch, dict[str, Tensor]]


def _batches(pupil: Pupil, plan: Plan, start: int, process: int) -> Generator[_Ready, None, None]:
    """The batches of all steps from `start` on, made in a thread beside the model's.

    Decoding pictures releases Python's global lock, so that it takes no time from the model.
    """
    coming = (
        (step, batch) for step in range(start, plan.steps) for batch in plan.batches(step, process)
    )

    def ready(item: tuple[int, Batch]) -> _Ready:
        step, batch = item
        return batch, pupil.batch(batch.indices, step)

    with ThreadPoolExecutor(1, thread_name_prefix="rsfiqa-batches") as pool:
        yield from map_in_order(pool, ready, coming, _BATCHES_AHEAD)


class _Loop:
    """What happens between two positions of the weights."""

    def __init__(
        self, accelerator: Any, module: nn.Module, optimizer: Any, config: TeachingConfig
    ) -> None:
        self._accelerator, self._module, self._optimizer = accelerator, module, optimizer
        self._config = config
        self._trained = [p for p in module.parameters() if p.requires_grad]

    def update(self, batches: Iterator[_Ready]) -> tuple[float, float]:
        """Move the weights once; returns the losses on level words and descriptions."""
        accelerator = self._accelerator
        sums = torch.zeros(2, device=accelerator.device)
        for batch, tensors in batches:
            # Processes exchange gradients once a step, with the last batch of each.
            alone = nullcontext() if batch.is_last else accelerator.no_sync(self._module)
            with alone:
                sums += batch.share * self._backward(batch, tensors)
            if batch.is_last:
                break
        accelerator.clip_grad_norm_(self._trained, _LARGEST_GRADIENT)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        levels, description = accelerator.reduce(sums, "sum").tolist()
        return levels, description

    def _backward(self, batch: Batch, tensors: dict[str, Tensor]) -> Tensor:
        accelerator, config = self._accelerator, self._config
        device = accelerator.device
        on_device = {name: value.to(device) for name, value in tensors.items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision != "fp32"):
            losses = self._module(on_device)
        loss = config.description_weight * losses["description"]
        loss = loss + sum(value for name, value in losses.items() if name != "description")
        if accelerator.num_processes > 1:
            # What has no part in this batch, such as an expert that nobody asked, gets a gradient
            # of zero: the other processes wait for one.
            loss = loss + 0.0 * torch.stack([p.sum() for p in self._trained]).sum()
        # Gradients are averaged over processes, of which each has its share of the step.
        accelerator.backward(loss * (batch.share * accelerator.num_processes))
        return torch.stack([losses["levels"], losses["description"]]).detach().float()
