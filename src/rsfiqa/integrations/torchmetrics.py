"""A torchmetrics metric: the mean quality of the pictures of an evaluation (extra `torchmetrics`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy.typing as npt
import torch
from torch import Tensor

from rsfiqa.errors import ConfigError, MissingExtraError
from rsfiqa.images import ImageSource

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
except ModuleNotFoundError as error:
    raise MissingExtraError("The torchmetrics metric", "torchmetrics") from error

if TYPE_CHECKING:
    from rsfiqa.assessor import RSFIQA

Reduction = Literal["mean", "none"]


class RSFIQAMetric(Metric):
    """The scores of pictures as `RSFIQA.assess` gives them, 0..100, higher is better.

    It measures and gives no gradients: pictures are rounded to 8 bits, as files hold them, so that
    what is reported while training is what `rsfiqa assess --reader none` says of the saved pictures. For gradients
    there is `rsfiqa.as_loss`.

    Args:
        assessor: makes the scores, on its own device; by default
            `RSFIQA.from_pretrained(reader="none")`. Copies of the metric share it.
        reduction: `mean` over all pictures seen, or `none` for their scores, in order.
        kwargs: as for every `torchmetrics.Metric`.

    Raises:
        AssetError: the default scorer's weights cannot be had.
        ConfigError: the reduction is neither of the two.

    Example:
        >>> metric = RSFIQAMetric()
        >>> metric.update(torch.rand(2, 3, 64, 96))
        >>> metric.update(torch.rand(1, 3, 48, 48))
        >>> bool(0 <= metric.compute() <= 100)
        True
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 100.0

    total: Tensor
    count: Tensor
    scores: list[Tensor]

    def __init__(
        self, assessor: RSFIQA | None = None, *, reduction: Reduction = "mean", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if reduction not in get_args(Reduction):
            raise ConfigError(
                f"reduction is {' or '.join(get_args(Reduction))}; got {reduction!r}."
            )
        self.reduction = reduction
        self._shared = _Shared(assessor or _default_assessor())
        if reduction == "none":
            self.add_state("scores", [], dist_reduce_fx="cat")
        else:
            self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, images: Tensor | npt.NDArray[Any] | Iterable[ImageSource]) -> None:
        """Assess pictures and count them in; none counts where one cannot be assessed.

        Args:
            images: a tensor `[B, 3, H, W]` in 0..1, or whatever else `RSFIQA.assess_batch` takes,
                such as a list of pictures of different sizes.

        Raises:
            ImageError: a picture cannot be read or is outside the accepted sizes or values.
        """
        assessments = self._shared.assessor.assess_batch(images)
        scores = torch.tensor(
            [assessment.score for assessment in assessments],  # type: ignore[union-attr]
            dtype=torch.float64,
        ).to(self.device)
        if self.reduction == "none":
            self.scores.append(scores.float())
        else:
            self.total += scores.sum()
            self.count += len(scores)

    def compute(self) -> Tensor:
        """The mean score, or the scores `[N]`; NaN, or nothing, where no picture was seen."""
        if self.reduction == "none":
            return dim_zero_cat(self.scores) if len(self.scores) else torch.empty(0)
        return (self.total / self.count).float()

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Draw the value, or several, between the bounds of the scale (extra `plot`).

        Args:
            val: what `forward` or `compute` gave, once or several times; by default what `compute`
                gives now.
            ax: matplotlib axes to draw on.

        Returns:
            figure and axes.
        """
        return self._plot(val, ax)


class _Shared:
    """An assessor that copies of a metric, as collections and trackers make them, have in common."""

    def __init__(self, assessor: RSFIQA) -> None:
        self.assessor = assessor

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return self


def _default_assessor() -> RSFIQA:
    from rsfiqa.assessor import RSFIQA

    return RSFIQA.from_pretrained(reader="none")
