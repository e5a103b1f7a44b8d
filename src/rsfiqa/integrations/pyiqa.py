"""A metric named `rsfiqa` in pyiqa, whose toolbox of metrics many compare with.

pyiqa finds other packages' networks through the entry point group `pyiqa.archs`, where this module's
`register` is entered. It looks there when a network is not found among its own, which is later than
`pyiqa.create_metric` checks the names that it knows: call `register` once before.

    >>> from rsfiqa.integrations.pyiqa import register
    >>> register()  # doctest: +SKIP
    >>> import pyiqa  # doctest: +SKIP
    >>> pyiqa.create_metric("rsfiqa")("photo.jpg")  # doctest: +SKIP

rsfiqa never needs pyiqa, whose licence (PolyForm Noncommercial) is narrower than its own.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from rsfiqa.errors import RsfiqaError
from rsfiqa.integrations.differentiable import DifferentiableScorer

METRIC = "rsfiqa"
"""The metric's name in pyiqa."""


class RSFIQANetwork(nn.Module):
    """The scorer as pyiqa calls its networks.

    Args:
        model: as for `RSFIQA.from_pretrained`.
        segmenter: as for `RSFIQA.from_pretrained`.

    Shape:
        - images: `[B, 3, H, W]` or, grey, `[B, 1, H, W]`, in 0..1; see `DifferentiableScorer`.
        - output: `[B, 1]`, 0..100, higher is better.
    """

    def __init__(self, model: str | Path | None = None, segmenter: str = "embedded") -> None:
        super().__init__()
        from rsfiqa.assessor import RSFIQA

        # pyiqa chooses the device and moves the network there.
        self.scorer = DifferentiableScorer(
            RSFIQA.from_pretrained(model, segmenter=segmenter, reader="none", device="cpu")
        )

    def forward(self, images: Tensor) -> Tensor:
        """Scores `[B, 1]`, with gradients where pyiqa asks for them (`as_loss=True`).

        Raises:
            ImageError: as for `DifferentiableScorer`.
        """
        if images.ndim == 4 and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        scores: Tensor = self.scorer(images)
        return scores[:, None]


def register() -> None:
    """Enter the metric `rsfiqa` into pyiqa; doing so again changes nothing.

    After it, `pyiqa.create_metric("rsfiqa")` and `pyiqa.list_models()` know it. `create_metric` takes
    `model` and `segmenter` for other scorers, and `as_loss=True` for gradients: as with pyiqa's own
    metrics that is the score itself, of which higher is better, so negate it to minimise.

    Raises:
        RsfiqaError: pyiqa is not installed, or has no such registry.
    """
    try:
        from pyiqa.default_model_configs import DEFAULT_CONFIGS
        from pyiqa.utils.registry import ARCH_REGISTRY
    except ImportError as error:
        raise RsfiqaError(
            f"pyiqa cannot be imported ({error}); install it, if its licence allows your use, with: "
            "pip install pyiqa"
        ) from error
    if RSFIQANetwork.__name__ not in ARCH_REGISTRY:
        ARCH_REGISTRY.register(RSFIQANetwork)
    DEFAULT_CONFIGS.setdefault(
        METRIC,
        {
            "metric_opts": {"type": RSFIQANetwork.__name__},
            "metric_mode": "NR",
            "lower_better": False,
            "score_range": "0, 100",
        },
    )
