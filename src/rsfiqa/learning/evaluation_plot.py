"""Scatter plots of evaluations: predicted against human scores."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np

from rsfiqa.errors import MissingExtraError
from rsfiqa.learning.logistic import fit_logistic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rsfiqa.learning.evaluation import Evaluation, Prediction
    from rsfiqa.learning.evaluation_matrix import EvaluationMatrix

# Okabe & Ito (2008), "Color universal design"; its yellow is left out, being faint on white.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
_INK = "#333333"


def scatter_png(evaluation: Evaluation) -> bytes:
    """Draw the predictions of an evaluation, with the logistic curve, as a PNG file.

    Groups differ in colour and in marker; of more than seven, the seventh and later share the last.
    Pictures that are known from training have a ring.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = _figure(6.4, 6.8)
    axes = figure.add_subplot()
    _draw_points(axes, evaluation)
    _draw_curves(axes, evaluation)
    axes.set_xlabel("Predicted score (0 to 100, higher is better)")
    axes.set_ylabel("Human score (MOS, 0 to 100)")
    axes.set_title(_title(evaluation), fontsize=11)
    # Outside, where it hides no picture whichever way the predictions go.
    figure.legend(fontsize=9, frameon=False, loc="outside lower center", ncols=2)
    return _png(figure)


def grid_png(matrix: EvaluationMatrix) -> bytes:
    """Draw all evaluations of a matrix, a row of panels for each scorer, as a PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rows, columns = len(matrix.scorers), len(matrix.sets)
    figure = _figure(2.9 * columns + 0.5, 3.1 * rows + 0.4)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for scorer, row in zip(matrix.scorers, panels, strict=True):
        for name, axes in zip(matrix.sets, row, strict=True):
            evaluation = matrix.cells[scorer, name]
            _draw_points(axes, evaluation, small=True)
            _draw_curves(axes, evaluation)
            # The names stand over each panel: beside the rows, long ones would not fit.
            axes.set_title(
                f"{_plain(name)}\n{_shortened(_plain(scorer))}\n{_told(evaluation)}", fontsize=8
            )
            axes.tick_params(labelsize=8)
    figure.supxlabel("Predicted score (0 to 100, higher is better)", fontsize=10)
    figure.supylabel("Human score (MOS, 0 to 100)", fontsize=10)
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("The scatter plot", "plot") from error
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A group's name may hold characters that the font lacks: boxes, and no reason to fail.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(buffer, format="png", metadata={"Software": "rsfiqa"})
    return buffer.getvalue()


def _draw_points(axes: Axes, evaluation: Evaluation, *, small: bool = False) -> None:
    axes.grid(color="#e3e3e3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    names = list(evaluation.groups) or [""]
    shown = names if len(names) <= len(_COLORS) else names[: len(_COLORS) - 1]
    rows: dict[str, list[Prediction]] = {name: [] for name in shown}
    others = f"{len(names) - len(shown)} other groups"
    for row in evaluation.scored:
        name = evaluation.group_of(row) if evaluation.groups else ""
        rows.setdefault(name if name in shown else others, []).append(row)
    count = len(evaluation.scored)
    opacity = 0.85 if count < 200 else 0.55 if count < 2000 else 0.3
    size = (26 if count < 1000 else 12) / (3 if small else 1)
    for (name, members), color, marker in zip(rows.items(), _COLORS, _MARKERS, strict=False):
        axes.scatter(
            [row.score for row in members if row.score is not None],
            [row.target for row in members],
            s=size,
            c=color,
            marker=marker,
            alpha=opacity,
            linewidths=0,
            label=_label(name, len(members), evaluation),
        )
    known = [(row.score, row.target) for row in evaluation.leaks if row.score is not None]
    if known:
        axes.scatter(
            [score for score, _ in known],
            [target for _, target in known],
            s=2.5 * size,
            facecolors="none",
            edgecolors=_INK,
            linewidths=0.6,
            label=f"known from training (n = {len(known)})",
        )


def _draw_curves(axes: Axes, evaluation: Evaluation) -> None:
    scores = np.array([row.score for row in evaluation.scored], dtype=np.float64)
    targets = np.array([row.target for row in evaluation.scored], dtype=np.float64)
    axes.set_xlim(min(0.0, *scores, 0.0) - 2, max(100.0, *scores, 100.0) + 2)
    axes.set_ylim(min(0.0, *targets, 0.0) - 2, max(100.0, *targets, 100.0) + 2)
    axes.plot([0, 100], [0, 100], color="#8a8a8a", linewidth=1, linestyle=":", label="equal scores")
    if evaluation.overall.rmse_logistic is None:
        return
    fit = fit_logistic(scores, targets)
    x = np.linspace(scores.min(), scores.max(), 200)
    label = "logistic fit" if fit.line is None else "linear fit"
    axes.plot(x, fit(x), color="white", linewidth=4)
    axes.plot(x, fit(x), color=_INK, linewidth=2, label=label)


def _title(evaluation: Evaluation) -> str:
    overall, count = evaluation.overall, f"n = {evaluation.overall.n}"
    if evaluation.failures:
        count += f", {len(evaluation.failures)} failed"
    if overall.srcc is None:
        return f"No SRCC, {count}"
    interval = ""
    if evaluation.srcc_interval is not None:
        low, high = evaluation.srcc_interval
        interval = f" (95 % interval {low:.3f} to {high:.3f})"
    lines = [f"SRCC {overall.srcc:.3f}{interval}, {count}"]
    further = [
        f"{name} {value:.{digits}f}"
        for name, value, digits in (
            ("PLCC", overall.plcc, 3),
            ("after the logistic fit", overall.plcc_logistic, 3),
            ("RMSE", overall.rmse, 1),
        )
        if value is not None
    ]
    if evaluation.splits is not None and (found := evaluation.splits.spread("srcc")):
        spread = "" if found.deviation is None else f" ± {found.deviation:.3f}"
        lines.append(f"median SRCC of {len(evaluation.splits)} splits {found.median:.3f}{spread}")
    return "\n".join([*lines, ", ".join(further)])


def _told(evaluation: Evaluation) -> str:
    srcc = evaluation.overall.srcc
    return f"{'no SRCC' if srcc is None else f'SRCC {srcc:.3f}'}, n = {evaluation.overall.n}"


def _label(name: str, count: int, evaluation: Evaluation) -> str:
    """A group in the legend: how well it is ranked within itself says more than its place."""
    found = evaluation.groups.get(name)
    ranked = "" if found is None or found.srcc is None else f", SRCC {found.srcc:.2f}"
    return f"{_plain(name) or 'pictures'} (n = {count}{ranked})"


def _shortened(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _plain(name: str) -> str:
    """A name that matplotlib takes neither for mathematics nor for a hidden label."""
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name
