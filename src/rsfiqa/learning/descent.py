"""How weights move: AdamW under a one-cycle schedule, with a moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)


class DescentSettings(Protocol):
    """What of a run's settings is needed here."""

    @property
    def weight_decay(self) -> float: ...

    @property
    def average(self) -> float: ...


class Descent(Generic[N]):
    """AdamW under a one-cycle schedule, with a moving average of the weights.

    Args:
        network: what is taught.
        rates: peak learning rates of parameters by name prefix; the longest prefix counts.
        config: weight decay and the average's decay.
        steps: how many there will be.
    """

    def __init__(
        self, network: N, rates: Mapping[str, float], config: DescentSettings, steps: int
    ) -> None:
        self.network = network
        self.averaged = copy.deepcopy(network)
        self.steps = 0
        self._decay = config.average
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

    @property
    def rate(self) -> float:
        """The learning rate of the next step, of the first group of parameters."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, loss: Tensor) -> None:
        """One step down the loss; the average follows faster in the beginning."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mine, new in zip(
                self.averaged.parameters(), self.network.parameters(), strict=True
            ):
                mine.lerp_(new, 1 - decay)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What it takes to go on from here: tensors, and plain data for JSON."""
        tensors = {f"weight.{name}": t for name, t in self.network.state_dict().items()}
        tensors |= {f"averaged.{name}": t for name, t in self.averaged.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"moment.{key}.{name}"] = torch.as_tensor(value)
        # The rest of the schedule follows from the settings; momentum is cycled, too.
        groups = [{"lr": g["lr"], "betas": g["betas"]} for g in self._optimizer.param_groups]
        kept = {key: getattr(self._schedule, key) for key in ("last_epoch", "_step_count")}
        return tensors, {"steps": self.steps, "groups": groups, "schedule": kept}

    def take_up(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: it is of another network or damaged.
        """
        self.network.load_state_dict(under("weight.", tensors))
        self.averaged.load_state_dict(under("averaged.", tensors))
        for name, parameter in self.network.named_parameters():
            self._optimizer.state[parameter] = {
                key: tensors[f"moment.{key}.{name}"].to(
                    "cpu" if key == "step" else parameter.device, copy=True
                )
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"moment.{key}.{name}" in tensors
            }
        for group, kept in zip(self._optimizer.param_groups, plain["groups"], strict=True):
            group["lr"], group["betas"] = float(kept["lr"]), tuple(kept["betas"])
        self._schedule.load_state_dict({key: int(v) for key, v in plain["schedule"].items()})
        self.steps = int(plain["steps"])


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names.

    Example:
        >>> under("a.", {"a.x": torch.zeros(1), "b.x": torch.ones(1)})
        {'x': tensor([0.])}
    """
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
