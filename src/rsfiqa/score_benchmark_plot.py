"""The figures of `rsfiqa bench score` as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rsfiqa.errors import MissingExtraError
from rsfiqa.score_benchmark import by_setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008), "Color universal design".
_STAGES = {
    "encode": "#0072b2",
    "segment": "#56b4e9",
    "labels": "#e69f00",
    "stem": "#009e73",
    "attend": "#d55e00",
}
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8a8a8a")
_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
_INK = "#333333"


def require_plots() -> None:
    """See that what draws is installed.

    Raises:
        MissingExtraError: matplotlib is not.
    """
    try:
        from matplotlib.figure import Figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("The plot", "plot") from error


def score_png(figures: Mapping[str, Any]) -> bytes:
    """Draw what `bench_score` found: stages on the reference picture, and time against size.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_plots()
    from matplotlib.figure import Figure

    settings = by_setting(figures["rows"])
    height = max(4.2, 1.6 + 0.42 * len(settings))
    figure = Figure(figsize=(11, height), dpi=150, layout="constrained")
    stages, sizes = figure.subplots(1, 2, width_ratios=(1.15, 1))
    reference = figures["reference"]
    _draw_stages(stages, settings, reference)
    _draw_sizes(sizes, settings, reference)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "rsfiqa"})
    return buffer.getvalue()


def _draw_stages(
    axes: Axes, settings: Mapping[str, Sequence[Mapping[str, Any]]], reference: Mapping[str, int]
) -> None:
    _tidy(axes)
    names = list(settings)
    rows = [_at(settings[name], **reference) for name in names]
    places = range(len(names))
    left = [0.0] * len(names)
    for stage, color in _STAGES.items():
        widths = [1000 * row["stages"].get(stage, {"median": 0.0})["median"] for row in rows]
        axes.barh(places, widths, left=left, color=color, label=stage, height=0.62)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for stage, marker, label in (
        ("backbones", "D", "backbones without regions"),
        ("resnet50", "o", "plain ResNet-50"),
    ):
        known = [
            (row["stages"][stage], at)
            for row, at in zip(rows, places, strict=True)
            if stage in row["stages"]
        ]
        axes.scatter(
            [1000 * found["median"] for found, _ in known],
            [at for _, at in known],
            marker=marker,
            s=34,
            facecolor="white",
            edgecolor=_INK,
            zorder=3,
            label=label,
        )
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds a picture, without reading")
    axes.set_title(
        f"Stages, {reference['size']}×{reference['size']} pixels, {reference['regions']} regions",
        fontsize=11,
    )
    axes.figure.legend(
        *axes.get_legend_handles_labels(),
        fontsize=9,
        frameon=False,
        loc="outside lower left",
        ncols=4,
    )


def _draw_sizes(
    axes: Axes, settings: Mapping[str, Sequence[Mapping[str, Any]]], reference: Mapping[str, int]
) -> None:
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    _tidy(axes)
    for (name, rows), color, marker in zip(
        settings.items(), _LINES * 4, _MARKERS * 4, strict=False
    ):
        shown = [row for row in rows if row["regions"] == reference["regions"]]
        medians = [1000 * row["stages"]["whole"]["median"] for row in shown]
        spread = [
            [
                1000 * (row["stages"]["whole"]["median"] - row["stages"]["whole"]["low"])
                for row in shown
            ],
            [
                1000 * (row["stages"]["whole"]["high"] - row["stages"]["whole"]["median"])
                for row in shown
            ],
        ]
        sizes = [row["size"] for row in shown]
        axes.errorbar(
            sizes, medians, spread, color=color, marker=marker, capsize=3, linewidth=1.6, label=name
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:.0f}"))
    sizes = sorted({row["size"] for rows in settings.values() for row in rows})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("side of a square picture, pixels")
    axes.set_ylabel("milliseconds a picture, without reading")
    axes.set_title("The whole: median, lowest and highest", fontsize=11)
    axes.legend(fontsize=9, frameon=False)


def _at(rows: Sequence[Mapping[str, Any]], size: int, regions: int) -> Mapping[str, Any]:
    return next(row for row in rows if (row["size"], row["regions"]) == (size, regions))


def _tidy(axes: Axes) -> None:
    axes.grid(color="#e3e3e3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
