"""Settings of fine-tuning, and which branches a scorer gets when nothing is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsfiqa.encoders.fine_tuned import BranchConfig
from rsfiqa.errors import ConfigError
from rsfiqa.learning.ranges import (
    AT_LEAST_ONE,
    BELOW_ONE,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    require,
)

BRANCHES: Mapping[str, BranchConfig] = {
    "dinov2-small": BranchConfig(depth=2, rank=16),
    "efficientnet-lite0": BranchConfig(depth=2),
}
"""The last four blocks of DINOv2, by low rank; the deep half of EfficientNet-Lite0, as a whole."""


@dataclass(frozen=True)
class FineTuningConfig:
    """Settings of fine-tuning; the same for every branch.

    Attributes:
        epochs: passes over the scored pictures.
        batch_size: pictures a step.
        learning_rate: peak of a one-cycle schedule, of weights taught as a whole.
        rank_rate: the same, of changes of low rank.
        head_rate: the same, of the head.
        weight_decay: of AdamW, on a branch's blocks; five times that on its head.
        mse_weight: see `rsfiqa.learning.losses.quality_loss`.
        grading_weight: of `rsfiqa.learning.losses.grading_loss`; 0 leaves graded copies out.
        graded_per_step: graded copies, each with its clean original and in all strengths, a step.
        crop: what a random crop keeps of each side; half of the crops are mirrored.
        average: decay of the moving average of weights that is kept.
        seed: of initialisation, order, crops and dropout.

    Raises:
        ConfigError: a value is outside its range.
    """

    epochs: int = 4
    batch_size: int = 16
    learning_rate: float = 3e-4
    rank_rate: float = 6e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.01
    mse_weight: float = 4.0
    grading_weight: float = 0.05
    graded_per_step: int = 1
    crop: float = 0.875
    average: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, AT_LEAST_ONE, "epochs", "batch_size", "graded_per_step")
        require(self, POSITIVE, "learning_rate", "rank_rate", "head_rate", "crop")
        require(self, NOT_NEGATIVE, "weight_decay", "mse_weight", "grading_weight", "seed")
        require(self, FRACTION, "crop")
        require(self, BELOW_ONE, "average")


def branches_for(
    specs: Sequence[Mapping[str, Any]], named: Sequence[str] = ()
) -> dict[int, BranchConfig]:
    """Which branches to teach, by the position of their backbone.

    Args:
        specs: descriptions of the backbones.
        named: `BACKBONE:DEPTH` or `BACKBONE:DEPTH:RANK` each; none for those of `BRANCHES`.

    Raises:
        ConfigError: a branch is of no backbone, is named twice or is not written so; or none is
            known of these backbones.

    Example:
        >>> branches_for([{"backbone": "timm:resnet18"}, {"backbone": "efficientnet-lite0"}])
        {1: BranchConfig(depth=2, rank=0)}
    """
    names = [str(spec["backbone"]) for spec in specs]
    if not named:
        found = {i: BRANCHES[name] for i, name in enumerate(names) if name in BRANCHES}
        if not found:
            raise ConfigError(
                f"which blocks of {', '.join(names)} to fine-tune has to be said: "
                "--branch BACKBONE:DEPTH, with the depth from 0 on among those it has."
            )
        return found
    branches: dict[int, BranchConfig] = {}
    for text in named:
        backbone, config = _parsed(text, names)
        index = names.index(backbone)
        if index in branches:
            raise ConfigError(f"{backbone} is named twice; give each backbone one branch.")
        branches[index] = config
    return dict(sorted(branches.items()))


def _parsed(text: str, names: Sequence[str]) -> tuple[str, BranchConfig]:
    for backbone in names:
        numbers = text.removeprefix(backbone + ":").split(":")
        if text.startswith(backbone + ":") and len(numbers) <= 2:
            try:
                return backbone, BranchConfig(*(int(number) for number in numbers))
            except ValueError:
                break
    raise ConfigError(
        f"a branch is BACKBONE:DEPTH or BACKBONE:DEPTH:RANK, of {', '.join(names)}; got {text!r}."
    )
