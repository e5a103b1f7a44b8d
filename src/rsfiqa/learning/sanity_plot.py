"""The plot of a scorer's sanity: score against strength, a panel for each distortion."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from rsfiqa.errors import MissingExtraError
from rsfiqa.learning.sanity import LEVELS, FamilyCurves, Sanity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe & Ito (2008), "Color universal design", one for each dimension.
_COLORS = {"blur": "#0072b2", "noise": "#d55e00", "artifact": "#009e73", "color": "#cc79a7"}
_COLUMNS = 5
_INK = "#333333"


def curves_png(sanity: Sanity, scorer: str) -> bytes:
    """Draw the curves of all distortions: thin for each picture, thick for their mean.

    Args:
        sanity: what was measured.
        scorer: its name, for the title.

    Returns:
        a PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("The plot of sanity", "plot") from error

    columns = min(_COLUMNS, len(sanity.families))
    rows = math.ceil(len(sanity.families) / columns)
    figure = Figure(figsize=(2.3 * columns + 0.6, 2.2 * rows + 0.9), dpi=150, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(sanity.families) :]:
        panel.set_visible(False)
    for index, (panel, curves) in enumerate(zip(panels.flat, sanity.families, strict=False)):
        _draw(panel, curves)
        # The panel below may be one that is not drawn: then this one has the numbers.
        panel.tick_params(labelbottom=index + columns >= len(sanity.families))
    count = len(sanity.pictures)
    figure.suptitle(
        f"{scorer}: score against strength, {count} clean photograph{'s' if count > 1 else ''}\n"
        "thin: each photograph; thick: their mean; ρ: mean Spearman (−1 is wanted)",
        fontsize=10,
    )
    figure.supxlabel("Strength (0 is clean)", fontsize=10)
    figure.supylabel("Score (0 to 100)", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "rsfiqa"})
    return buffer.getvalue()


def _draw(panel: Axes, curves: FamilyCurves) -> None:
    for row in curves.scores:
        panel.plot(LEVELS, row, color="#b0b0b0", linewidth=0.7)
    color = _COLORS.get(curves.dimension, _INK)
    panel.plot(LEVELS, curves.means, color=color, linewidth=2.2, marker="o", markersize=4)
    panel.set_title(curves.family.replace("_", " "), fontsize=9, color=color)
    panel.text(
        0.04, 0.05, f"ρ {curves.spearman:+.2f}", transform=panel.transAxes, fontsize=8, color=_INK
    )
    panel.set_ylim(0, 100)
    panel.set_xticks(LEVELS)
    panel.set_yticks((0, 20, 40, 60, 80, 100))
    panel.grid(color="#e3e3e3", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
