"""The tables of `rsfiqa bench read`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from rsfiqa.learning.reading_raters import LINEAR, READER

TITLES = {READER: "reader", LINEAR: "linear head"}

_SEEN = {
    "auc": "AUC, severity 2 or more against 0",
    "photograph_auc": "the same of whole photographs",
    "srcc": "SRCC with severity",
    "photograph_srcc": "the same of whole photographs",
}
_Row = Mapping[str, Any]


def quality_tables(figures: Mapping[str, Any]) -> Iterator[Table]:
    """One table a part that was measured, in order."""
    for part, table in _TABLES.items():
        if part in figures:
            yield table(figures[part])


def linear_line(linear: Mapping[str, Any]) -> str:
    """What the linear head is."""
    return (
        f"linear head: learned from {linear['regions']} regions, penalty {linear['penalty']:g} "
        f"chosen on {linear['held']} others"
    )


def timing_table(timing: Mapping[str, Any], spec: str) -> Table:
    """Time and memory."""
    size = f"{timing['width']}×{timing['height']}"
    threads = f"{timing['threads']} thread{'s' if timing['threads'] > 1 else ''}"
    table = _table(f"{spec}: {size}, {threads}", ("", "seconds"))
    regions = f"{timing['regions']} regions"
    seconds = timing["seconds"]
    table.add_row(f"ratings of {regions}, beyond features", _number(seconds["ratings"], 2))
    table.add_row("ratings and descriptions of them", _number(seconds["descriptions"], 2))
    table.add_row(
        f"a whole assessment ({timing['assess_regions']} regions)", _number(seconds["assess"], 2)
    )
    peak = timing["peak_mb"]
    table.add_row("its peak memory", "unknown" if peak is None else f"{peak:.0f} MB")
    return table


def goals_table(figures: Mapping[str, Any]) -> Table:
    """Each goal with what was reached."""
    table = _table(f"Goals, {figures.get('reader', '')}".rstrip(", "), ("", "goal", "reader"))
    table.add_column("linear head", justify="right")
    table.add_column("")
    verdicts = {True: "reached", False: "[bold]missed[/bold]", None: "not measured"}
    for row in figures["goals"]:
        digits = 0 if row["unit"] == "MB" else 3
        unit = f" {row['unit']}" if row["unit"] else ""
        wanted = f"{'<' if row['at_most'] else '≥'} {row['wanted']:g}{unit}"
        values = (_number(row[READER], digits), _number(row[LINEAR], digits))
        table.add_row(row["goal"], wanted, *values, verdicts[row["met"]])
    return table


def _spoiled_table(part: Mapping[str, Any]) -> Table:
    rows = part["rows"]
    table = _compared(
        f"Spoiled regions: {part['regions']} of {part['pictures']} pictures, "
        f"{part['photographs']} photographs",
        rows,
    )
    _add(table, rows, "the fault's dimension is rated worst", lambda row: row["naming"])
    for key, names in (("naming_by_dimension", "  {}"), ("naming_by_family", "    {}")):
        for name in _union(rows, key):
            title = names.format(name.replace("_", " "))
            _add(table, rows, title, lambda row, k=key, n=name: row[k].get(n))  # type: ignore[misc]
    table.add_section()
    _add(table, rows, "SRCC of overall with strength", lambda row: row["overall_srcc"])
    title = "  clean regions as strength 0"
    _add(table, rows, title, lambda row: row["overall_srcc_with_clean"])
    table.add_section()
    _add(table, rows, "AUC of overall, clean against spoiled", lambda row: row["auc"])
    for name in _union(rows, "dimension_auc"):
        _add(table, rows, f"  of {name}", lambda row, n=name: row["dimension_auc"].get(n))  # type: ignore[misc]
    table.add_section()
    _add(table, rows, "calibration error", lambda row: row.get("calibration", {}).get("error"))
    _add(table, rows, "regions not read", lambda row: row["failed"], digits=0)
    table.caption = _difference(part)
    return table


def _labelled_table(part: Mapping[str, Any]) -> Table:
    rows = part["rows"]
    table = _compared(
        f"Labelled photographs: {part['regions']} regions of {part['photographs']} photographs",
        rows,
    )
    for key, title in _SEEN.items():
        if key in ("auc", "srcc"):
            _add(table, rows, title, lambda row, k=key: row[k])  # type: ignore[misc]
        else:
            table.add_row(title)
        for name in _union(rows, "dimensions"):
            _add(
                table,
                rows,
                f"  {name}",
                lambda row, n=name, k=key: row["dimensions"][n][k],  # type: ignore[misc]
            )
        table.add_section()
    _add(table, rows, "SRCC of overall, whole photographs", lambda row: row["overall_srcc"])
    _add(table, rows, "regions not read", lambda row: row["failed"], digits=0)
    table.caption = _difference(part)
    return table


def _leak_table(part: Mapping[str, Any]) -> Table:
    rows = part["rows"]
    table = _compared(
        f"One region spoiled: {part['copies']} copies of {part['pictures']} photographs, in levels",
        rows,
    )
    _add(table, rows, "change of untouched regions, mean", lambda row: row["mean"])
    _add(table, rows, "  95th percentile", lambda row: row["p95"])
    for name in _union(rows, "by_dimension"):
        _add(table, rows, f"  {name}, mean", lambda row, n=name: row["by_dimension"][n]["mean"])  # type: ignore[misc]
    table.add_section()
    _add(table, rows, "fall of the spoiled region, right dimension", lambda row: row["own_fall"])
    for name in _union(rows, "own_fall_by_dimension"):
        _add(table, rows, f"  {name}", lambda row, n=name: row["own_fall_by_dimension"][n])  # type: ignore[misc]
    _add(table, rows, "fall of its overall", lambda row: row["overall_fall"])
    return table


def _people_table(part: Mapping[str, Any]) -> Table:
    rows = part["rows"]
    table = _compared(f"AUC by people's annotations, {part['pictures']} photographs", rows)
    for group, cases in part["cases"].items():
        title = f"{group} ({cases['with']} with, {cases['without']} without)"
        _add(table, rows, title, lambda row, g=group: row[g]["auc"])  # type: ignore[misc]
        for magnitude in next(iter(rows.values()))[group]["by_magnitude"]:
            _add(
                table,
                rows,
                f"  {magnitude} only",
                lambda row, g=group, m=magnitude: row[g]["by_magnitude"][m],  # type: ignore[misc]
            )
        _add(table, rows, "  by the worst region", lambda row, g=group: row[g]["auc_worst_region"])  # type: ignore[misc]
        table.add_section()
    table.caption = "a photograph's value is the mean of its regions by area, unless said otherwise"
    return table


def _content_table(part: Mapping[str, Any]) -> Table:
    table = _table(
        f"Descriptions against labels, {part['pictures']} photographs",
        ("region's area", "labelled", "said", "agree", "of these broad", "accuracy"),
    )
    for title, row in [
        *((f"{100 * r['from']:g} to {100 * r['to']:g} %", r) for r in part["by_area"]),
        ("all", part["all"]),
    ]:
        counts = (str(row[key]) for key in ("regions", "said", "agreed", "broad"))
        table.add_row(title, *counts, _number(row["accuracy"], 3))
    return table


_TABLES: Mapping[str, Callable[[Mapping[str, Any]], Table]] = {
    "spoiled": _spoiled_table,
    "labelled": _labelled_table,
    "leak": _leak_table,
    "people": _people_table,
    "content": _content_table,
}


def _difference(part: Mapping[str, Any]) -> str | None:
    """The caption on how sure the difference of the two rows is; None where there is one row only."""
    found = part.get("difference")
    if not found:
        return None
    return "reader less linear head (95 % interval): " + "; ".join(
        f"{key.replace('_', ' ')} {d['value']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f})"
        for key, d in found.items()
    )


def _compared(title: str, rows: Mapping[str, _Row]) -> Table:
    return _table(title, ("", *(TITLES[name] for name in rows)))


def _add(
    table: Table,
    rows: Mapping[str, _Row],
    title: str,
    figure: Callable[[_Row], float | None],
    digits: int = 3,
) -> None:
    table.add_row(title, *(_number(figure(row), digits) for row in rows.values()))


def _union(rows: Mapping[str, _Row], key: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows.values() for name in row[key]))


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
