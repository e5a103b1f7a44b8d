"""Which device networks run on, and in which precision."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from rsfiqa.errors import ConfigError

Precision = Literal["fp32", "bf16"]


def require_precision(precision: str) -> None:
    """See that a precision is one of those accepted.

    Raises:
        ConfigError: it is not.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision is {' or '.join(get_args(Precision))}; got {precision!r}.")


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is a CUDA device where there is one.

    Raises:
        ConfigError: it cannot be used here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); "
            "use auto, cpu, cuda or mps."
        ) from error
    return device
