"""Evaluations as tables for the terminal: one in full, or several scorers on several data sets."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from rsfiqa.learning.evaluation import Evaluation
    from rsfiqa.learning.evaluation_matrix import EvaluationMatrix
    from rsfiqa.learning.evaluation_splits import SplitFigures
    from rsfiqa.learning.metrics import Correlations, PairedDifference

_HEADINGS = {
    "srcc": "SRCC",
    "plcc": "PLCC\nraw",
    "plcc_logistic": "PLCC\nafter\nlogistic",
    "krcc": "KRCC",
    "rmse": "RMSE\nraw",
    "rmse_logistic": "RMSE\nafter\nlogistic",
}
_MOST_GROUPS = 24
"""Groups with a row each; more, such as references, are told in a sentence."""
_MATRIX = ("srcc", "plcc", "plcc_logistic", "rmse")
"""The figures that a matrix shows; all are in its files."""
_MEDIANS = ("srcc", "plcc_logistic")
"""Those whose median over splits it shows, too."""
_BETTER, _WORSE = "▲", "▼"


def evaluation_table(evaluation: Evaluation, title: str) -> Table:
    """A table for the terminal: a row overall, then without leaks, over splits and by group."""
    from rich.table import Table
    from rich.text import Text

    failed = Counter(evaluation.group_of(row) for row in evaluation.failures)
    table = Table(title=Text(title), caption=Text(_caption(evaluation)), caption_justify="left")
    table.add_column("")
    table.add_column("n", justify="right")
    if failed:
        table.add_column("failed", justify="right")
    for heading in _HEADINGS.values():
        table.add_column(heading, justify="right")

    def add(name: str, found: Correlations, lost: int) -> None:
        cells = [_figure(figure, getattr(found, figure)) for figure in _HEADINGS]
        table.add_row(Text(name), f"{found.n}", *([f"{lost}"] if failed else []), *cells)

    add("overall", evaluation.overall, len(evaluation.failures))
    if evaluation.without_leaks is not None:
        lost = sum(not row.leak for row in evaluation.failures)
        add("without leaks", evaluation.without_leaks, lost)
    if evaluation.splits is not None:
        for cells in _split_rows(evaluation.splits):
            table.add_row(cells[0], cells[1], *([""] if failed else []), *cells[2:])
    table.add_section()
    if len(evaluation.groups) <= _MOST_GROUPS:
        for name, found in evaluation.groups.items():
            add(name, found, failed[name])
    return table


def matrix_table(matrix: EvaluationMatrix) -> Table:
    """A table for the terminal: a row for each scorer, under each figure; a column for each set.

    Where scorers can be compared on the same pictures, marks say which are better or worse than the
    first, and within which bounds.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption=Text(_matrix_caption(matrix)),
        caption_justify="left",
    )
    table.add_column("")
    table.add_column("scorer", overflow="fold")
    for name in matrix.sets:
        table.add_column(Text(name, overflow="fold"), justify="right")

    def add(heading: str, cell: Callable[[str, str], str]) -> None:
        table.add_section()
        for index, scorer in enumerate(matrix.scorers):
            cells = [cell(scorer, name) for name in matrix.sets]
            table.add_row(heading if index == 0 else "", Text(scorer), *cells)

    def count(scorer: str, name: str) -> str:
        return f"{matrix.cells[scorer, name].overall.n}"

    def figure_of(figure: str) -> Callable[[str, str], str]:
        def cell(scorer: str, name: str) -> str:
            value = getattr(matrix.cells[scorer, name].overall, figure)
            found = matrix.difference_to_first(scorer, name, figure)
            return _figure(figure, value) + _marked(found)

        return cell

    def median_of(figure: str) -> Callable[[str, str], str]:
        return lambda scorer, name: _median(matrix.cells[scorer, name].splits, figure)

    split = any(evaluation.splits for evaluation in matrix.cells.values())
    add("pictures", count)
    for figure in _MATRIX:
        heading = _HEADINGS[figure].replace("\n", " ").replace(" after", "\nafter")
        add(heading, figure_of(figure))
        if split and figure in _MEDIANS:
            add(f"{heading},\nmedian of splits", median_of(figure))
    return table


def _split_rows(splits: SplitFigures) -> list[list[str]]:
    spreads = {figure: splits.spread(figure) for figure in _HEADINGS}
    sizes = [one.n for one in splits.each]
    rows = [
        ("splits: median", f"{statistics.median(sizes):.0f}", "median"),
        ("splits: spread", "", "deviation"),
        ("splits: lowest", f"{min(sizes)}", "low"),
        ("splits: highest", f"{max(sizes)}", "high"),
    ]
    return [
        [name, n, *(_figure(f, getattr(found, what, None)) for f, found in spreads.items())]
        for name, n, what in rows
    ]


def _caption(evaluation: Evaluation) -> str:
    lines = [
        f"{name} 95% interval {interval[0]:.3f} to {interval[1]:.3f}"
        for name, interval in (
            ("SRCC", evaluation.srcc_interval),
            ("PLCC (raw)", evaluation.plcc_interval),
        )
        if interval is not None
    ]
    if evaluation.splits is not None:
        lines.append(
            f"{len(evaluation.splits)} splits; spread: the standard deviation between them; overall: "
            "all pictures that are measured on in any"
        )
    if (found := evaluation.reliability) is not None:
        lines.append(
            f"90% intervals hold {found.coverage:.1%} of human scores and are {found.width:.1f} points "
            f"wide; error over uncertainty: {found.deviation_ratio:.2f} (1 is wanted)"
        )
    if evaluation.leaks:
        first = evaluation.leaks[0]
        lines.append(
            f"{len(evaluation.leaks)} of {len(evaluation.predictions)} pictures are known from "
            f"training; the first is {first.image}: {first.leak}"
        )
    shown = evaluation.groups
    if len(shown) > _MOST_GROUPS:
        lines.append(_told_groups(evaluation))
        shown = {}
    named = {"overall": evaluation.overall, **shown}
    lines += [f"{name}: {found.note}" for name, found in named.items() if found.note]
    if evaluation.failures:
        lines.append(
            f"{len(evaluation.failures)} of {len(evaluation.predictions)} pictures failed and are "
            f"in no figure; the first is {evaluation.failures[0].image}: "
            f"{evaluation.failures[0].error}"
        )
    return "\n".join(lines)


def _told_groups(evaluation: Evaluation) -> str:
    ranked = sorted(
        (found.srcc, name) for name, found in evaluation.groups.items() if found.srcc is not None
    )
    told = f"{len(evaluation.groups)} groups"
    if ranked:
        (low, worst), (high, best) = ranked[0], ranked[-1]
        middle = statistics.median(value for value, _ in ranked)
        told += f": SRCC {low:.3f} ({worst}) to {high:.3f} ({best}), median {middle:.3f}"
    return told + "; all are in summary.json of --out"


def _matrix_caption(matrix: EvaluationMatrix) -> str:
    lines = []
    if matrix.differences:
        lines.append(
            "second line: 95% interval of the difference to the first scorer (bootstrap over the "
            f"same pictures); {_BETTER} better, {_WORSE} worse, where it leaves out 0"
        )
    failed = sum(len(evaluation.failures) for evaluation in matrix.cells.values())
    if failed:
        lines.append(f"{failed} predictions failed and are in no figure")
    leaks = {
        name: len(matrix.cells[matrix.scorers[0], name].leaks)
        for name in matrix.sets
        if matrix.cells[matrix.scorers[0], name].leaks
    }
    if leaks:
        told = ", ".join(f"{count} of {name}" for name, count in leaks.items())
        lines.append(f"known from training: {told}; summary.json of --out has figures without them")
    return "\n".join(lines)


def _marked(found: PairedDifference | None) -> str:
    if found is None:
        return ""
    mark = ""
    if found.low > 0 or found.high < 0:
        better = (found.difference > 0) is (found.metric != "rmse")
        mark = f" {_BETTER if better else _WORSE}"
    digits = 2 if found.metric == "rmse" else 3
    return f"{mark}\n{found.low:+.{digits}f}..{found.high:+.{digits}f}"


def _median(splits: SplitFigures | None, figure: str) -> str:
    found = splits and splits.spread(figure)
    if not found:
        return "–"
    spread = "" if found.deviation is None else f" ± {_figure(figure, found.deviation)}"
    return f"{_figure(figure, found.median)}{spread}"


def _figure(figure: str, value: float | None) -> str:
    return "–" if value is None else f"{value:.{2 if figure.startswith('rmse') else 3}f}"
