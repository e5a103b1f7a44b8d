"""What is evaluated on: data sets with short names, and the splits that are of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rsfiqa.errors import DataError
from rsfiqa.learning.datasets import ScoredImages
from rsfiqa.learning.evaluation_leaks import without_pictures
from rsfiqa.learning.known_sets.loading import named_set
from rsfiqa.learning.splits import Splits

_LABEL_FILES = ("scores", "labels")


@dataclass(frozen=True)
class EvaluationSet:
    """A data set to evaluate on.

    Attributes:
        name: short, for tables.
        source: as given.
        data: the pictures that are scored.
        parts: for each split, the names of the pictures it is measured on; empty without splits.
        known: how pictures are known from the scorers' training, by name.
        left_out: pictures that are not scored since they are known, by name, with how.
    """

    name: str
    source: str
    data: ScoredImages
    parts: tuple[frozenset[str], ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def with_splits(self, splits: Splits, part: str) -> EvaluationSet:
        """Measured on one part of each split; pictures that are in none of these are not scored.

        Args:
            splits: of this data set.
            part: `test`, `val` or `train`.

        Raises:
            DataError: the splits are of other pictures, or a split has no such part.
        """
        parts = []
        for index in range(len(splits)):
            applied = splits.apply(self.data, index)
            parts.append(frozenset(row.image for row in applied.split(part)))
        used = frozenset().union(*parts)
        rows = tuple(row for row in self.data if row.image in used)
        return replace(self, data=replace(self.data, rows=rows), parts=tuple(parts))

    def without(self, known: Mapping[str, str]) -> EvaluationSet:
        """The same, not scored on pictures that are known from training.

        Raises:
            DataError: none would be left, or none of a split.
        """
        data = without_pictures(self.data, known, self.name)
        parts = tuple(part - known.keys() for part in self.parts)
        if not all(parts):
            raise DataError(
                f"All pictures of a split of {self.name} are known from training; measure on others."
            )
        return replace(self, data=data, parts=parts, left_out=known)


def of_which(splits: Splits, sets: Sequence[EvaluationSet], file: str | Path) -> EvaluationSet:
    """The data set that a file of splits is of: the one with the same pictures.

    Raises:
        DataError: none is; or the splits do not fit the only one.
    """
    names = set(splits.images)
    for each in sets:
        if names == {row.image for row in each.data}:
            return each
    if len(sets) == 1:
        splits.apply(sets[0].data)  # says which pictures differ
    raise DataError(
        f"{file} names {len(names)} pictures that are not those of {', '.join(s.name for s in sets)}; "
        "give the splits that rsfiqa data splits wrote for one of these."
    )


def short_names(sources: Iterable[str | Path]) -> list[str]:
    """A distinct name for each data set: that of the set, the folder or the file.

    Example:
        >>> short_names(["koniq10k:/data/koniq", "/data/mine", "/old/mine/scores.csv", "b.csv"])
        ['koniq10k', 'mine', 'mine (2)', 'b']
    """
    return distinct_names(_short_name(source) for source in sources)


def distinct_names(names: Iterable[str]) -> list[str]:
    """Names made distinct by a number behind those that repeat.

    Example:
        >>> distinct_names(["a", "b", "a", "a (2)"])
        ['a', 'b', 'a (2)', 'a (2) (2)']
    """
    taken: list[str] = []
    for name in names:
        told, number = name, 1
        while told in taken:
            number += 1
            told = f"{name} ({number})"
        taken.append(told)
    return taken


def _short_name(source: str | Path) -> str:
    known = named_set(source)
    if known is not None and known[0].name != "csv":
        return known[0].name
    path = Path(source if known is None else known[1]).absolute()
    named = path.suffix and path.stem not in _LABEL_FILES
    return (path.stem if named else path.parent.name if path.suffix else path.name) or str(source)
