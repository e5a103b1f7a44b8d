"""Encoders by description: the ones with weights from assets, and any other timm model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from rsfiqa.assets.integrity import sha256_of
from rsfiqa.devices import Precision
from rsfiqa.encoders.backbone import TimmBackbone
from rsfiqa.encoders.fine_tuned import BranchConfig, load_branch
from rsfiqa.encoders.grid import GridEncoder
from rsfiqa.encoders.sizes import InputSizes
from rsfiqa.errors import AssetError, ConfigError

DEFAULT_ENCODER: tuple[Mapping[str, Any], ...] = (
    {"backbone": "dinov2-small", "indices": [3, 5, 7, 11]},
    {"backbone": "efficientnet-lite0", "indices": [0, 1, 2, 3, 4]},
)
"""Quality lives in DINOv2's middle layers, and at native resolution in a plain CNN's early stages."""


def build_encoder(
    specs: Sequence[Mapping[str, Any]] = DEFAULT_ENCODER,
    *,
    precision: Precision = "fp32",
    offline: bool | None = None,
) -> GridEncoder:
    """Build the backbones that `specs` describe, with their weights.

    Args:
        specs: one mapping a backbone: `backbone` is `dinov2-small`, `efficientnet-lite0`, or
            `timm:NAME` for any timm model; `indices` the depths; optional `weights`, a local
            safetensors file, and `pretrained` (true fetches timm's weights from the hub); and
            optional `fine_tuned`, a branch: its `depth`, `rank` and `weights`, a safetensors file
            (see `rsfiqa.encoders.fine_tuned`).
        precision: `bf16` as by `GridEncoder.to_bf16`.
        offline: forbid the network; None asks `RSFIQA_OFFLINE`.

    Raises:
        ConfigError: a backbone is unknown or gives no feature maps, or a description is incomplete.
        AssetError: weights cannot be had.
    """
    backbones = [_backbone(dict(spec), offline) for spec in specs]
    branches = {
        index: load_branch(backbone, branch_config(spec), Path(spec["fine_tuned"]["weights"]))
        for index, (backbone, spec) in enumerate(zip(backbones, specs, strict=True))
        if "fine_tuned" in spec
    }
    encoder = GridEncoder(backbones, branches)
    if precision == "bf16":
        encoder.to_bf16()
    return encoder


def branch_config(spec: Mapping[str, Any]) -> BranchConfig:
    """Which branch a backbone's description tells of.

    Raises:
        ConfigError: it is incomplete, or has values that are not accepted.
    """
    told = spec.get("fine_tuned")
    if not isinstance(told, Mapping) or not {"depth", "rank", "weights"} == set(told):
        raise ConfigError(f"a fine-tuned branch has depth, rank and weights; got {told!r}.")
    return BranchConfig(told["depth"], told["rank"])


def without_branches(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same backbones frozen throughout."""
    return [{name: v for name, v in spec.items() if name != "fine_tuned"} for spec in specs]


def _backbone(spec: dict[str, Any], offline: bool | None) -> TimmBackbone:
    name, indices = spec.get("backbone"), spec.get("indices")
    if not isinstance(name, str) or not indices:
        raise ConfigError(f"a backbone needs a name and depths (indices); got {spec}.")
    if name == "dinov2-small":
        return TimmBackbone(
            _dinov2(offline), name=name, indices=indices, sizes=InputSizes(multiple=14)
        )
    if name == "efficientnet-lite0":
        half = (0.5, 0.5, 0.5)
        return TimmBackbone(
            _lite0(offline), name=name, indices=indices, mean=half, std=half, sizes=InputSizes()
        )
    if name.startswith("timm:"):
        return _timm(name.removeprefix("timm:"), spec)
    raise ConfigError(
        f"unknown backbone {name!r}; use dinov2-small, efficientnet-lite0, or timm:NAME."
    )


def _dinov2(offline: bool | None) -> nn.Module:
    from rsfiqa.encoders.dinov2 import CONVERSION_VERSION, build_dinov2_small, convert_onnx

    path = _converted("dinov2-small", convert_onnx, CONVERSION_VERSION, offline)
    return _loaded(build_dinov2_small(), path)


def _lite0(offline: bool | None) -> nn.Module:
    from rsfiqa.encoders.lite0 import CONVERSION_VERSION, build_lite0, convert_checkpoint

    path = _converted("efficientnet-lite0", convert_checkpoint, CONVERSION_VERSION, offline)
    return _loaded(build_lite0(), path)


def _converted(
    asset: str, convert: Callable[[Path, Path], None], version: str, offline: bool | None
) -> Path:
    """The safetensors file that `convert` makes of an asset, made when first needed."""
    from rsfiqa.assets import derive

    return derive(f"{asset}.safetensors", asset, convert, version=version, offline=offline)


def _timm(name: str, spec: Mapping[str, Any]) -> TimmBackbone:
    import timm

    pretrained = bool(spec.get("pretrained"))
    try:
        try:
            model = timm.create_model(name, pretrained=pretrained, dynamic_img_size=True)
        except TypeError:  # this architecture takes any size as it is, or has no such switch
            model = timm.create_model(name, pretrained=pretrained)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"timm cannot build {name!r}: {error}.") from error
    except OSError as error:  # the hub's own errors are kinds of it
        raise AssetError(
            f"the weights of timm's {name} cannot be fetched from the hub "
            f"({(str(error).splitlines() or ['no further word'])[0]}); check the network, or give "
            "a local safetensors file as weights."
        ) from error
    label = f"timm:{name}"
    if weights := spec.get("weights"):
        model = _loaded(model, Path(weights))
        # Features are cached under the name, and other weights make other features.
        label += f"#{sha256_of(Path(weights))[:8]}"
    elif not pretrained:
        # Random numbers, others every time: never to be taken for those of a trained network.
        label += f"#untrained-{_digest_of(model)}"
    return TimmBackbone(
        model,
        name=label,
        indices=spec["indices"],
        mean=model.default_cfg["mean"],
        std=model.default_cfg["std"],
    )


def _digest_of(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:8]


def _loaded(model: nn.Module, path: Path) -> nn.Module:
    """The model with the tensors of a safetensors file; batch counters may be missing."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AssetError(f"the backbone's weights in {path} cannot be read: {error}.") from error
    try:
        missing, unexpected = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:  # tensors of the right names with other shapes
        raise ConfigError(
            f"{path} does not fit {type(model).__name__}: {' '.join(str(error).split())}."
        ) from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ConfigError(
            f"{path} does not fit {type(model).__name__}: "
            f"{len(missing)} tensors missing, {len(unexpected)} unknown."
        )
    return model
