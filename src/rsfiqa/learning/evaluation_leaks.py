"""Which pictures of a test set a scorer knows from its training: figures with and without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rsfiqa.assets import cache_folder
from rsfiqa.errors import DataError, ImageError
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.fingerprint_cache import kept_fingerprints
from rsfiqa.learning.known_sets.loading import named_set
from rsfiqa.learning.leaks import Fingerprint, Leak, find_leaks

LeakPolicy = Literal["warn", "drop", "fail"]
"""What is done about them: figures with and without, only without, or none at all."""

_TRAIN = "train"


@dataclass(frozen=True)
class TrainedOn:
    """What a scorer was trained on.

    Attributes:
        source: as given: a CSV, its folder, or NAME:FOLDER.
        data: its split `train` where it has one, or else all of it.
    """

    source: str
    data: ScoredImages

    @classmethod
    def of(cls, source: str | Path) -> TrainedOn:
        """Read what was trained on.

        Raises:
            DataError: it cannot be read; see `ScoredImages.from_csv`.
        """
        data = ScoredImages.from_csv(source)
        return cls(str(source), data.split(_TRAIN) if _TRAIN in data.splits else data)


def known_pictures(
    trained_on: Sequence[TrainedOn],
    test: ScoredImages,
    source: str | Path,
    told: Callable[[int], None] = lambda _: None,
) -> dict[str, str]:
    """The pictures of a test set that are known from training, and how.

    The same file, the same reference or a near-duplicate counts; see `rsfiqa.learning.leaks`. Two
    sets number their references each in its own way, so these count only within one set.

    Args:
        trained_on: what the scorer was trained on.
        test: the pictures it is to be measured on. One that cannot be read is passed over: it will
            have no score, either.
        source: where `test` comes from, as given.
        told: called with 1 for each picture that was looked at.

    Returns:
        a sentence part for each picture that is known, by name, in the order of the test set.

    Raises:
        ImageError: a picture that was trained on cannot be read.
    """
    prints = dict(_readable(test, told))
    prints |= _fingerprints([row for each in trained_on for row in each.data], told)
    readable = replace(test, rows=tuple(row for row in test if row.path in prints))
    found: dict[str, str] = {}
    for each in trained_on:
        train = each.data if _same_set(each.source, source) else _without_references(each.data)
        for leak in find_leaks(train, readable, prints=prints):
            for image in _images(leak, readable):
                found.setdefault(image, _told(leak))
    return {row.image: found[row.image] for row in test if row.image in found}


def require_unknown(known: dict[str, str], name: str) -> None:
    """Fail where a test set holds pictures that are known from training.

    Raises:
        DataError: there are any.
    """
    if known:
        image, how = next(iter(known.items()))
        raise DataError(
            f"{len(known)} pictures of {name} are known from training, such as {image} ({how}); "
            "--leaks drop leaves them out, --leaks warn gives figures with and without them."
        )


def without_pictures(data: ScoredImages, names: Iterable[str], name: str) -> ScoredImages:
    """A data set without some pictures.

    Raises:
        DataError: none would be left.
    """
    out = set(names)
    rows = tuple(row for row in data if row.image not in out)
    if not rows:
        raise DataError(
            f"All {len(data)} pictures of {name} are known from training; measure on others."
        )
    return replace(data, rows=rows)


def _readable(
    rows: Iterable[ScoredImage], told: Callable[[int], None]
) -> Iterable[tuple[Path, Fingerprint]]:
    rows = list(rows)
    try:
        yield from _fingerprints(rows, told).items()
    except ImageError:
        # One by one, to find out which can be read; rare enough to begin anew.
        for row in rows:
            with suppress(ImageError):
                yield from _fingerprints([row]).items()


def _fingerprints(
    rows: Iterable[ScoredImage], told: Callable[[int], None] = lambda _: None
) -> dict[Path, Fingerprint]:
    return kept_fingerprints(rows, cache_folder() / "fingerprints", told)


def _same_set(ours: str | Path, theirs: str | Path) -> bool:
    one, other = named_set(ours), named_set(theirs)
    return one is not None and other is not None and one[0].name == other[0].name


def _without_references(data: ScoredImages) -> ScoredImages:
    return replace(data, by_reference=False)


def _images(leak: Leak, test: ScoredImages) -> list[str]:
    """A shared reference is told once, by its first picture, but concerns all made from it."""
    if leak.kind != "same reference":
        return [leak.test]
    return [row.image for row in test if row.group == leak.detail]


def _told(leak: Leak) -> str:
    detail = f", {leak.detail}" if leak.detail else ""
    return (
        f"{leak.kind} as {leak.train}{detail}"
        if leak.kind != "near-duplicate"
        else (f"near-duplicate of {leak.train}{detail}")
    )
