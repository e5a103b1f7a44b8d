"""Label files into rows of texts: CSV, plain text, Excel workbooks and MATLAB files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from rsfiqa.errors import DataError, MissingExtraError
from rsfiqa.learning.known_sets.description import Array, Table

_HEADER_WITHIN = 20
"""Workbooks have titles and remarks above the header, and keep them when saved as CSV."""


@dataclass(frozen=True)
class LabelRow:
    """A row of labels.

    Attributes:
        cells: by column.
        place: file and line, for messages.
    """

    cells: dict[str, str]
    place: str


def find_files(folder: Path, alternatives: Sequence[str]) -> list[Path]:
    """The files that the first alternative that exists names; none where none does."""
    for name in alternatives:
        found = sorted(folder.glob(name)) if "*" in name else [folder / name]
        found = [path for path in found if path.is_file()]
        if found:
            return found
    return []


def read_table(folder: Path, table: Table, needed: Sequence[str]) -> list[LabelRow]:
    """The rows of a table, in order.

    The header is the first row that has all needed columns, so that remarks above it do not matter;
    nor do columns without a name, or more columns than needed.

    Args:
        folder: of the data set.
        table: which.
        needed: columns that it must have, unless they are constants of it.

    Raises:
        DataError: a file cannot be read, lacks a column or has a row that is too short.
        MissingExtraError: it is a workbook, and nothing is installed that reads those.
    """
    wanted = [name for name in needed if name not in table.constants]
    rows: list[LabelRow] = []
    for file in find_files(folder, table.file):
        lines = list(_lines(file, table))
        columns, start = (table.columns, 0) if table.columns else _header(file, lines, wanted)
        for number, cells in lines[start:]:
            row = {name: text for name, text in zip_longest(columns, cells) if name and text}
            short = [name for name in wanted if name in columns[len(cells) :]]
            if short:
                raise DataError(
                    f"line {number} of {file} has {len(cells)} cells, and none for {short[0]!r}; "
                    "fetch the file again."
                )
            rows.append(LabelRow({**table.constants, **row}, f"{file.name}, line {number}"))
    return rows


def read_arrays(folder: Path, arrays: Mapping[str, Array]) -> list[LabelRow]:
    """The rows that several variables of MATLAB files make side by side.

    Raises:
        DataError: a file cannot be read, lacks a variable, or the variables differ in length.
    """
    columns: dict[str, list[str]] = {}
    for name, array in arrays.items():
        file = find_files(folder, array.file)[0]
        columns[name] = _variable(file, array.variable)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{arrays[name].variable} {count}" for name, count in lengths.items())
        raise DataError(
            f"The labels in {folder} do not belong together: {told} values; fetch them again."
        )
    return [
        LabelRow(dict(zip(columns, values, strict=True)), f"entry {number}")
        for number, values in enumerate(zip(*columns.values(), strict=True), start=1)
    ]


def _lines(file: Path, table: Table) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with their numbers."""
    if file.suffix.lower() == ".xlsx":
        lines: Iterable[tuple[int, list[str]]] = enumerate(_workbook(file, table.sheet), start=1)
    elif file.suffix.lower() == ".csv":
        lines = _csv(file)
    else:
        lines = enumerate(
            (line.split(table.delimiter or None) for line in _text(file).splitlines()), start=1
        )
    for number, raw in lines:
        cells = [cell.strip() for cell in raw]
        if any(cells):
            yield number, cells


def _csv(file: Path) -> list[tuple[int, list[str]]]:
    try:
        reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
        return [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise DataError(f"{file} cannot be read as CSV: {error}; fetch it again.") from error


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Spreadsheets save in the code page of their country; names of pictures are ASCII anyway.
        return data.decode("latin-1")


def _workbook(file: Path, sheet: str) -> list[list[str]]:
    try:
        import openpyxl  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {file.name} (or save its sheet as {file.stem}.csv beside it; it)", "xlsx"
        ) from error
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except Exception as error:  # a damaged archive fails in many ways
        raise DataError(
            f"{file} cannot be read as a workbook ({error}); fetch it again."
        ) from error
    try:
        if sheet and sheet not in book.sheetnames:
            raise DataError(f"{file} has no sheet {sheet!r}; it has {', '.join(book.sheetnames)}.")
        chosen = book[sheet] if sheet else book[book.sheetnames[0]]
        return [[_plain(cell) for cell in row] for row in chosen.iter_rows(values_only=True)]
    finally:
        book.close()


def _header(
    file: Path, lines: Sequence[tuple[int, list[str]]], wanted: Sequence[str]
) -> tuple[tuple[str, ...], int]:
    for index, (_, cells) in enumerate(lines[:_HEADER_WITHIN]):
        if set(wanted) <= set(cells):
            twice = [name for name in wanted if cells.count(name) > 1]
            if twice:
                raise DataError(f"{file} has more than one column {twice[0]!r}; keep one.")
            return tuple(cells), index + 1
    first = lines[0][1] if lines else []
    missing = [name for name in wanted if name not in first]
    raise DataError(
        f"{file} has no column {' or '.join(map(repr, missing))}; its first line is "
        f"{', '.join(first) if any(first) else 'empty'}."
    )


def _variable(file: Path, name: str) -> list[str]:
    from scipy.io import loadmat

    try:
        found = loadmat(file, variable_names=[name])
    except Exception as error:  # what scipy raises for a damaged or newer file is many things
        reason = " ".join(str(error).split())
        raise DataError(
            f"{file} cannot be read as a MATLAB file ({reason}); fetch it again."
        ) from error
    if name not in found:
        raise DataError(f"{file} has no variable {name!r}; fetch the file again.")
    return [_plain(value) for value in np.asarray(found[name]).ravel()]


def _plain(value: Any) -> str:
    """A cell as text; whole numbers without a point, whatever type they were saved as."""
    while isinstance(value, np.ndarray):  # cells of MATLAB hold arrays
        value = value.ravel()[0] if value.size else ""
    if value is None:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (int, float, np.number)):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(value).strip()
