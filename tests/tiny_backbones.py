"""One tiny randomly initialised timm model of each kind of architecture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timm
import torch
from timm.models.dla import DlaBasic
from torch import Tensor, nn


def noise(height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def tiny_vit(**settings: Any) -> nn.Module:
    model: nn.Module = timm.create_model("test_vit", dynamic_img_size=True, **settings)
    return model


def tiny_swin(**settings: Any) -> nn.Module:
    model: nn.Module = timm.create_model(
        "swin_tiny_patch4_window7_224",
        embed_dim=16,
        depths=(1, 1, 1, 1),
        num_heads=(1, 1, 2, 2),
        **settings,
    )
    return model


def tiny_hrnet() -> nn.Module:
    def stage(branches: int, block: str = "BASIC") -> dict[str, Any]:
        return {
            "num_modules": 1,
            "num_branches": branches,
            "block_type": block,
            "num_blocks": (1,) * branches,
            "num_channels": tuple(4 * 2**i for i in range(branches)),
            "fuse_method": "SUM",
        }

    model: nn.Module = timm.create_model(
        "hrnet_w18_small",
        stage1=stage(1, "BOTTLENECK"),
        stage2=stage(2),
        stage3=stage(3),
        stage4=stage(4),
    )
    return model


def tiny_dla() -> nn.Module:
    model: nn.Module = timm.create_model(
        "dla34", levels=[1, 1, 1, 1, 1, 1], channels=[4, 4, 8, 8, 16, 16], block=DlaBasic
    )
    return model


def tiny_hybrid() -> nn.Module:
    """A ViT whose patches come from a convolutional network."""
    model: nn.Module = timm.create_model(
        "vit_tiny_r_s16_p8_224", embed_dim=48, depth=2, num_heads=3, dynamic_img_size=True
    )
    return model


TINY: dict[str, Callable[[], nn.Module]] = {
    "plain ViT": tiny_vit,
    "ViT with patches of 8": lambda: tiny_vit(patch_size=8),
    "ViT without a class token": lambda: tiny_vit(class_token=False, global_pool="avg"),
    "ViT with register tokens": lambda: tiny_vit(reg_tokens=2),
    "convolutions under a ViT": tiny_hybrid,
    "convolutional": lambda: timm.create_model("test_resnet"),
    "ConvNeXt": lambda: timm.create_model("test_convnext"),
    "Swin": lambda: tiny_swin(dynamic_img_size=True),
    "Swin with windows of any size": lambda: tiny_swin(strict_img_size=False),
    "MambaOut": lambda: timm.create_model("test_mambaout"),
    "HRNet": tiny_hrnet,
    "DLA": tiny_dla,
    "tied to one size": lambda: timm.create_model("test_coatnet"),
}
