"""Before training: whether validation and test pictures are among the training pictures.

A scorer that is chosen on pictures it was trained on is chosen by what it knows by heart.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rsfiqa.atomic import write_whole
from rsfiqa.errors import DataError
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.leaks import Fingerprint, Leak, find_leaks
from rsfiqa.learning.prepared import Recipe, split, without_limit

LeakPolicy = Literal["exact", "fail", "warn", "ignore", "drop"]
"""What is done about leaks: `exact` refuses the same file and the same reference and tells of
near-duplicates; `fail` refuses all; `warn` tells of all; `drop` leaves the training pictures out
that leak; `ignore` does not look."""

_NAMED = 3
_NEAR = "near-duplicate"


@dataclass(frozen=True)
class FoundLeak:
    """A training picture that shows what a picture of another part shows.

    Attributes:
        train_set, test_set: names of the data sets; empty where there is one.
        part: of the other picture: `val`, `test` or another split that the data names.
        leak: the two pictures and how they are related.
    """

    train_set: str
    test_set: str
    part: str
    leak: Leak

    def __str__(self) -> str:
        train, test = (
            f"{name}/{image}" if name else image
            for name, image in ((self.train_set, self.leak.train), (self.test_set, self.leak.test))
        )
        detail = f" ({self.leak.detail})" if self.leak.detail else ""
        return f"{test} of {self.part} and {train}{detail}"


def find_training_leaks(
    sets: Mapping[str, ScoredImages], recipe: Recipe, prints: Mapping[Path, Fingerprint]
) -> list[FoundLeak]:
    """All leaks from the training pictures to validation pictures and to any other split.

    Every set's training pictures are compared with every set's others. The same reference counts
    within a set only: sets number theirs each in its own way.

    Args:
        sets: the data sets by name.
        recipe: says which pictures are held out where the data does not.
        prints: of all pictures, from `rsfiqa.learning.leaks.fingerprints`.
    """
    found = []
    halves = {name: split(data, recipe) for name, data in sets.items()}
    for train_name, (train, _) in halves.items():
        for test_name, data in sets.items():
            alone = train_name == test_name
            ours = train if alone else replace(train, by_reference=False)
            for part, test in _other_parts(data, halves[test_name][1], recipe):
                found += [
                    FoundLeak(train_name, test_name, part, leak)
                    for leak in find_leaks(ours, test, prints=prints)
                ]
    return found


def compared_rows(sets: Mapping[str, ScoredImages], recipe: Recipe) -> list[ScoredImage]:
    """The pictures that `find_training_leaks` wants fingerprints of."""
    rows: list[ScoredImage] = []
    for data in sets.values():
        train, held = split(data, recipe)
        rows += train
        rows += [row for _, part in _other_parts(data, held, recipe) for row in part]
    return rows


def apply_policy(
    sets: Mapping[str, ScoredImages],
    found: Sequence[FoundLeak],
    policy: LeakPolicy,
    recipe: Recipe,
    listed: Path | None = None,
) -> tuple[dict[str, ScoredImages], list[str]]:
    """What is trained on, given the leaks, and the sentences that the user should read.

    Args:
        sets: the data sets by name.
        found: from `find_training_leaks`.
        policy: what is done about them.
        recipe: as before.
        listed: the file in which they are all listed.

    Returns:
        the data sets, without the pictures that leak where they are dropped, their split being
        fixed then; and what is to be said.

    Raises:
        DataError: the policy refuses some of them.
    """
    refused = {
        "fail": list(found),
        "exact": [leak for leak in found if leak.leak.kind != _NEAR],
    }.get(policy, [])
    where = f" All are listed in {listed}." if listed else ""
    if refused:
        raise DataError(
            f"Training pictures are in validation or test, too: {_counted(refused)}.{where} Take "
            "them out, or leave them out of training with --leaks drop."
        )
    if not found or policy == "ignore":
        return dict(sets), []
    said = (
        f"training pictures are in validation or test, too: {_counted(found)}.{where} "
        f"{'They are left out.' if policy == 'drop' else '--leaks drop leaves them out.'}"
    )
    if policy == "drop":
        return {name: _without(data, name, found, recipe) for name, data in sets.items()}, [said]
    return dict(sets), [said]


def write_leaks(found: Sequence[FoundLeak], file: Path) -> None:
    """List leaks in a CSV: kind, training picture, other picture and its part, detail.

    Raises:
        DataError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["kind", "training_set", "training_picture", "set", "part", "picture", "detail"]
    )
    writer.writerows(
        (
            each.leak.kind,
            each.train_set,
            each.leak.train,
            each.test_set,
            each.part,
            each.leak.test,
            each.leak.detail,
        )
        for each in found
    )
    try:
        write_whole(file, text.getvalue().encode())
    except OSError as error:
        raise DataError(
            f"{file} cannot be written: {os.strerror(error.errno or 0)}; name another place."
        ) from error


def _other_parts(
    data: ScoredImages, held: ScoredImages, recipe: Recipe
) -> list[tuple[str, ScoredImages]]:
    """Validation pictures, and every other split but `train`; a trial run looks at the first."""
    others = [] if recipe.limit else [n for n in data.splits if n not in ("train", "val")]
    return [("val", held), *((name, data.split(name)) for name in others)]


def _without(
    data: ScoredImages, name: str, found: Iterable[FoundLeak], recipe: Recipe
) -> ScoredImages:
    """The data without its training pictures that leak, its split into train and val fixed."""
    train, held = split(data, without_limit(recipe))
    mine = [each.leak for each in found if each.train_set == name]
    images = {leak.train for leak in mine if leak.kind != "same reference"}
    references = {leak.detail for leak in mine if leak.kind == "same reference"}

    def stays(row: ScoredImage) -> bool:
        return row.image not in images and row.group not in references

    kept = {row.path for row in train if stays(row)}
    validation = {row.path for row in held}
    rows = []
    for row in data:
        if row.path in kept:
            rows.append(replace(row, split="train"))
        elif row.path in validation:
            rows.append(replace(row, split="val"))
    return replace(data, rows=tuple(rows))


def _counted(found: Sequence[FoundLeak]) -> str:
    """How many of each kind, and the first of them."""
    counts = Counter(each.leak.kind for each in found)
    parts = []
    for kind, count in counts.items():
        first = [str(each) for each in found if each.leak.kind == kind][:_NAMED]
        more = ", ..." if count > _NAMED else ""
        parts.append(f"{count} × {kind}: {', '.join(first)}{more}")
    return "; ".join(parts)
