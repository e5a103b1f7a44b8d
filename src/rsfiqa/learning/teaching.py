"""Teaching a reader: one loop for the embedded reader and for any vision-language model.

What is taught is a pupil: a module whose forward pass gives two losses, soft cross-entropy over the
level words and next-token loss over descriptions. The loop runs on one processor, one GPU or several
through accelerate. A run that is interrupted goes on from its last checkpoint to the same result:
every step's random numbers follow from the seed and the step's number, and so does the order of the
examples.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rsfiqa.errors import ConfigError, DataError, MissingExtraError

CHECKPOINT, PROGRESS = "checkpoint.safetensors", "progress.json"


@dataclass(frozen=True)
class TeachingConfig:
    """Settings of a teaching run, the same for every kind of pupil.

    Attributes:
        epochs: passes over the regions.
        batch_size: regions a step and process.
        accumulate: steps whose gradients are added before the weights move.
        learning_rate: of the LoRA adapter, at its peak.
        projector_rate: of the projector, where the pupil has one.
        weight_decay: of both.
        warmup: fraction of the run in which rates rise; they fall along a cosine afterwards.
        rank, alpha, dropout: of the adapter.
        description_weight: of the next-token loss beside the loss on level words.
        precision: `fp32` or `bf16`.
        held: fraction of the photographs kept aside for validation.
        seed: of everything.
        checkpoint_every: weight updates between checkpoints.
    """

    epochs: int = 2
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float = 5e-4
    projector_rate: float = 2e-4
    weight_decay: float = 0.01
    warmup: float = 0.05
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    description_weight: float = 0.5
    precision: str = "bf16"
    held: float = 0.1
    seed: int = 0
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "rank", "alpha", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1; got {getattr(self, name)}.")
        for name in ("warmup", "held", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is from 0 to below 1; got {getattr(self, name)}.")
        if self.precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision is fp32 or bf16; got {self.precision!r}.")


class Pupil(Protocol):
    """What can be taught."""

    @property
    def module(self) -> nn.Module:
        """Called with a batch, gives `{"levels": loss, "description": loss}`."""
        ...

    def __len__(self) -> int:
        """How many training examples there are."""
        ...

    def batch(self, indices: Sequence[int], step: int) -> dict[str, Tensor]:
        """The batch of some examples; `step` chooses among wordings."""
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
    """One weight update: its number, of how many, and its losses."""

    step: int
    steps: int
    levels: float
    description: float


def teach(
    pupil: Pupil,
    config: TeachingConfig,
    out: Path,
    told: Callable[[StepReport], None] = lambda _: None,
) -> dict[str, Any]:
    """Teach a pupil and save it to a folder, or go on where an earlier run stopped.

    Args:
        pupil: changed in place.
        config: settings.
        out: where checkpoints, TensorBoard's events and the result go.
        told: called after every weight update, in the main process only.

    Returns:
        the pupil's figures on its validation photographs.

    Raises:
        ConfigError: there is nothing to learn from, or the folder holds a run of other settings.
        MissingExtraError: accelerate or TensorBoard is not installed.
    """
    try:
        from accelerate import Accelerator
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("Teaching a reader", "teach") from error

    if not len(pupil):
        raise ConfigError("there are no regions to learn from; make more instruction data.")
    accelerator = Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no")
    optimizer = torch.optim.AdamW(
        pupil.parameter_groups(config), weight_decay=config.weight_decay, betas=(0.9, 0.98)
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    plan = _Plan(len(pupil), config, accelerator.num_processes)
    state = _State(pupil.module, optimizer, out, config)
    step = state.load(accelerator.device)
    module, prepared = accelerator.prepare(pupil.module, optimizer)
    writer = SummaryWriter(str(out / "events")) if accelerator.is_main_process else None
    module.train()
    while step < plan.steps:
        torch.manual_seed(config.seed * 1_000_003 + step * 64 + accelerator.process_index)
        for group, peak in zip(prepared.param_groups, peaks, strict=True):
            group["lr"] = peak * plan.rate(step)
        sums = torch.zeros(2)
        for indices in plan.indices(step, accelerator.process_index):
            batch = {
                name: value.to(accelerator.device)
                for name, value in pupil.batch(indices, step).items()
            }
            losses = module(batch)
            loss = losses["levels"] + config.description_weight * losses["description"]
            accelerator.backward(loss / config.accumulate)
            found = torch.stack([losses["levels"], losses["description"]])
            sums += found.detach().float().cpu() / config.accumulate
        accelerator.clip_grad_norm_(module.parameters(), 1.0)
        prepared.step()
        prepared.zero_grad(set_to_none=True)
        step += 1
        if accelerator.is_main_process and writer is not None:
            report = StepReport(step, plan.steps, float(sums[0]), float(sums[1]))
            writer.add_scalar("loss/levels", report.levels, step)
            writer.add_scalar("loss/description", report.description, step)
            told(report)
            if step % config.checkpoint_every == 0 or step == plan.steps:
                state.save(step)
    accelerator.wait_for_everyone()
    pupil.module.eval()
    figures: dict[str, Any] = {}
    if accelerator.is_main_process:
        figures = pupil.figures()
        pupil.save(out, {"settings": asdict(config), "steps": plan.steps, "validation": figures})
    if writer is not None:
        writer.close()
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return figures


class _Plan:
    """Which examples each step of each process takes, and how fast weights move then."""

    def __init__(self, examples: int, config: TeachingConfig, processes: int) -> None:
        self._examples, self._config = examples, config
        self._a_step = config.batch_size * config.accumulate * processes
        self._steps_an_epoch = max(1, examples // self._a_step)
        self.steps = self._steps_an_epoch * config.epochs

    def indices(self, step: int, process: int) -> Iterator[list[int]]:
        """The batches of one step, one after the other."""
        epoch, place = divmod(step, self._steps_an_epoch)
        seed = torch.Generator().manual_seed(self._config.seed * 7919 + epoch)
        order = torch.randperm(self._examples, generator=seed)
        start = place * self._a_step
        size = self._config.batch_size * self._config.accumulate
        mine = order[start + process * size : start + (process + 1) * size]
        if not len(mine):  # fewer examples than one step takes
            mine = order
        for chunk in mine.split(self._config.batch_size):
            yield chunk.tolist()

    def rate(self, step: int) -> float:
        """Part of the peak learning rate: a linear rise, then half a cosine."""
        rise = max(1, int(self.steps * self._config.warmup))
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))


class _State:
    """What a run needs to go on: trained weights, the optimiser's moments and the step's number."""

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, out: Path, config: TeachingConfig
    ) -> None:
        self._out, self._optimizer = out, optimizer
        self._settings = {k: v for k, v in asdict(config).items() if k != "checkpoint_every"}
        self._trained = {n: p for n, p in module.named_parameters() if p.requires_grad}

    def save(self, step: int) -> None:
        from safetensors.torch import save

        tensors: dict[str, Tensor] = {}
        for name, parameter in self._trained.items():
            tensors[f"weight.{name}"] = parameter.detach().cpu().contiguous()
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
        from rsfiqa.learning.features import write_whole

        progress = json.dumps({"step": step, "settings": self._settings})
        write_whole(self._out / CHECKPOINT, save(tensors, metadata={"progress": progress}))
        write_whole(self._out / PROGRESS, progress.encode())

    def load(self, device: torch.device) -> int:
        """Take up a checkpoint; returns the step to go on with, 0 where there is none."""
        from safetensors import SafetensorError, safe_open

        path = self._out / CHECKPOINT
        if not path.exists():
            return 0
        try:
            with safe_open(path, framework="pt") as file:
                progress = json.loads(file.metadata()["progress"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"the checkpoint {path} cannot be read ({error}); delete it to begin anew."
            ) from error
        if progress["settings"] != self._settings:
            differs = [k for k, v in self._settings.items() if progress["settings"].get(k) != v]
            raise ConfigError(
                f"{self._out} holds a run of other settings ({', '.join(differs)}); name another "
                "folder, or give the settings of before."
            )
        if {n.removeprefix("weight.") for n in tensors if n.startswith("weight.")} != set(
            self._trained
        ):
            raise ConfigError(f"the checkpoint {path} is of another model; name another folder.")
        for name, parameter in self._trained.items():
            with torch.no_grad():
                parameter.copy_(tensors[f"weight.{name}"])
            moments = {
                key.removesuffix(f".{name}"): value
                for key, value in tensors.items()
                if key.endswith(f".{name}") and not key.startswith("weight.")
            }
            if moments:
                self._optimizer.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device)
                    for key, value in moments.items()
                }
        return int(progress["step"])
