"""Plots of what `rsfiqa bench read` found: whether level probabilities mean what they say."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rsfiqa.errors import MissingExtraError
from rsfiqa.learning.reading_metrics import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe & Ito (2008), "Color universal design".
_COLORS = ("#0072b2", "#d55e00", "#009e73")
_MARKERS = ("o", "^", "s")


def require_plots() -> None:
    """Find out before the minutes of measuring, not after, that nothing can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingExtraError("Plotting", "plot")


def reliability_png(raters: Mapping[str, Reliability]) -> bytes:
    """Draw reliability diagrams of raters over each other, and how often each probability is said.

    Args:
        raters: by name, at most three.

    Returns:
        a PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_plots()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 6.6), dpi=150, layout="constrained")
    axes, counts = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color="#8a8a8a", linewidth=1, linestyle=":", label="as said")
    for (name, found), color, marker in zip(raters.items(), _COLORS, _MARKERS, strict=False):
        label = f"{name} (expected calibration error {found.error:.3f})"
        axes.plot(found.said, found.wanted, color=color, marker=marker, label=label)
        counts.plot(found.said, found.counts, color=color, marker=marker, markersize=4)
    axes.set_title("Do level probabilities mean what they say?", fontsize=11)
    axes.set_ylabel("Mean probability by the labels")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(fontsize=9, frameon=False, loc="upper left")
    counts.set_yscale("log")
    counts.set_ylabel("How many")
    counts.set_xlabel("Probability said of a level (mean of each bin)")
    for each in (axes, counts):
        _plain(each)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "rsfiqa"})
    return buffer.getvalue()


def _plain(axes: Axes) -> None:
    axes.grid(color="#e3e3e3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
