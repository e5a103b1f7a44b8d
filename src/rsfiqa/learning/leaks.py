"""Whether a test set shows what was trained on: the same file, the same reference, a copy.

A scorer that has seen a picture, or another version of it, knows its score by heart; figures on a
test set that holds such pictures flatter it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rsfiqa.errors import DataError
from rsfiqa.images.load import load_image
from rsfiqa.learning.perceptual_hash import NEAR, near_pairs, perceptual_hash

if TYPE_CHECKING:
    from rsfiqa.learning.datasets import ScoredImage, ScoredImages

LeakKind = Literal["same file", "same reference", "near-duplicate"]

_WORKERS = 4
"""Decoding lets go of Python's lock; each worker holds a decoded picture."""
_NAMED = 5


@dataclass(frozen=True)
class Fingerprint:
    """What tells a picture again.

    Attributes:
        sha256: of the file.
        looks: the perceptual hash; None for a picture that is all but uniform.
    """

    sha256: str
    looks: int | None


@dataclass(frozen=True)
class Leak:
    """A picture of the test set that the training set shows too.

    Attributes:
        kind: how they are related.
        train, test: names of the two pictures; for a reference, the first pair made from it.
        detail: the reference, or by how many bits of 64 the perceptual hashes differ.
    """

    kind: LeakKind
    train: str
    test: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.test} and {self.train} ({self.kind}{self.detail and ', ' + self.detail})"


def fingerprints(
    rows: Iterable[ScoredImage], told: Callable[[int], None] = lambda _: None
) -> dict[Path, Fingerprint]:
    """The fingerprints of pictures, each decoded once: about 20 ms a megapixel and core.

    Args:
        rows: the pictures; of several sets, if need be.
        told: called with 1 after each picture.

    Raises:
        ImageError: a picture cannot be read.
    """
    paths = list(dict.fromkeys(row.path for row in rows))
    found = {}
    with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
        for path, print_ in zip(paths, pool.map(_fingerprint, paths), strict=True):
            found[path] = print_
            told(1)
    return found


def find_leaks(
    train: ScoredImages,
    test: ScoredImages,
    *,
    prints: Mapping[Path, Fingerprint] | None = None,
    near: int = NEAR,
) -> list[Leak]:
    """All leaks from a training set to a test set: by file, by reference, by looks.

    A pair is told once, by the first of these that holds; a reference once, whatever the number of
    pictures made from it. References count where both sets have them (`by_reference`).

    Args:
        prints: from `fingerprints` of both sets; made here if left out.
        near: bits of 64 in which the perceptual hashes of copies may differ.

    Raises:
        ImageError: a picture cannot be read.
    """
    if prints is None:
        prints = fingerprints([*train, *test])
    told: set[tuple[Path, Path]] = set()
    leaks = []
    for ours, theirs in _same_files(train.rows, test.rows, prints):
        told.add((ours.path, theirs.path))
        leaks.append(Leak("same file", ours.image, theirs.image))
    if train.by_reference and test.by_reference:
        leaks += _same_references(train.rows, test.rows)
    for ours, theirs, distance in _near(train.rows, test.rows, prints, near):
        by_reference = train.by_reference and test.by_reference and ours.group == theirs.group
        if (ours.path, theirs.path) not in told and not by_reference:
            leaks.append(
                Leak("near-duplicate", ours.image, theirs.image, f"{distance} bits of 64 differ")
            )
    return leaks


def require_no_leak(leaks: Sequence[Leak], what: str = "the test set") -> None:
    """Fail where there are leaks.

    Args:
        leaks: from `find_leaks`.
        what: where the pictures named first are.

    Raises:
        DataError: there are any; its text names the first of each kind.
    """
    if not leaks:
        return
    by_kind: dict[str, list[Leak]] = defaultdict(list)
    for leak in leaks:
        by_kind[leak.kind].append(leak)
    parts = []
    for kind, found in by_kind.items():
        shown = ", ".join(_pair(leak) for leak in found[:_NAMED])
        parts.append(f"{len(found)} × {kind}: {shown}{', ...' if len(found) > _NAMED else ''}")
    raise DataError(
        f"Pictures of {what} are in the training set too: {'; '.join(parts)}. "
        "Take them out, or keep them on one side."
    )


def _pair(leak: Leak) -> str:
    return f"{leak.test} and {leak.train}" + (f" ({leak.detail})" if leak.detail else "")


def _fingerprint(path: Path) -> Fingerprint:
    picture = load_image(path)
    return Fingerprint(picture.sha256, perceptual_hash(picture.pixels))


def _same_files(
    train: Sequence[ScoredImage], test: Sequence[ScoredImage], prints: Mapping[Path, Fingerprint]
) -> Iterator[tuple[ScoredImage, ScoredImage]]:
    by_hash: dict[str, list[ScoredImage]] = defaultdict(list)
    for row in train:
        by_hash[prints[row.path].sha256].append(row)
    for row in test:
        for other in by_hash.get(prints[row.path].sha256, ()):
            yield other, row


def _same_references(train: Sequence[ScoredImage], test: Sequence[ScoredImage]) -> list[Leak]:
    # Reversed, so that the first picture of each reference stays.
    ours = {row.group: row.image for row in reversed(train) if row.group}
    theirs = {row.group: row.image for row in reversed(test) if row.group}
    shared = sorted(set(ours) & set(theirs))
    return [Leak("same reference", ours[name], theirs[name], name) for name in shared]


def _near(
    train: Sequence[ScoredImage],
    test: Sequence[ScoredImage],
    prints: Mapping[Path, Fingerprint],
    near: int,
) -> list[tuple[ScoredImage, ScoredImage, int]]:
    ours, theirs = _by_looks(train, prints), _by_looks(test, prints)
    hashes = list(ours), list(theirs)
    return [
        (row, other, distance)
        for i, j, distance in near_pairs(*hashes, near)
        for row, other in product(ours[hashes[0][i]], theirs[hashes[1][j]])
    ]


def _by_looks(
    rows: Sequence[ScoredImage], prints: Mapping[Path, Fingerprint]
) -> dict[int, list[ScoredImage]]:
    found: dict[int, list[ScoredImage]] = defaultdict(list)
    for row in rows:
        looks = prints[row.path].looks
        if looks is not None:
            found[looks].append(row)
    return found
