"""The figures of `rsfiqa bench collection` as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rsfiqa.score_benchmark_plot import require_plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008), "Color universal design".
_STAGES = ("#56b4e9", "#0072b2", "#e69f00", "#cc79a7", "#d55e00", "#009e73")
_LINE, _PLAIN, _INK = "#0072b2", "#8a8a8a", "#333333"


def collection_png(figures: Mapping[str, Any]) -> bytes:
    """Draw what `bench_collection` found: memory over the pictures and, if measured, the stages' pace.

    Returns:
        a PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_plots()
    from matplotlib.figure import Figure

    panels = 2 if figures["stages"] else 1
    figure = Figure(figsize=(5.8 * panels, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _draw_memory(axes[-1], figures)
    if figures["stages"]:
        _draw_pace(axes[0], figures)
    setting = figures["plan"]["setting"]
    figure.suptitle(
        f"rsfiqa {setting['command']}, {figures['whole']['pictures']:,} pictures, "
        f"{figures['machine']['cores']} cores, segmenter {setting['segmenter']}, "
        f"reader {setting['reader']}",
        fontsize=11,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "rsfiqa"})
    return buffer.getvalue()


def _draw_memory(axes: Axes, figures: Mapping[str, Any]) -> None:
    _tidy(axes)
    samples = figures["memory"]["samples"]
    axes.plot([done for done, _ in samples], [mb for _, mb in samples], color=_LINE, linewidth=1.2)
    loaded = figures["memory"]["loaded_mb"]
    if loaded is not None:
        axes.axhline(loaded, color=_INK, linestyle=":", linewidth=1.2)
        axes.annotate(
            "model loaded",
            (0.99, loaded),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, -4),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
            color=_INK,
        )
    axes.set_ylim(0, 1.15 * (figures["memory"]["most_mb"] or 1))
    axes.set_xlabel("pictures done")
    axes.set_ylabel("resident memory, MB")
    growth = figures["memory"]["growth_mb"]
    told = "too few to tell of growth" if growth is None else f"{growth:+.2f} MB for 1,000 pictures"
    axes.set_title(f"Memory: {told}", fontsize=10)


def _draw_pace(axes: Axes, figures: Mapping[str, Any]) -> None:
    _tidy(axes)
    bounds = figures["bounds"]
    ends = []
    left = 0.0
    for (name, stage), color in zip(figures["stages"].items(), _STAGES, strict=False):
        width = 1000 / stage["rate"]
        axes.barh(0, width, left=left, color=color, height=0.6, label=name)
        left += width
    ends.append(left)
    for place, rate in enumerate((bounds["bound"], figures["whole"]["rate"]), start=1):
        ends.append(1000 / rate)
        axes.barh(place, ends[-1], color=_PLAIN, height=0.6)
    for place, end in enumerate(ends):
        axes.annotate(
            f"{end:,.3g}" if end < 1000 else f"{end:,.0f}",
            (end, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=_INK,
        )
    axes.set_yticks(range(3), ["stages in a row", f"bound:\n{bounds['bound_by']}", "the whole"])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("milliseconds a picture, all cores (less is better)")
    axes.set_title(
        f"The whole: {bounds['of_row']:.0%} of the pace of the stages in a row, "
        f"{bounds['of_bound']:.0%} of the bound",
        fontsize=10,
    )
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=6)


def _tidy(axes: Axes) -> None:
    axes.grid(color="#e3e3e3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
