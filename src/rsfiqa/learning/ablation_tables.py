"""An ablation as tables for the terminal: its figures, and which of them differ beyond chance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from rsfiqa.learning.ablation import Variant
    from rsfiqa.learning.ablation_figures import Ablation, MeanDifference

_HEADINGS = {
    "srcc": "SRCC",
    "plcc": "PLCC\nraw",
    "plcc_logistic": "PLCC\nafter\nlogistic",
    "krcc": "KRCC",
    "rmse": "RMSE\nraw",
}
_BETTER, _WORSE = "▲", "▼"


def figures_table(ablation: Ablation, title: str) -> Table:
    """A row for each variant: means over seeds, their spread, and the SRCC of each seed."""
    from rich.text import Text

    count = len(ablation.seeds)
    pictures = next(iter(ablation.runs.values()))[0].overall.n
    caption = f"{pictures} validation pictures, scorers of the last epoch"
    if count > 1:
        caption += f"; means over {count} seeds ± the standard deviation between them"
    table = _table(title, caption)
    for heading in _HEADINGS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    if count > 1:
        table.add_column("SRCC of each seed", justify="right", min_width=5)
    for variant in ablation.runs:
        cells = [_mean(ablation, variant, figure) for figure in _HEADINGS]
        if count > 1:
            each = ablation.values(variant, "srcc")
            cells.append(" ".join("–" if v is None else f"{v:.3f}" for v in each))
        table.add_row(Text(variant.name), *cells)
    return table


def differences_table(ablation: Ablation) -> Table:
    """A row for each variant and what it is compared with: the first, and what it varies."""
    from rich.text import Text

    table = _table(
        "Differences of the means",
        "after each the 95% interval, by the bootstrap over the pictures; "
        f"{_BETTER} better, {_WORSE} worse, where it leaves out 0",
    )
    table.add_column("less", overflow="fold")
    for heading in ("SRCC", "PLCC raw"):
        table.add_column(heading, no_wrap=True)
    for variant, other in _pairs(ablation):
        table.add_row(
            Text(variant.name),
            Text(other.name),
            _marked(ablation.difference(variant, other, "srcc")),
            _marked(ablation.difference(variant, other, "plcc")),
        )
    return table


def _table(title: str, caption: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=Text(title),
        title_justify="left",
        caption=Text(caption),
        caption_justify="left",
    )
    table.add_column("variant", overflow="fold", min_width=8)
    return table


def _pairs(ablation: Ablation) -> Iterator[tuple[Variant, Variant]]:
    first, *others = ablation.runs
    for variant in others:
        for other in dict.fromkeys((first, variant.beside)):
            if other in ablation.runs and other != variant:
                yield variant, other


def _mean(ablation: Ablation, variant: Variant, figure: str) -> str:
    value, spread = ablation.mean(variant, figure), ablation.deviation(variant, figure)
    digits = 2 if figure == "rmse" else 3
    if value is None:
        return "–"
    return f"{value:.{digits}f}" + ("" if spread is None else f"\n±{spread:.{digits}f}")


def _marked(found: MeanDifference | None) -> str:
    if found is None:
        return "–"
    mark = _BETTER if found.difference > 0 else _WORSE
    interval = f"{found.low:+.4f}..{found.high:+.4f}"
    return f"{found.difference:+.4f} {mark if found.significant else ' '} {interval}"
