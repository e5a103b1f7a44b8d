"""Splits into training and test pictures: the official one, or several at random, as files.

The field's protocol: where a set has an official split, that; otherwise the median over ten random
splits of 80 % to 20 %, in which all versions of one reference lie on one side. Which pictures those
are must be published with the figures, hence the file: a CSV with the columns `image` and
`split_0` to `split_9`, whose cells are train, val or test.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rsfiqa.atomic import write_whole
from rsfiqa.errors import ConfigError, DataError
from rsfiqa.learning.known_sets.description import SPLITS

if TYPE_CHECKING:
    from rsfiqa.learning.datasets import ScoredImages

COUNT = 10
TEST_FRACTION = 0.2
_NAMED = 3


@dataclass(frozen=True)
class Splits:
    """Several splits of one data set.

    Attributes:
        images: names of the pictures.
        columns: for each split, each picture's part: train, val or test.
    """

    images: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(self.images).items() if count > 1]
        if twice:
            raise DataError(f"splits name pictures more than once: {_some(twice)}.")
        if not self.columns or any(len(column) != len(self.images) for column in self.columns):
            raise DataError("splits need a column or more, with a cell for each picture.")
        odd = sorted({cell for column in self.columns for cell in column} - set(SPLITS))
        if odd:
            raise DataError(
                f"parts of a split are {', '.join(SPLITS)}; got {', '.join(map(repr, odd))}."
            )

    def __len__(self) -> int:
        return len(self.columns)

    def apply(self, data: ScoredImages, index: int = 0) -> ScoredImages:
        """The data with one of these splits in the place of its own.

        Raises:
            ConfigError: there is no split of that index.
            DataError: the splits are of other pictures.
        """
        if not 0 <= index < len(self):
            raise ConfigError(f"There are splits 0 to {len(self) - 1}; got {index}.")
        part = dict(zip(self.images, self.columns[index], strict=True))
        names = {row.image for row in data}
        unknown = [row.image for row in data if row.image not in part]
        absent = [name for name in self.images if name not in names]
        if unknown or absent:
            what = "do not name" if unknown else "name, but the data lacks,"
            raise DataError(
                f"The splits are not of this data: they {what} {_some(unknown or absent)} "
                f"({len(unknown or absent)} in all)."
            )
        return replace(data, rows=tuple(replace(r, split=part[r.image]) for r in data.rows))


def official_splits(data: ScoredImages) -> Splits | None:
    """The split that came with the data, as the one column; None where there is none.

    Raises:
        DataError: only some of the pictures have a part in it.
    """
    if not data.splits:
        return None
    without = [row.image for row in data if not row.split]
    if without:
        raise DataError(f"The split of this data leaves out {_some(without)} ({len(without)}).")
    return Splits(tuple(r.image for r in data), (tuple(r.split for r in data),))


def random_splits(
    data: ScoredImages, *, count: int = COUNT, fraction: float = TEST_FRACTION, seed: int = 0
) -> Splits:
    """Several random cuts into train and test, by reference where pictures have one.

    They depend on the names of pictures or references and on the seed, not on the order of rows;
    the first few are the same, whatever the count.

    Args:
        count: how many.
        fraction: of pictures, or of references, that is for testing; at least one is, and at least
            one is not.
        seed: the same seed gives the same splits.

    Raises:
        ConfigError: `count` is below 1, the fraction not between 0 and 1, or the seed negative.
        DataError: there are fewer than two pictures, or references.
    """
    if count < 1:
        raise ConfigError(f"There is one split or more; got count={count}.")
    if seed < 0:
        raise ConfigError(f"A seed is 0 or more; got {seed}.")
    if not 0 < fraction < 1:
        raise ConfigError(f"A split's fraction lies between 0 and 1; got {fraction}.")
    units = [_unit(data, i) for i in range(len(data))]
    names = sorted(set(units))
    if len(names) < 2:
        what = "references" if data.by_reference else "pictures"
        raise DataError(f"A split needs 2 {what} or more; the data has {len(names)}.")
    size = min(max(1, round(fraction * len(names))), len(names) - 1)
    columns = []
    for index in range(count):
        drawn = np.random.default_rng([seed, index]).permutation(len(names))[:size]
        test = {names[i] for i in drawn}
        columns.append(tuple("test" if unit in test else "train" for unit in units))
    return Splits(tuple(row.image for row in data), tuple(columns))


def write_splits(splits: Splits, file: str | Path) -> None:
    """Write splits as a CSV with the columns image, split_0, split_1, ..., whole or not at all.

    The file's folder is made where it is missing.

    Raises:
        DataError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *(f"split_{i}" for i in range(len(splits)))])
    writer.writerows(zip(splits.images, *splits.columns, strict=True))
    try:
        write_whole(Path(file), text.getvalue().encode("utf-8"))
    except OSError as error:
        raise DataError(
            f"{file} cannot be written: {error.strerror or error}; name another place."
        ) from error


def read_splits(file: str | Path) -> Splits:
    """Read what `write_splits` wrote.

    Raises:
        DataError: the file cannot be read, or is no file of splits.
    """
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = list(csv.reader(stream, strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as CSV text in UTF-8: {error}.") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error
    expected = ["image", *(f"split_{i}" for i in range(len(header) - 1))]
    if len(header) < 2 or header != expected:
        raise DataError(
            f"{file} is no file of splits: its columns are {', '.join(header) or 'none'}; they "
            "should be image, split_0, split_1 and so on."
        )
    ragged = [number for number, row in enumerate(rows, start=2) if len(row) != len(header)]
    if ragged or not rows:
        what = f"line {ragged[0]} has another number of cells" if ragged else "there are no rows"
        raise DataError(f"{file} is no file of splits: {what}.")
    images, *columns = zip(*rows, strict=True)
    try:
        return Splits(images, tuple(columns))
    except DataError as error:
        raise DataError(f"{file}: {error}") from error


def _unit(data: ScoredImages, index: int) -> str:
    """What is drawn as one: the reference, or the picture itself where there is none.

    The two are told apart, since a picture may be named like a reference.
    """
    row = data.rows[index]
    return f"reference {row.group}" if data.by_reference and row.group else f"image {row.image}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
