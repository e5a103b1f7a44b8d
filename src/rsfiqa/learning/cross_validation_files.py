"""The figures of one scorer a split, as a table for the terminal and as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsfiqa.atomic import replacing_all
from rsfiqa.errors import DataError
from rsfiqa.learning.evaluation_files import describe_environment
from rsfiqa.learning.evaluation_splits import FIGURES

if TYPE_CHECKING:
    from rich.table import Table

    from rsfiqa.learning.cross_validation import CrossValidation

_HEADINGS = {
    "srcc": "SRCC",
    "plcc": "PLCC\nraw",
    "plcc_logistic": "PLCC\nafter\nlogistic",
    "krcc": "KRCC",
    "rmse": "RMSE\nraw",
    "rmse_logistic": "RMSE\nafter\nlogistic",
}


def cross_validation_table(found: CrossValidation, title: str) -> Table:
    """A row for each split, then median and spread."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title),
        caption="one scorer a split, on the split's test part, which it was not trained on",
        caption_justify="left",
    )
    for heading in ("", "n", *(_HEADINGS[figure] for figure in FIGURES)):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=not heading)
    for name, n, values in found.rows():
        if name == "median":
            table.add_section()
        cells = [_figure(f, value) for f, value in zip(FIGURES, values, strict=True)]
        table.add_row(Text(name), "" if n is None else f"{n}", *cells)
    return table


def write_cross_validation(
    found: CrossValidation, folder: Path, *, run_config: Mapping[str, Any]
) -> list[Path]:
    """Write what is known over all splits into a folder, made if need be.

    `summary.json` has every figure with what it means, `figures.csv` a line for each split,
    `run_config.json` the settings as given, `environment.json` the versions. They are replaced
    together.

    Args:
        run_config: as plain data.

    Raises:
        DataError: the folder cannot be written.
    """
    contents = {
        "summary.json": _document(found.to_dict()),
        "figures.csv": _csv(found),
        "run_config.json": _document(run_config),
        "environment.json": _document(describe_environment()),
    }
    files = [folder / name for name in contents]
    try:
        with replacing_all(files) as partials:
            for partial, text in zip(partials, contents.values(), strict=True):
                partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written: {error.strerror or error}; name another place."
        ) from error
    return files


def _document(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(found: CrossValidation) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["split", "pictures", *FIGURES])
    for name, n, values in found.rows():
        if n is not None:
            writer.writerow([name, n, *("" if v is None else f"{v:.6f}" for v in values)])
    return text.getvalue()


def _figure(figure: str, value: float | None) -> str:
    return "–" if value is None else f"{value:.{2 if figure.startswith('rmse') else 3}f}"
