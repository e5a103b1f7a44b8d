"""One contract for backbones: any timm model becomes a list of feature maps.

timm's models differ in layout (NCHW, NHWC, tokens), in strides, in the sizes of pictures that they
take and in whether they keep a class token. `TimmBackbone` hides that behind
`forward_intermediates`, which plain ViTs, hierarchical transformers and convolutional networks
share, so that everything after it needs no code per backbone.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rsfiqa.encoders.sizes import InputSizes, find_sizes
from rsfiqa.errors import ConfigError

InputSize = Literal["grid", "native", "exact"]
"""`grid`: the picture is resized so that one patch is one grid cell (plain ViTs, whose cost grows
with the square of tokens); `native`: the picture's own pixels, so that noise, blur and compression
below the patch size stay visible (convolutional networks and other pyramids); `exact`: the picture is
resized to the one size that the network takes."""

SMALLEST_PATCH = 8
"""From this stride on, a network with one stride throughout is fed by the grid."""
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

    Pictures of any size go in. Where the model needs sides that divide evenly, or longer ones, they
    are padded below and to the right and the maps cropped back, so that every position keeps its
    place; where it is tied to one size, they are resized to it, and a position's place is the same
    fraction of the picture. A picture that needs neither is passed on as it is.

    Args:
        model: any timm model that has `forward_intermediates` and `feature_info`.
        name: how it is called in results and caches; change it when the weights change.
        indices: which intermediate features, as timm counts them; negative counts from the end.
        input_size: see `InputSize`; by default `grid` for models with one stride of 8 or more at all
            depths (plain ViTs), else `native`. A model that is tied to one size is always `exact`.
        mean, std: input normalisation for RGB in 0..1.
        sizes: which sizes the model takes; None asks it, with a few small empty pictures.

    Attributes:
        channels, reductions: of each chosen depth; reductions in pixels of the model's input.
        patch_size: the stride of a model that has one at all depths, in pixels; 0 for pyramids.
        has_token: whether it gives a class token a depth.

    Shape:
        pixels `[B, 3, H, W]`; maps `[B, C_i, ⌈H/r_i⌉, ⌈W/r_i⌉]` for most models. Networks without
        padding of their own (Inception) lose a few positions; of an `exact` model's maps the size
        is always the same.

    Raises:
        ConfigError: the model gives no feature maps, or an index is outside its depth.

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
        sizes: InputSizes | None = None,
    ) -> None:
        super().__init__()
        intermediates: Any = getattr(model, "forward_intermediates", None)
        info = list(getattr(model, "feature_info", None) or [])
        if intermediates is None or not info:
            raise ConfigError(
                f"{name} gives no feature maps; choose a timm model that has forward_intermediates "
                "and feature_info."
            )
        self.name = name
        self.model = model.eval().requires_grad_(False)
        self.indices = tuple(indices)
        parameters = inspect.signature(intermediates).parameters
        self.has_token = (
            "return_prefix_tokens" in parameters and getattr(model, "num_prefix_tokens", 0) > 0
        )
        try:
            self.reductions = tuple(int(info[i]["reduction"]) for i in self.indices)
            self.channels = tuple(int(info[i]["num_chs"]) for i in self.indices)
        except (IndexError, TypeError) as error:
            raise ConfigError(
                f"{name} has {len(info)} depths to choose from; got indices {self.indices}."
            ) from error
        strides = [int(depth["reduction"]) for depth in info]
        self.patch_size = _patch_size(strides)
        if input_size == "grid" and not self.patch_size:
            raise ConfigError(f"{name} has no patch grid; use input_size='native'.")
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.sizes = sizes or self._ask_for_sizes(strides)
        by_default: InputSize = "grid" if self.patch_size else "native"
        self.input_size: InputSize = (
            "exact" if self.sizes.exact is not None else input_size or by_default
        )

    def train(self, mode: bool = True) -> TimmBackbone:
        """Stay in evaluation mode: a frozen backbone must not update its statistics."""
        return super().train(False)

    def forward(self, pixels: Tensor) -> FeatureMaps:
        """Feature maps of RGB pictures `[B, 3, H, W]` in 0..1."""
        height, width = pixels.shape[-2:]
        features = self._features(self.sizes.fit(pixels))
        maps = tuple(self.sizes.crop(m, height, width) for m in features.maps)
        return FeatureMaps(maps, features.tokens)

    def _features(self, pixels: Tensor) -> FeatureMaps:
        """Feature maps of pictures whose size the model takes."""
        inputs = ((pixels - self.mean) / self.std).to(next(self.model.parameters()).dtype)
        forward_intermediates: Any = self.model.forward_intermediates
        extra = {"return_prefix_tokens": True} if self.has_token else {}
        if "stop_early" in inspect.signature(forward_intermediates).parameters:
            extra["stop_early"] = True  # nothing behind the deepest of the chosen maps is needed
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
                tokens.append(prefix[:, 0].float())
            else:
                maps.append(feature.float())
        return FeatureMaps(tuple(maps), tuple(tokens))

    def _ask_for_sizes(self, strides: Sequence[int]) -> InputSizes:
        """Find out now, not at the first photograph, what the model takes.

        Raises:
            ConfigError: it gives no feature maps at any size.
        """
        found = find_sizes(self._complaint, strides, _sizes_of(self.model))
        if isinstance(found, str):
            raise ConfigError(
                f"{self.name} gives no feature maps at any size that was tried ({found}); "
                "choose another backbone."
            )
        return found

    @torch.no_grad()
    def _complaint(self, height: int, width: int) -> str | None:
        """What keeps the model from making maps of a picture of this size, if anything does."""
        try:
            maps = self._features(self.mean.new_zeros(1, 3, height, width)).maps
        except (AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            return (str(error).splitlines() or ["no further word"])[0].rstrip(".")
        # Some reshape tokens to a wrong grid without a word, which shows in the channels.
        found = [m.shape[1] if m.ndim == 4 else None for m in maps]
        if found != list(self.channels):
            shapes = ", ".join(str(tuple(m.shape)) for m in maps) or "none"
            return f"its maps are {shapes}, where {list(self.channels)} channels were announced"
        return None


def _patch_size(strides: Sequence[int]) -> int:
    """The stride of a network that has one throughout, as plain ViTs do; 0 for pyramids."""
    alike = len(strides) > 1 and len(set(strides)) == 1
    return strides[0] if alike and strides[0] >= SMALLEST_PATCH else 0


def _sizes_of(model: nn.Module) -> list[tuple[int, int]]:
    """Heights and widths that a timm model says it was made for."""
    made_for: Any = getattr(getattr(model, "patch_embed", None), "img_size", None)
    trained_on: Any = getattr(model, "default_cfg", {}).get("input_size")
    sizes = [made_for, trained_on[1:] if trained_on else None]
    return [(int(size[0]), int(size[1])) for size in sizes if size]
