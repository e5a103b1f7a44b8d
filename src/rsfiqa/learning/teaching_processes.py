"""The processes that teach together, and the device of each; alone unless accelerate launched them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rsfiqa.errors import MissingExtraError

_PATIENCE = timedelta(days=1)
"""How long processes wait for the main one, which prepares data and judges alone."""


def join_processes(device: str = "auto") -> Any:
    """Join the processes that `accelerate launch` started; called again, it gives the same.

    Args:
        device: as for `rsfiqa.devices.choose_device`; of several GPUs `auto` and `cuda` are the
            process's own. Only the first call of a process chooses.

    Returns:
        accelerate's `PartialState`: `device`, `num_processes`, `process_index`, `is_main_process`,
        `main_process_first`.

    Raises:
        ConfigError: the device cannot be used here.
        MissingExtraError: accelerate is not installed.
    """
    import torch

    from rsfiqa.devices import choose_device

    try:
        from accelerate import PartialState
    except ImportError as error:
        raise MissingExtraError("Teaching a reader", "teach") from error
    chosen = choose_device(device)
    if chosen.type == "cuda" and chosen.index is not None:
        torch.cuda.set_device(chosen)  # accelerate takes the current one
    return PartialState(cpu=chosen.type == "cpu", timeout=_PATIENCE)
