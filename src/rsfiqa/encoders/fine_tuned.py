"""Fine-tuned branches: the later blocks of a frozen backbone once more, taught to score pictures.

Frozen features hold what networks learned of objects. What people dislike in pictures is learned best by
the network itself, end to end. A branch is a copy of a backbone's later blocks, taught on scored
pictures, with a head that gives one logit for the whole picture. It goes on from a map that the frozen
backbone makes anyway, so that the earlier blocks, most of a picture's cost, are computed once; regions
and readings keep the frozen features that they were made for.

Linear layers may be changed by matrices of low rank instead of as a whole (LoRA; Hu et al., *LoRA:
Low-Rank Adaptation of Large Language Models*, ICLR 2022), which are merged into them when weights are
loaded.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rsfiqa.encoders.backbone import FeatureMaps, TimmBackbone
from rsfiqa.errors import AssetError, ConfigError

HIDDEN = 128
DROPOUT = 0.3
_BLOCK = re.compile(r"blocks\.(\d+)")


@dataclass(frozen=True)
class BranchConfig:
    """What of a backbone is taught further.

    Attributes:
        depth: which of the backbone's chosen depths the branch goes on from, counted from 0; those
            behind it are made anew.
        rank: of the changes to linear layers; 0 teaches all weights.

    Raises:
        ConfigError: a value is not accepted.
    """

    depth: int
    rank: int = 0

    def __post_init__(self) -> None:
        for name in ("depth", "rank"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"a branch's {name} must be 0 or more; got {value!r}.")


class FineTunedBranch(nn.Module):
    """The later blocks of a backbone, taught further, and a head: feature maps → one logit a picture.

    Normalisation statistics, stochastic depth and dropout of the blocks stay as in inference: batches
    are small, and pictures come one at a time later.

    Args:
        backbone: gives the maps, and the weights to begin with; any timm model whose depths are
            outputs of `blocks` (plain ViTs, EfficientNet and its kin).
        config: what is taught.

    Raises:
        ConfigError: the backbone has no such blocks or depth, or nothing in them that is to be
            changed.

    Example:
        >>> import timm
        >>> model = timm.create_model("test_efficientnet")
        >>> backbone = TimmBackbone(model, name="tiny", indices=(-3, -2, -1))
        >>> branch = FineTunedBranch(backbone, BranchConfig(depth=0)).eval()
        >>> branch(backbone(torch.zeros(2, 3, 64, 64))).shape
        torch.Size([2])
    """

    def __init__(self, backbone: TimmBackbone, config: BranchConfig) -> None:
        super().__init__()
        self.config = config
        self.has_token = backbone.has_token
        last = _blocks_of(backbone)
        if config.depth >= len(last) - 1:
            raise ConfigError(
                f"a branch of {backbone.name} goes on from one of the depths 0 to {len(last) - 2} of "
                f"the {len(last)} chosen; got {config.depth}."
            )
        first = last[config.depth] + 1
        blocks = backbone.model.get_submodule("blocks")[first : last[-1] + 1]  # type: ignore[index]
        self.tail = copy.deepcopy(cast(nn.Sequential, blocks)).requires_grad_(False)
        self._seen = tuple(block - first for block in last[config.depth + 1 :])
        norm = getattr(backbone.model, "norm", None) if backbone.has_token else None
        self.norm = nn.Identity() if norm is None else copy.deepcopy(norm).requires_grad_(False)
        if config.rank:
            _change_by_rank(self.tail, config.rank, backbone.name)
        else:
            self.tail.requires_grad_(True)
        width = sum(backbone.channels[config.depth :]) * (3 if self.has_token else 2)
        self.head = nn.Sequential(
            nn.LayerNorm(width),
            nn.Dropout(DROPOUT),
            nn.Linear(width, HIDDEN),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN, 1),
        )
        last_layer = cast(nn.Linear, self.head[-1])
        nn.init.zeros_(last_layer.weight)
        nn.init.zeros_(last_layer.bias)

    def train(self, mode: bool = True) -> FineTunedBranch:
        """Switch the head's dropout; the blocks stay as in inference."""
        super().train(mode)
        self.tail.eval()
        return self

    def forward(self, features: FeatureMaps) -> Tensor:
        """Logits `[B]` of pictures whose feature maps the frozen backbone made."""
        start = features.maps[self.config.depth]
        if not self.has_token:
            # Depthwise convolutions are taught in half the time with channels side by side.
            x = start.contiguous(memory_format=torch.channels_last)
        else:
            x = torch.cat([features.tokens[self.config.depth][:, None], start.flatten(2).mT], 1)
        x = x.to(next(self.tail.parameters()).dtype)
        seen = [x]
        for i, block in enumerate(self.tail):
            x = block(x)
            if i in self._seen:
                seen.append(x)
        described = torch.cat([self._described(map_) for map_ in seen], 1)
        logits: Tensor = self.head(described).squeeze(1)
        return logits

    def taught(self) -> dict[str, Tensor]:
        """The weights that are taught, by name; what is not among them comes with the backbone."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    @cached_property
    def digest(self) -> str:
        """Identifies the weights of a frozen branch; made when first asked for, and kept."""
        found = hashlib.sha256()
        for parameter in self.parameters():
            found.update(parameter.detach().cpu().float().numpy().tobytes())
        return found.hexdigest()

    @torch.no_grad()
    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Take over what `taught` gave.

        Raises:
            ConfigError: the weights are not those of such a branch.
        """
        own = self.taught()
        if own.keys() != weights.keys() or any(own[n].shape != w.shape for n, w in weights.items()):
            raise ConfigError("the weights are not those of a branch of this backbone and depth.")
        for name, weight in weights.items():
            own[name].copy_(weight)

    def freeze(self) -> FineTunedBranch:
        """Merge changes of low rank into the weights, and teach nothing more."""
        for module in list(self.tail.modules()):
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        return self.requires_grad_(False).eval()

    def _described(self, x: Tensor) -> Tensor:
        """Mean and deviation of a map, and its class token where there is one: `[B, …]`."""
        if not self.has_token:
            flat = x.float().flatten(2)
            return torch.cat([flat.mean(2), _deviation(flat, 2)], 1)
        tokens = self.norm(x).float()
        patches = tokens[:, 1:]
        return torch.cat([tokens[:, 0], patches.mean(1), _deviation(patches, 1)], 1)


def load_branch(backbone: TimmBackbone, config: BranchConfig, path: Path) -> FineTunedBranch:
    """A branch with the weights of a safetensors file, ready for inference.

    Raises:
        AssetError: the file cannot be read.
        ConfigError: it is of another branch.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AssetError(f"the fine-tuned branch in {path} cannot be read: {error}.") from error
    branch = FineTunedBranch(backbone, config)
    branch.take(weights)
    return branch.freeze()


def branch_to_bytes(branch: FineTunedBranch) -> bytes:
    """The content of a file for `load_branch`, in half precision."""
    from safetensors.torch import save

    return save({n: w.detach().cpu().half().contiguous() for n, w in branch.taught().items()})


class _LowRank(nn.Module):
    """A weight `[out, in]` changed by the product of two thin matrices, which begins at zero."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter(torch.randn(rank, columns) * columns**-0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).to(weight.dtype)


def _change_by_rank(tail: nn.Module, rank: int, name: str) -> None:
    linear = [m for m in tail.modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise ConfigError(f"{name} has no linear layers to change by rank; leave rank out.")
    for module in linear:
        parametrize.register_parametrization(module, "weight", _LowRank(module.weight, rank))


def _blocks_of(backbone: TimmBackbone) -> list[int]:
    """Which block each chosen depth is the output of."""
    info: Any = list(cast(Any, backbone.model).feature_info)
    found = [_BLOCK.fullmatch(str(info[i].get("module"))) for i in backbone.indices]
    blocks = [int(match[1]) for match in found if match]
    if len(blocks) < len(found) or blocks != sorted(set(blocks)):
        raise ConfigError(
            f"{backbone.name} cannot be fine-tuned: its depths are not outputs of successive blocks; "
            "choose a plain ViT or a network such as EfficientNet."
        )
    return blocks


def _deviation(x: Tensor, dim: int) -> Tensor:
    return x.var(dim, correction=0).add(1e-4).sqrt()
