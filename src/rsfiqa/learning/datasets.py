"""Pictures with human scores: a folder and a CSV with a row for each picture."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.known_sets.loading import load_set, named_set

_USUAL_NAMES = ("scores.csv", "labels.csv")
_USUAL_GROUPS = ("subset", "group")
_USUAL_RANGES = ((0.0, 1.0), (1.0, 5.0), (0.0, 10.0), (0.0, 100.0))
_NAMED = 5
"""Faults that a message lists before it only counts them."""


@dataclass(frozen=True)
class ScoredImage:
    """One row of a data set.

    Attributes:
        path: of the picture, absolute.
        image: the picture's name as in the CSV.
        mos: the human score as in the CSV.
        score: the same on 0..100, higher is better.
        split: such as `train`; empty where the CSV has no such column.
        group: such as the name of a subset; empty where the CSV has no such column.
    """

    path: Path
    image: str
    mos: float
    score: float
    split: str = ""
    group: str = ""


@dataclass(frozen=True)
class ScoredImages:
    """A data set, in the order of its CSV.

    Attributes:
        rows: the pictures.
        score_range: the ends of the human scale that become 0 and 100.
        range_guessed: whether that range was inferred from the scores.
        lower_is_better: whether the low end of the human scale is its best (as for DMOS).
        by_reference: whether a group is made from one reference, or shows the same thing otherwise,
            so that its pictures belong on one side of a split.
    """

    rows: tuple[ScoredImage, ...]
    score_range: tuple[float, float]
    range_guessed: bool = False
    lower_is_better: bool = False
    by_reference: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ScoredImage]:
        return iter(self.rows)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, sorted; empty where there are none."""
        return tuple(sorted({row.split for row in self.rows} - {""}))

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, sorted; empty where there are none."""
        return tuple(sorted({row.group for row in self.rows} - {""}))

    def split(self, name: str) -> ScoredImages:
        """The pictures of one split.

        Raises:
            DataError: there is no such split.
        """
        kept = tuple(row for row in self.rows if row.split == name)
        if not kept or not name:
            exist = (
                f"the splits are {', '.join(self.splits)}"
                if self.splits
                else "the data has no splits; use random_split or add a split column"
            )
            raise DataError(f"There is no split {name!r}: {exist}.")
        return replace(self, rows=kept)

    def take(self, n: int, seed: int = 0) -> ScoredImages:
        """A random sample of n pictures, in the order of the CSV; all of them if there are fewer.

        Raises:
            ConfigError: n is below 1.
        """
        if n < 1:
            raise ConfigError(f"A sample needs 1 picture or more; got n={n}.")
        if n >= len(self):
            return self
        drawn = np.random.default_rng(seed).choice(len(self), size=n, replace=False)
        return replace(self, rows=tuple(self.rows[i] for i in sorted(drawn)))

    def random_split(self, fraction: float, seed: int = 0) -> tuple[ScoredImages, ScoredImages]:
        """Cut at random in two: (the rest, a `fraction` of the pictures), each in CSV order.

        Where pictures are grouped by reference, it is groups that are drawn, and counted.

        Args:
            fraction: of the second part, between 0 and 1; it gets one picture at least, and leaves
                one at least.
            seed: the same seed gives the same cut.

        Raises:
            ConfigError: the fraction is not between 0 and 1.
            DataError: there are fewer than two pictures, or all have the same reference.
        """
        if not 0 < fraction < 1:
            raise ConfigError(f"A split's fraction lies between 0 and 1; got {fraction}.")
        units = list(self.groups) if self.by_reference else list(range(len(self)))
        if len(units) < 2:
            what = "references" if self.by_reference else "pictures"
            raise DataError(f"A split needs 2 {what} or more; the data has {len(units)}.")
        size = min(max(1, round(fraction * len(units))), len(units) - 1)
        chosen = np.random.default_rng(seed).permutation(len(units))[:size]
        drawn = {units[i] for i in chosen}
        mine = [row.group if self.by_reference else i for i, row in enumerate(self.rows)]
        rest = tuple(row for row, unit in zip(self.rows, mine, strict=True) if unit not in drawn)
        part = tuple(row for row, unit in zip(self.rows, mine, strict=True) if unit in drawn)
        return replace(self, rows=rest), replace(self, rows=part)

    @classmethod
    def from_csv(
        cls,
        source: str | Path,
        *,
        image_column: str = "image",
        score_column: str = "mos",
        split_column: str = "split",
        group_column: str | None = None,
        score_range: tuple[float, float] | None = None,
        lower_is_better: bool = False,
    ) -> ScoredImages:
        """Read a score file and check it whole: nothing is left out in silence.

        Args:
            source: the CSV (UTF-8), or a folder with `scores.csv`, `labels.csv` or a single CSV.
                Names of pictures are relative to the CSV's folder. Or `NAME:FOLDER`, a copy of a
                data set of the field such as `koniq10k:/data/koniq`: its description then says what
                the other arguments would, and they stay at their defaults.
            image_column, score_column: columns that must be there.
            split_column: read if it is there.
            group_column: must be there if named; otherwise `subset` or `group` is read if there.
            score_range: the ends of the human scale. Left out, it is the narrowest of 0..1, 1..5,
                0..10 and 0..100 that holds all scores, and `range_guessed` says so.
            lower_is_better: turn the scale round, as differential scores (DMOS) need.

        Raises:
            DataError: the file is missing, empty or not UTF-8 text, a column is missing, or rows
                have missing or repeated pictures or scores that are not numbers within the range.
            ConfigError: `score_range` is not (low, high); or there is no data set NAME, or other
                arguments are given with one.
        """
        if (known := named_set(source)) is not None:
            own = (image_column, score_column, split_column, group_column, score_range)
            if own != ("image", "mos", "split", None, None) or lower_is_better:
                raise ConfigError(
                    f"The description of {known[0].title} says what its columns and scores mean; "
                    "leave the settings of columns and range out."
                )
            return load_set(*known)
        file = _score_file(Path(source))
        table = _read_table(file)
        group = group_column or next((c for c in _USUAL_GROUPS if c in table.columns), None)
        _require(table, {"image_column": image_column, "score_column": score_column})
        if group_column:
            _require(table, {"group_column": group_column})
        images = [row.get(image_column, "") for row in table.rows]
        scores = _scores(table, images, score_column)
        guessed = score_range is None
        low, high = _guess_range(scores, table) if score_range is None else score_range
        _check_range(table, images, scores, low, high)
        paths = _paths(table, images)
        rows = []
        for row, image, path, mos in zip(table.rows, images, paths, scores, strict=True):
            above_worst = high - mos if lower_is_better else mos - low
            rows.append(
                ScoredImage(
                    path=path,
                    image=image,
                    mos=mos,
                    score=100 * above_worst / (high - low),
                    split=row.get(split_column, ""),
                    group=row.get(group, "") if group else "",
                )
            )
        return cls(tuple(rows), (float(low), float(high)), guessed, lower_is_better)


@dataclass(frozen=True)
class _Table:
    file: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    lines: list[int]


def _score_file(source: Path) -> Path:
    if source.is_file():
        return source
    if not source.is_dir():
        raise DataError(f"There is no file or folder {source}; give a CSV or the folder it is in.")
    for name in _USUAL_NAMES:
        if (source / name).is_file():
            return source / name
    found = sorted(path for path in source.glob("*.csv") if path.is_file())
    if len(found) == 1:
        return found[0]
    what = (
        f"{len(found)} CSV files ({_listed([p.name for p in found])})" if found else "no CSV file"
    )
    raise DataError(
        f"The folder {source} has {what}; name the CSV, or call it {' or '.join(_USUAL_NAMES)}."
    )


def _read_table(file: Path) -> _Table:
    rows: list[dict[str, str]] = []
    lines: list[int] = []
    ragged: list[str] = []
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            columns = tuple(name.strip() for name in next(reader, []))
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(columns):
                    ragged.append(f"line {reader.line_num} has {len(cells)}")
                rows.append({c: v.strip() for c, v in zip(columns, cells, strict=False)})
                lines.append(reader.line_num)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as CSV text in UTF-8: {error}.") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error
    if not rows:
        raise DataError(f"{file} has no rows; it needs a header and a line for each picture.")
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raise DataError(f"{file} has more than one column {_listed(repeated)}; name each once.")
    if ragged:
        raise DataError(
            f"{file} has {len(columns)} columns, but {_counted(ragged)}; quote cells with commas."
        )
    return _Table(file, columns, rows, lines)


def _require(table: _Table, wanted: dict[str, str]) -> None:
    missing = {setting: name for setting, name in wanted.items() if name not in table.columns}
    if missing:
        raise DataError(
            f"{table.file} has no column {' or '.join(map(repr, missing.values()))}; its columns "
            f"are {', '.join(table.columns)}. Name others with {' and '.join(missing)}."
        )


def _scores(table: _Table, images: Sequence[str], column: str) -> list[float]:
    scores, bad = [], []
    for row, image, line in zip(table.rows, images, table.lines, strict=True):
        try:
            score = float(row[column])
        except ValueError:
            score = math.nan
        scores.append(score)
        if not math.isfinite(score):
            bad.append(f"{row[column]!r} for {image} (line {line})")
    if bad:
        raise DataError(f"{table.file} has scores that are not numbers: {_counted(bad)}.")
    return scores


def _guess_range(scores: Sequence[float], table: _Table) -> tuple[float, float]:
    low, high = min(scores), max(scores)
    for start, end in _USUAL_RANGES:
        if start <= low and high <= end:
            return start, end
    raise DataError(
        f"The scores of {table.file} run from {low:g} to {high:g}, which fits none of the usual "
        "scales; give score_range=(low, high)."
    )


def _check_range(
    table: _Table, images: Sequence[str], scores: Sequence[float], low: float, high: float
) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"score_range is (low, high) with low below high; got ({low}, {high}).")
    outside = [
        f"{score:g} for {image} (line {line})"
        for score, image, line in zip(scores, images, table.lines, strict=True)
        if not low <= score <= high
    ]
    if outside:
        raise DataError(
            f"{table.file} has scores outside {low:g}..{high:g}: {_counted(outside)}. "
            "Mend them or give another score_range."
        )


def _paths(table: _Table, images: Sequence[str]) -> list[Path]:
    unnamed = [f"line {line}" for image, line in zip(images, table.lines, strict=True) if not image]
    if unnamed:
        raise DataError(f"{table.file} has rows that name no picture: {_counted(unnamed)}.")
    folder = table.file.absolute().parent
    # normpath rather than resolve: two links to one file are two rows, and need no disk access.
    paths = [Path(os.path.normpath(folder / image)) for image in images]
    counts = Counter(paths)
    repeated = list(
        dict.fromkeys(i for i, path in zip(images, paths, strict=True) if counts[path] > 1)
    )
    if repeated:
        raise DataError(
            f"{table.file} has more than one row for a picture: {_counted(repeated)}. "
            "Keep one score for each."
        )
    missing = [image for image, path in zip(images, paths, strict=True) if not path.is_file()]
    if missing:
        raise DataError(
            f"{table.file} names pictures that do not exist: {_counted(missing)}. "
            "Names are relative to the CSV's folder."
        )
    return paths


def _counted(faults: Sequence[str]) -> str:
    return f"{_listed(faults)} ({len(faults)} in all)" if len(faults) > 1 else faults[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
