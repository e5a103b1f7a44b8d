"""Image quality as a loss: train or tune what makes pictures so that they look better.

A scorer is a model of what people say, learned from photographs, and a strong optimiser finds
pictures that please it and nobody else. Use it beside a loss that ties the result to its source, with
a small weight, and look at the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from torch import Tensor, nn

from rsfiqa.errors import ConfigError
from rsfiqa.integrations.differentiable import DifferentiableScorer

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA
    from rsfiqa.partition import Partition
    from rsfiqa.scoring.checkpoint import Checkpoint

Reduction = Literal["mean", "sum", "none"]


class QualityLoss(nn.Module):
    """How far pictures are from the best score: `1 - score / 100`, in 0..1, lower is better.

    Args:
        scorer: gives scores with gradients.
        reduction: `mean` or `sum` over the batch, or `none` for one loss a picture.

    Shape:
        - images: `[B, 3, H, W]`, see `DifferentiableScorer`.
        - output: a scalar, or `[B]` without reduction.

    Raises:
        ConfigError: the reduction is none of the three.
    """

    def __init__(self, scorer: DifferentiableScorer, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise ConfigError(
                f"reduction is one of {', '.join(get_args(Reduction))}; got {reduction!r}."
            )
        self.scorer = scorer
        self.reduction = reduction

    def forward(self, images: Tensor, partitions: Sequence[Partition] | None = None) -> Tensor:
        """The loss of pictures `[B, 3, H, W]` in 0..1.

        Args:
            images: see `DifferentiableScorer`.
            partitions: the regions of each picture, see `segment`; by default each is segmented.

        Raises:
            ImageError, DataError: as for `DifferentiableScorer`.
        """
        losses: Tensor = 1 - self.scorer(images, partitions) / 100
        if self.reduction == "mean":
            return losses.mean()
        return losses.sum() if self.reduction == "sum" else losses

    def segment(self, images: Tensor) -> list[Partition]:
        """The regions of pictures, to be held fixed over many steps.

        Segmenting costs as much as scoring, and regions that change from step to step make the loss
        jump: where a picture keeps its layout, such as in restoration, segment it once.

        Raises:
            ImageError: as for `DifferentiableScorer`.
        """
        return self.scorer.segment(images)


def as_loss(
    model: str | Path | Checkpoint | RSFIQA | None = None,
    *,
    segmenter: str = "embedded",
    device: str = "auto",
    reduction: Reduction = "mean",
) -> QualityLoss:
    """A scorer as a differentiable loss: gradients reach the picture, regions are fixed.

    Args:
        model: as for `RSFIQA.from_pretrained`; or an assessor, whose parts are then shared, and whose
            segmenter and device hold.
        segmenter: as for `RSFIQA.from_pretrained`.
        device: where it runs; `.to(...)` moves it later.
        reduction: `mean`, `sum` or `none`.

    Raises:
        AssetError: weights cannot be had or read.
        ConfigError: an argument is not among those accepted.

    Example:
        >>> import torch
        >>> from rsfiqa import as_loss
        >>> loss = as_loss()
        >>> picture = torch.rand(1, 3, 64, 96, requires_grad=True)
        >>> regions = loss.segment(picture)
        >>> loss(picture, regions).backward()
        >>> picture.grad.shape
        torch.Size([1, 3, 64, 96])
    """
    from rsfiqa.assessor import RSFIQA

    if not isinstance(model, RSFIQA):
        model = RSFIQA.from_pretrained(model, segmenter=segmenter, reader="none", device=device)
    return QualityLoss(DifferentiableScorer(model), reduction=reduction)
