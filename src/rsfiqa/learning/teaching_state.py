"""What a teaching run needs to go on: trained weights, the optimiser's moments, the step's number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsfiqa.atomic import write_whole
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.differences import differing, differing_known
from rsfiqa.learning.teaching_config import TeachingConfig

CHECKPOINT, PROGRESS = "checkpoint.safetensors", "progress.json"

_WEIGHT = "weight"


class RunState:
    """The checkpoint of a run, in its folder.

    Args:
        module: its parameters that are trained are kept.
        optimizer: of these parameters.
        out: the run's folder.
        config: settings; a run of others is not taken up.
        facts: what else the result depends on, such as the data; likewise.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        out: Path,
        config: TeachingConfig,
        facts: Mapping[str, Any],
    ) -> None:
        self._out, self._optimizer = out, optimizer
        self._settings = _plain(config)
        self._defaults = _plain(type(config)())
        self._facts = dict(facts)
        self._trained = {n: p for n, p in module.named_parameters() if p.requires_grad}

    def save(self, step: int) -> None:
        """Write the checkpoint, whole or not at all.

        Raises:
            DataError: the folder cannot be written.
        """
        from safetensors.torch import save

        tensors: dict[str, Tensor] = {}
        for name, parameter in self._trained.items():
            tensors[f"{_WEIGHT}.{name}"] = parameter.detach().cpu().contiguous()
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
        progress = json.dumps({"step": step, "settings": self._settings, "facts": self._facts})
        try:
            write_whole(self._out / CHECKPOINT, save(tensors, metadata={"progress": progress}))
            write_whole(self._out / PROGRESS, progress.encode())
        except OSError as error:
            raise DataError(
                f"the checkpoint cannot be written to {self._out}: {error.strerror or error}; free "
                "space there, and give the same command again to go on."
            ) from error

    def load(self) -> int:
        """Take up the checkpoint; returns the step to go on with, 0 where there is none.

        Raises:
            DataError: it is damaged.
            ConfigError: it is of a run of other settings, other data or another model.
        """
        from safetensors import SafetensorError, safe_open

        path = self._out / CHECKPOINT
        if not path.exists():
            return 0
        try:
            with safe_open(path, framework="pt") as file:
                progress = json.loads(file.metadata()["progress"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            step = int(progress["step"])
            differs = self._differences(progress["settings"], progress.get("facts", {}))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"the checkpoint {path} cannot be read ({error}); delete it to begin anew."
            ) from error
        if differs:
            raise ConfigError(
                f"{self._out} holds a run of other settings ({', '.join(differs)}); name another "
                "folder, or give the settings of before."
            )
        self._take_up(tensors, path)
        return step

    def _differences(self, settings: dict[str, Any], facts: dict[str, Any]) -> list[str]:
        """Names of what is not as it was; what a former version did not know had its default."""
        changed = differing({**self._defaults, **settings}, self._settings)
        # Writing checkpoints more or less often changes no result.
        changed = [name for name in changed if name != "checkpoint_every"]
        return changed + differing_known(facts, self._facts)

    def _take_up(self, tensors: dict[str, Tensor], path: Path) -> None:
        kept: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, _, name = key.partition(".")
            kept.setdefault(name, {})[kind] = value
        if {n: list(k[_WEIGHT].shape) for n, k in kept.items() if _WEIGHT in k} != {
            n: list(p.shape) for n, p in self._trained.items()
        }:
            raise ConfigError(f"the checkpoint {path} is of another model; name another folder.")
        for name, parameter in self._trained.items():
            with torch.no_grad():
                parameter.copy_(kept[name].pop(_WEIGHT))
            if kept[name]:
                self._optimizer.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device)
                    for key, value in kept[name].items()
                }


def _plain(config: TeachingConfig) -> dict[str, Any]:
    """Settings as JSON gives them back."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return settings
