"""Which layers of a vision-language model get an adapter.

Vision-language models name their parts in many ways. The language model is the part that holds the
token embeddings; what joins it to the vision tower has one of a few usual names; other linear
layers, but for the output head, are the vision tower's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from rsfiqa.errors import ConfigError

_PROJECTORS = ("merger", "projector", "connector", "aligner")
"""What models call the part between vision tower and language model."""


def is_projector(name: str) -> bool:
    """Whether a layer's or parameter's dotted name says that it belongs to the projector."""
    return any(word in part for part in name.split(".") for word in _PROJECTORS)


def adapted_layers(
    model: Any, targets: Sequence[str], *, projector: bool = True, vision: bool = False
) -> str:
    """A regular expression that matches the names of the layers that get an adapter, whole.

    Args:
        model: of transformers.
        targets: last parts of the names of the language model's layers.
        projector: the linear layers of the projector, too.
        vision: all linear layers of the vision tower, too.

    Raises:
        ConfigError: the language model has no layer of such a name.
    """
    language, bridge, tower = _linear_layers(model)
    chosen = [name for name in language if name.rpartition(".")[2] in targets]
    if not chosen:
        there = sorted({name.rpartition(".")[2] for name in language})
        raise ConfigError(
            f"the language model has no layers named {', '.join(targets)}; set targets to some of "
            f"its own: {', '.join(there)}."
        )
    return _pattern(chosen + (bridge if projector else []) + (tower if vision else []))


def _linear_layers(model: Any) -> tuple[list[str], list[str], list[str]]:
    """Names of linear layers of the language model, the projector and the vision tower."""
    from torch import nn

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    at = next(name for name, module in model.named_modules() if module is embedding)
    root = at.rpartition(".")[0]
    language, bridge, tower = [], [], []
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear) or module is head:
            continue
        if is_projector(name):
            bridge.append(name)
        elif name.startswith(f"{root}."):
            language.append(name)
        else:
            tower.append(name)
    return language, bridge, tower


def _pattern(names: Iterable[str]) -> str:
    """One short expression for the layers of all blocks, which differ in a number only."""
    forms = {re.sub(r"(?<=\\\.)\d+(?=\\\.)", r"\\d+", re.escape(name)) for name in names}
    return "|".join(sorted(forms))
