"""Convolutions padded as TensorFlow does it, through torch's exporter.

timm's `Conv2dSame` (EfficientNet and its kin) pads by an amount that follows from the picture's size.
With sizes left open, torch's exporter has to reason about nested maxima of that and does not end.
ONNX has the very padding as `auto_pad=SAME_UPPER`. A symmetric padding by half the kernel gives outputs
of the same size, so the exporter is shown that, and the nodes are put right in the finished graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from rsfiqa.errors import ConfigError


@contextmanager
def padded_evenly(network: nn.Module) -> Iterator[frozenset[str]]:
    """While this lasts, the network's `Conv2dSame` layers pad alike on both sides.

    Yields:
        the names of their weights, for `restore`.

    Raises:
        ConfigError: a kernel's sides are even or dilated; then the sizes would differ.
    """
    from timm.layers.conv2d_same import Conv2dSame

    found: dict[str, Any] = {
        name: layer for name, layer in network.named_modules() if isinstance(layer, Conv2dSame)
    }
    for name, layer in found.items():
        if any(side % 2 == 0 for side in layer.kernel_size) or set(layer.dilation) != {1}:
            raise ConfigError(
                f"the backbone's layer {name} cannot be exported: its kernel is even or dilated and "
                "padded by the picture's size; export the scorer alone with part='scorer'."
            )
    try:
        for layer in found.values():
            layer.forward = _EvenConvolution(layer)
        yield frozenset(f"{name}.weight" for name in found)
    finally:
        for layer in found.values():
            del layer.forward


class _EvenConvolution:
    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        layer = self.layer
        half = tuple(side // 2 for side in layer.kernel_size)
        return F.conv2d(x, layer.weight, layer.bias, layer.stride, half, 1, layer.groups)


def restore(model: Any, weights: frozenset[str]) -> None:
    """Give the convolutions with these weights their own padding again, in an ONNX model.

    Args:
        model: an `onnx.ModelProto` that has not been optimised, so that weights keep their names.
        weights: from `padded_evenly`.

    Raises:
        ConfigError: a convolution is not in the graph.
    """
    from onnx import helper

    missing = set(weights)
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1] in weights:
            kept = [a for a in node.attribute if a.name not in ("pads", "auto_pad")]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("auto_pad", "SAME_UPPER")])
            missing.discard(node.input[1])
    if missing:
        raise ConfigError(
            f"{len(missing)} convolutions of the backbone are not in the exported graph under their "
            "names; this version of torch exports differently. Export the scorer alone with "
            "part='scorer'."
        )
