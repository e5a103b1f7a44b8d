"""Encoders by description: the ones with weights from assets, and any other timm model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from rsfiqa.encoders.backbone import TimmBackbone
from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.errors import ConfigError

DEFAULT_ENCODER: tuple[Mapping[str, Any], ...] = (
    {"backbone": "dinov2-small", "indices": [3, 5, 7, 11]},
    {"backbone": "efficientnet-lite0", "indices": [0, 1, 2, 3, 4]},
)
"""Quality lives in DINOv2's middle layers, and at native resolution in a plain CNN's early stages."""


def build_encoder(
    specs: Sequence[Mapping[str, Any]] = DEFAULT_ENCODER, *, offline: bool | None = None
) -> GridEncoder:
    """Build the backbones that `specs` describe, with their weights.

    Args:
        specs: one mapping a backbone: `backbone` is `dinov2-small`, `efficientnet-lite0`, or
            `timm:NAME` for any timm model; `indices` the depths; optional `weights`, a local
            safetensors file, and `pretrained` (true fetches timm's weights from the hub).
        offline: forbid the network; None asks `RSFIQA_OFFLINE`.

    Raises:
        ConfigError: a backbone is unknown or a description incomplete.
        AssetError: weights cannot be had.
    """
    return GridEncoder([_backbone(dict(spec), offline) for spec in specs])


def _backbone(spec: dict[str, Any], offline: bool | None) -> TimmBackbone:
    name, indices = spec.get("backbone"), spec.get("indices")
    if not isinstance(name, str) or not indices:
        raise ConfigError(f"a backbone needs a name and depths (indices); got {spec}.")
    if name == "dinov2-small":
        return TimmBackbone(_dinov2(offline), name=name, indices=indices, input_size="grid")
    if name == "efficientnet-lite0":
        half = (0.5, 0.5, 0.5)
        return TimmBackbone(_lite0(offline), name=name, indices=indices, mean=half, std=half)
    if name.startswith("timm:"):
        return _timm(name.removeprefix("timm:"), spec)
    raise ConfigError(
        f"unknown backbone {name!r}; use dinov2-small, efficientnet-lite0, or timm:NAME."
    )


def _dinov2(offline: bool | None) -> nn.Module:
    from rsfiqa.assets import derive
    from rsfiqa.encoders import dinov2

    path = derive(
        "dinov2-small.safetensors",
        "dinov2-small",
        dinov2.convert_onnx,
        version=dinov2.CONVERSION_VERSION,
        offline=offline,
    )
    return _loaded(dinov2.build_dinov2_small(), path)


def _lite0(offline: bool | None) -> nn.Module:
    from rsfiqa.assets import derive
    from rsfiqa.encoders import lite0

    path = derive(
        "efficientnet-lite0.safetensors",
        "efficientnet-lite0",
        lite0.convert_checkpoint,
        version=lite0.CONVERSION_VERSION,
        offline=offline,
    )
    return _loaded(lite0.build_lite0(), path)


def _timm(name: str, spec: Mapping[str, Any]) -> TimmBackbone:
    import timm

    try:
        dynamic = {"dynamic_img_size": True} if timm.is_model(name) and "vit" in name else {}
        model = timm.create_model(name, pretrained=bool(spec.get("pretrained")), **dynamic)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"timm cannot build {name!r}: {error}.") from error
    if weights := spec.get("weights"):
        model = _loaded(model, Path(weights))
    return TimmBackbone(
        model,
        name=f"timm:{name}",
        indices=spec["indices"],
        mean=model.default_cfg["mean"],
        std=model.default_cfg["std"],
    )


def _loaded(model: nn.Module, path: Path) -> nn.Module:
    """The model with the tensors of a safetensors file; batch counters may be missing."""
    from safetensors.torch import load_file

    missing, unexpected = model.load_state_dict(load_file(path), strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ConfigError(
            f"{path} does not fit {type(model).__name__}: "
            f"{len(missing)} tensors missing, {len(unexpected)} unknown."
        )
    return model
