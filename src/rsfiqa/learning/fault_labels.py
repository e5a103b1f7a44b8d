"""Labels of the faults that photographs came with: what a viewer saw, how severe, and where.

A CSV with a line a photograph, in any order of columns:

    image,blur,blur_cells,noise,noise_cells,artifact,artifact_cells,color,color_cells,overall
    street/17.jpg,2,58,0,-,1,all,3,123,2.5

A severity is a number from 0 to 4: 0 none, 1 slight (seen when looked for), 2 clear (noticed by
anybody), 3 strong (disturbing), 4 extreme (the content is nearly lost). Cells say where it shows:
those of a grid of three by three, numbered row by row,

    1 2 3
    4 5 6
    7 8 9

as digits such as `1245`, `all`, or `-` where the severity is 0. `overall` is the technical quality
of the whole photograph from 1 (bad) to 5 (excellent), halves allowed. Other columns are not read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.types import Dimension

LABELLED: tuple[Dimension, ...] = ("blur", "noise", "artifact", "color")
"""The dimensions with a severity of their own, in the order of the columns."""

SEVEREST = 4.0
"""Severities run from 0, none, to this."""

GRID = 3
"""Cells along each side of a photograph."""

CELLS = range(1, GRID * GRID + 1)
"""The numbers of the cells, row by row."""

COLUMNS = ("image", *(name for d in LABELLED for name in (d, f"{d}_cells")), "overall")
"""What a line says."""

_EVERYWHERE, _NOWHERE = "all", "-"


@dataclass(frozen=True)
class SeenFault:
    """One dimension of a photograph, as a viewer saw it.

    Attributes:
        severity: 0 (none) to 4 (extreme).
        cells: where it shows, numbers from `CELLS` in ascending order; empty for severity 0.

    Raises:
        DataError: the severity is out of range, a cell is unknown or named twice, or a fault shows
            nowhere.
    """

    severity: float
    cells: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_severity(self.severity)
        if list(self.cells) != sorted(set(self.cells) & set(CELLS)):
            raise DataError(
                f"cells are numbers from {CELLS[0]} to {CELLS[-1]}, ascending and each once; got "
                f"{self.cells}."
            )
        if (self.severity > 0) != bool(self.cells):
            raise DataError(
                f"a severity above 0 comes with the cells where it shows, and 0 without any; got "
                f"severity {self.severity:g} with {len(self.cells)} cells."
            )


@dataclass(frozen=True)
class PhotographLabels:
    """What a viewer saw in one photograph.

    Attributes:
        image: the photograph's name, a path relative to a folder of photographs.
        faults: one a dimension of `LABELLED`.
        overall: the quality of the whole photograph, 1 (bad) to 5 (excellent), in halves.

    Raises:
        DataError: a dimension is missing or unknown, or `overall` is out of range or no half.
    """

    image: str
    faults: Mapping[Dimension, SeenFault]
    overall: float

    def __post_init__(self) -> None:
        if not self.image:
            raise DataError("labels belong to a photograph; name it in the column image.")
        if set(self.faults) != set(LABELLED):
            raise DataError(
                f"a photograph is labelled for {', '.join(LABELLED)}; got {sorted(self.faults)}."
            )
        if not 1 <= self.overall <= 5 or self.overall % 0.5:  # nan fails, too
            raise DataError(f"overall is a number from 1 to 5 in halves; got {self.overall!r}.")

    @property
    def severities(self) -> dict[Dimension, float]:
        """By dimension, whatever the place."""
        return {dimension: self.faults[dimension].severity for dimension in LABELLED}


def check_severity(severity: float) -> None:
    """Refuse what is no severity.

    Raises:
        DataError: it is not a number from 0 to 4.
    """
    is_number = isinstance(severity, int | float) and not isinstance(severity, bool)
    if not is_number or not 0 <= severity <= SEVEREST:  # nan fails, too
        raise DataError(f"a severity is a number from 0 (none) to 4 (extreme); got {severity!r}.")


def read_labels(path: str | Path) -> tuple[PhotographLabels, ...]:
    """The labels in a CSV, in the order of its lines.

    Args:
        path: the CSV; see the head of this module.

    Raises:
        DataError: the file cannot be read, has no rows or lacks a column, or a line is not as it
            should be; the line is named.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8; save it as CSV in UTF-8.") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}; name a CSV of labels."
        ) from error
    return _parse(text, str(path))


def packaged_names() -> tuple[str, ...]:
    """The names of the labels that come with the package, for `packaged_labels`."""
    folder = resources.files("rsfiqa.learning").joinpath("labels")
    if not folder.is_dir():
        return ()
    names = sorted(entry.name for entry in folder.iterdir())
    return tuple(name.removesuffix(".csv") for name in names if name.endswith(".csv"))


def packaged_labels(name: str) -> tuple[PhotographLabels, ...]:
    """Labels that come with the package.

    Args:
        name: `biq2021-train` or `biq2021-val`, of photographs of BIQ2021 (Ahmed and Asif, "BIQ2021:
            a large-scale blind image quality assessment database", Journal of Electronic Imaging
            31(5), 2022), parted as this project parts that set's train split. Labels only: the
            photographs are that data set's.

    Raises:
        ConfigError: there are none of this name.
    """
    known = packaged_names()
    if name not in known:
        raise ConfigError(
            f"no labels named {name!r} come with the package; there are: "
            f"{', '.join(known) or 'none'}."
        )
    file = resources.files("rsfiqa.learning").joinpath("labels", f"{name}.csv")
    return _parse(file.read_text(encoding="utf-8-sig"), f"{name}.csv")


def _parse(text: str, name: str) -> tuple[PhotographLabels, ...]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: dict[str, PhotographLabels] = {}
    try:
        _require_columns(reader.fieldnames or (), name)
        for row in reader:
            try:
                labels = _labels_of(_whole(row))
            except DataError as error:
                raise DataError(f"line {reader.line_num} of {name}: {error}") from error
            if labels.image in found:
                raise DataError(
                    f"line {reader.line_num} of {name}: {labels.image} has been labelled before; "
                    "keep one line a photograph."
                )
            found[labels.image] = labels
    except csv.Error as error:
        line = reader.reader.line_num  # its own number is that of the last whole row
        raise DataError(f"line {line} of {name} is no CSV: {error}.") from error
    if not found:
        raise DataError(f"{name} has no labels; it needs a header and a line a photograph.")
    return tuple(found.values())


def _require_columns(given: Iterable[str], name: str) -> None:
    given = [column.strip() for column in given]
    missing = [column for column in COLUMNS if column not in given]
    if missing:
        raise DataError(
            f"{name} has no column {', '.join(missing)}; its header must name {','.join(COLUMNS)}."
        )


def _whole(row: Mapping[str | None, str | list[str] | None]) -> dict[str, str]:
    """The row with its columns' names stripped, none missing and none too many."""
    whole = {k.strip(): v for k, v in row.items() if k is not None and isinstance(v, str)}
    if len(whole) != len(row):
        raise DataError("it has more or fewer fields than the header; quote those with commas.")
    return whole


def _labels_of(row: Mapping[str, str]) -> PhotographLabels:
    faults = {dimension: _fault_of(row, dimension) for dimension in LABELLED}
    return PhotographLabels(row["image"].strip(), faults, _number(row["overall"]))


def _fault_of(row: Mapping[str, str], dimension: Dimension) -> SeenFault:
    try:
        return SeenFault(_number(row[dimension]), _cells(row[f"{dimension}_cells"]))
    except DataError as error:
        raise DataError(f"{dimension}: {error}") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"{text.strip()!r} is no number.") from error


def _cells(text: str) -> tuple[int, ...]:
    text = text.strip()
    if text == _EVERYWHERE:
        return tuple(CELLS)
    if text == _NOWHERE:
        return ()
    if not text or not set(text) <= {str(cell) for cell in CELLS} or len(set(text)) < len(text):
        raise DataError(
            f"cells are different digits from {CELLS[0]} to {CELLS[-1]} such as 1245, or "
            f"{_EVERYWHERE}, or {_NOWHERE} for severity 0; got {text!r}."
        )
    return tuple(sorted(map(int, text)))
