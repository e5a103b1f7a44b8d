"""One contract for backbones: any timm model becomes a list of feature maps.

timm's models differ in layout (NCHW, NHWC, tokens), in strides and in whether they keep a class
token. `TimmBackbone` hides that behind `forward_intermediates`, which plain ViTs, hierarchical
transformers and convolutional networks share, so that everything after it needs no code per
backbone.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from rsfiqa.errors import ConfigError

InputSize = Literal["grid", "native"]
"""`grid`: the picture is resized so that one patch is one grid cell (plain ViTs, whose cost grows
with the square of tokens); `native`: the picture's own pixels, so that noise, blur and compression
below the patch size stay visible (convolutional networks)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class FeatureMaps:
    """What a backbone says of a batch of pictures.

    Attributes:
        maps: one tensor `[B, C_i, h_i, w_i]` a depth, shallow to deep.
        tokens: one class token `[B, C_i]` a depth, or nothing for backbones without one.
    """

    maps: tuple[Tensor, ...]
    tokens: tuple[Tensor, ...] = ()


class TimmBackbone(nn.Module):
    """A frozen timm model as a source of feature maps at several depths.

    Args:
        model: any timm model that has `forward_intermediates`.
        name: how it is called in results and caches; change it when the weights change.
        indices: which intermediate features, as timm counts them; negative counts from the end.
        input_size: see `InputSize`; by default `grid` for models with a patch size of 14 or more
            and no pyramid, else `native`.
        mean, std: input normalisation for RGB in 0..1.

    Attributes:
        channels, reductions: of each chosen depth; reductions in input pixels.
        has_token: whether it gives a class token a depth.

    Raises:
        ConfigError: the model gives no intermediate features, or an index is outside its depth.

    Example:
        >>> import timm
        >>> model = timm.create_model("test_efficientnet")
        >>> backbone = TimmBackbone(model, name="tiny", indices=(-2, -1))
        >>> [tuple(m.shape) for m in backbone(torch.zeros(1, 3, 64, 64)).maps]
        [(1, 48, 4, 4), (1, 64, 2, 2)]
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        indices: Sequence[int],
        input_size: InputSize | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        intermediates: Any = getattr(model, "forward_intermediates", None)
        if intermediates is None:
            raise ConfigError(
                f"{name} has no intermediate features; choose a timm model with forward_intermediates."
            )
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.indices = tuple(indices)
        self._has_prefix = "return_prefix_tokens" in inspect.signature(intermediates).parameters
        self.has_token = self._has_prefix and getattr(model, "num_prefix_tokens", 0) > 0
        self.patch_size = _patch_size(model)
        info = list(getattr(model, "feature_info", []))
        try:
            self.reductions = tuple(int(info[i]["reduction"]) for i in self.indices)
            self.channels = tuple(int(info[i]["num_chs"]) for i in self.indices)
        except (IndexError, TypeError) as error:
            raise ConfigError(
                f"{name} has {len(info)} depths to choose from; got indices {self.indices}."
            ) from error
        self.input_size: InputSize = input_size or ("grid" if self.patch_size else "native")
        if self.input_size == "grid" and not self.patch_size:
            raise ConfigError(f"{name} has no patch grid; use input_size='native'.")
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Stay in evaluation mode: a frozen backbone must not update its statistics."""
        return super().train(False)

    def forward(self, pixels: Tensor) -> FeatureMaps:
        """Feature maps of RGB pictures `[B, 3, H, W]` in 0..1."""
        inputs = ((pixels - self.mean) / self.std).to(next(self.model.parameters()).dtype)
        extra = {"return_prefix_tokens": True} if self._has_prefix else {}
        forward_intermediates: Any = self.model.forward_intermediates
        features = forward_intermediates(
            inputs,
            indices=list(self.indices),
            norm=False,
            output_fmt="NCHW",
            intermediates_only=True,
            **extra,
        )
        maps, tokens = [], []
        for feature in features:
            if isinstance(feature, tuple):
                spatial, prefix = feature
                maps.append(spatial.float())
                if prefix is not None and prefix.shape[1]:
                    tokens.append(prefix[:, 0].float())
            else:
                maps.append(feature.float())
        return FeatureMaps(tuple(maps), tuple(tokens))


def _patch_size(model: nn.Module) -> int:
    """The patch size of a plain ViT; 0 for pyramids, which are fed at native size."""
    if not hasattr(model, "blocks") or not hasattr(model, "pos_embed"):
        return 0
    size = getattr(getattr(model, "patch_embed", None), "patch_size", 0)
    return cast(int, size[0] if isinstance(size, tuple | list) else size)
