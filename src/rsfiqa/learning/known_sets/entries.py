"""A copy of a data set, row by row: which picture, which score, which group, which split."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsfiqa.errors import DataError
from rsfiqa.learning.known_sets.description import (
    SPLITS,
    Derived,
    Description,
    Layout,
    Listed,
    Table,
    fill,
)
from rsfiqa.learning.known_sets.tables import LabelRow, find_files, read_arrays, read_table


@dataclass(frozen=True)
class Entry:
    """A scored picture of a copy.

    Attributes:
        image: its path below the folder.
        exists: whether it is there.
        score: as the labels have it; None where that is no number.
        score_text: the same as text.
        group: its reference or subset; empty without.
        split: of the official split; empty without.
        place: where its labels stand.
    """

    image: str
    exists: bool
    score: float | None
    score_text: str
    group: str
    split: str
    place: str


@dataclass(frozen=True)
class Copy:
    """A copy of a data set on this machine.

    Attributes:
        description: of the data set.
        folder: where it lies.
        layout: the one that was recognised.
        entries: in the order of the labels.
    """

    description: Description
    folder: Path
    layout: Layout
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Fault:
    """Something missing or odd in a copy.

    Attributes:
        what: such as "pictures that are missing".
        items: which.
    """

    what: str
    items: tuple[str, ...]


def read_copy(description: Description, folder: str | Path) -> Copy:
    """Read the labels of a copy and look for its pictures, without opening them.

    Args:
        description: of the data set.
        folder: of the copy; for one's own CSV the file will do.

    Raises:
        DataError: the folder does not exist, holds no known layout, or its label files cannot be
            read.
        MissingExtraError: labels are in a workbook, and nothing is installed that reads those.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}; give the one that {description.title} is in."
        )
    layout = _recognise(description, folder)
    rows = _rows(layout, folder)
    finder = _Finder(folder)
    return Copy(description, folder, layout, tuple(_entry(layout, row, finder) for row in rows))


def faults_of(copy: Copy) -> list[Fault]:
    """What is wrong with a copy as far as labels and names tell."""
    entries, scale = copy.entries, copy.description.scale
    counts = Counter(entry.image for entry in entries)
    faults = {
        "pictures that are missing": [e.image for e in entries if not e.exists],
        "pictures with more than one row": [name for name, n in counts.items() if n > 1],
        "scores that are not numbers": [
            f"{e.score_text!r} for {e.image} ({e.place})" for e in entries if e.score is None
        ],
        f"splits other than {', '.join(SPLITS)}": [
            f"{e.split!r} for {e.image} ({e.place})"
            for e in entries
            if e.split and e.split not in SPLITS
        ],
    }
    if scale is not None:
        faults[f"scores outside {scale.low:g}..{scale.high:g}"] = [
            f"{e.score:g} for {e.image} ({e.place})"
            for e in entries
            if e.score is not None and not scale.low <= e.score <= scale.high
        ]
    return [Fault(what, tuple(items)) for what, items in faults.items() if items]


def _recognise(description: Description, folder: Path) -> Layout:
    for layout in description.layouts:
        if not _absent(layout, folder):
            return layout
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    inside = [p for p in below if any(not _absent(lay, p) for lay in description.layouts)]
    if len(inside) == 1:
        raise DataError(
            f"{description.title} is in {inside[0]}, not in {folder}; give that folder."
        )
    lacking = "; or ".join(
        f"{', '.join(_absent(layout, folder))} ({layout.note})" for layout in description.layouts
    )
    raise DataError(
        f"{folder} is no copy of {description.title}: it lacks {lacking}. "
        f"rsfiqa data show {description.name} tells how it should look."
    )


def _absent(layout: Layout, folder: Path) -> list[str]:
    return [names[0] for names in layout.files if not find_files(folder, names)]


def _rows(layout: Layout, folder: Path) -> list[LabelRow]:
    if layout.arrays:
        rows = read_arrays(folder, layout.arrays)
    else:
        rows = [row for table in layout.tables for row in read_table(folder, table, layout.needed)]
    if layout.runs:
        _number(rows, layout.runs, folder)
    listed = [(entry, _names(folder, entry)) for entry in layout.lists]
    kept = []
    for row in rows[layout.skip_first :]:
        if layout.skip and all(row.cells.get(k, "") == v for k, v in layout.skip.items()):
            continue
        for name, derived in layout.derive.items():
            row.cells[name] = _derive(name, derived, row)
        for entry, names in listed:
            if fill(entry.key, row.cells) in names:
                row.cells[entry.column] = entry.value
        kept.append(row)
    if not kept:
        raise DataError(f"The labels in {folder} have no rows; fetch them again.")
    return kept


def _number(rows: Sequence[LabelRow], runs: Mapping[str, int], folder: Path) -> None:
    total = sum(runs.values())
    if len(rows) != total:
        raise DataError(
            f"The labels in {folder} have {len(rows)} entries, but this layout has {total}; "
            "fetch them again."
        )
    numbered = ((run, str(n)) for run, count in runs.items() for n in range(1, count + 1))
    for row, (run, number) in zip(rows, numbered, strict=True):
        row.cells.update(run=run, number=number)


def _derive(name: str, derived: Derived, row: LabelRow) -> str:
    text = fill(derived.of, row.cells)
    if derived.pattern:
        found = re.search(derived.pattern, text)
        if found is None:
            raise DataError(
                f"{text!r} ({row.place}) is not as in this data set: it has no {name}; "
                "fetch the labels again."
            )
        text = found[1]
    if derived.values:
        if text not in derived.values:
            raise DataError(
                f"{text!r} ({row.place}) is no known {name}; known are {', '.join(derived.values)}."
            )
        text = derived.values[text]
    return text.lower() if derived.lower else text


def _names(folder: Path, entry: Listed) -> set[str]:
    table = Table(file=entry.file)
    rows = read_table(folder, table, (entry.name, *entry.where))
    return {
        row.cells.get(entry.name, "")
        for row in rows
        if all(
            row.cells.get(column, "").lower() == value.lower()
            for column, value in entry.where.items()
        )
    }


def _entry(layout: Layout, row: LabelRow, finder: _Finder) -> Entry:
    candidates = [fill(template, row.cells) for template in layout.image]
    found = next(filter(None, map(finder.find, candidates)), None)
    text = row.cells.get(layout.score, "")
    return Entry(
        image=found or candidates[0],
        exists=found is not None,
        score=_number_in(text),
        score_text=text,
        group=fill(layout.reference or layout.subset, row.cells),
        split=fill(layout.split, row.cells),
        place=row.place,
    )


def _number_in(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


class _Finder:
    """Finds files below a folder, listing each folder once.

    Label files and pictures often differ in the case of names (TID2013 has I01_01_1.bmp and
    i01_01_1.bmp), which not all file systems forgive.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[str, tuple[frozenset[str], dict[str, str]]] = {}

    def find(self, image: str) -> str | None:
        """The file's path below the root as it is on disk; None where there is none."""
        folder, name = os.path.split(os.path.normpath(image))
        if folder not in self._listed:
            names = frozenset(self._names(self._root / folder))
            self._listed[folder] = (names, {known.lower(): known for known in sorted(names)})
        exact, folded = self._listed[folder]
        found = name if name in exact else folded.get(name.lower())
        return None if found is None else Path(folder, found).as_posix()

    @staticmethod
    def _names(folder: Path) -> Iterator[str]:
        try:
            with os.scandir(folder) as entries:
                yield from (entry.name for entry in entries if entry.is_file())
        except OSError:
            return
