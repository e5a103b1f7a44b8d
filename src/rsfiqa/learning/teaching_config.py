"""Settings of a teaching run, from keyword arguments or from a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_origin, get_type_hints

from rsfiqa.errors import ConfigError
from rsfiqa.learning.ranges import AT_LEAST_ONE, BELOW_ONE, NOT_NEGATIVE, require


@dataclass(frozen=True)
class TeachingConfig:
    """Settings of a teaching run, the same for every kind of pupil.

    Attributes:
        epochs: passes over the regions.
        max_steps: weight updates at most, however many regions there are; 0 for no limit.
        batch_size: regions a step and process.
        accumulate: batches whose gradients are added before the weights move.
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

    Raises:
        ConfigError: a value is outside its range.
    """

    PRECISIONS: ClassVar[tuple[str, ...]] = ("fp32", "bf16")
    """What `precision` may be for this kind of pupil."""

    epochs: int = 2
    max_steps: int = 0
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
        counts = ("epochs", "batch_size", "accumulate", "rank", "alpha", "checkpoint_every")
        require(self, AT_LEAST_ONE, *counts)
        require(self, NOT_NEGATIVE, "max_steps")
        require(self, BELOW_ONE, "warmup", "held", "dropout")
        factors = ("learning_rate", "projector_rate", "weight_decay", "description_weight")
        require(self, NOT_NEGATIVE, *factors)
        if self.precision not in self.PRECISIONS:
            raise ConfigError(
                f"precision is {', '.join(self.PRECISIONS)} for this reader; "
                f"got {self.precision!r}."
            )


Config = TypeVar("Config", bound=TeachingConfig)


def read_settings(path: Path) -> dict[str, Any]:
    """The JSON object in a file of settings.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON ({error}); write an object of settings.") from error
    if not isinstance(found, dict):
        raise ConfigError(f'{path} is not a JSON object; write one such as {{"epochs": 1}}.')
    return found


def config_from(
    kind: type[Config], values: Mapping[str, Any], reader: str = "this reader"
) -> Config:
    """A configuration from plain data, every name and type checked.

    Args:
        kind: which configuration.
        values: settings by name; what is missing has its default.
        reader: what is taught, for the error's text.

    Raises:
        ConfigError: a setting is unknown, of another type, or outside its range.

    Example:
        >>> config_from(TeachingConfig, {"epochs": 3}).epochs
        3
        >>> config_from(TeachingConfig, {"epochs": "many"})
        Traceback (most recent call last):
        rsfiqa.errors.ConfigError: epochs is a whole number; got 'many'.
    """
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for name in values:
        if name not in known:
            raise ConfigError(
                f"teaching {reader} has no setting {name!r}; there are {', '.join(known)}."
            )
    return kind(**{name: _checked(name, value, hints[name]) for name, value in values.items()})


def _checked(name: str, value: Any, hint: Any) -> Any:
    """The value as its type wants it; a number is no flag and a text no number."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        accepted, what = is_number and value % 1 == 0, "a whole number"
    elif hint is float:
        accepted, what = is_number, "a number"
    elif hint is bool:
        accepted, what = isinstance(value, bool), "true or false"
    elif hint is str or get_origin(hint) is Literal:  # its words the configuration checks itself
        accepted, what, hint = isinstance(value, str), "a text", str
    else:  # the only other kind there is
        accepted = isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
        what, hint = "a list of texts", tuple
    if not accepted:
        raise ConfigError(f"{name} is {what}; got {value!r}.")
    return hint(value)
