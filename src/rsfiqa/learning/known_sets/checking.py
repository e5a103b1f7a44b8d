"""Whether a user's copy of a data set is whole: what is missing in it, and what is odd."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rsfiqa.errors import ImageError
from rsfiqa.images.load import load_image
from rsfiqa.learning.known_sets.description import Description
from rsfiqa.learning.known_sets.entries import Copy, Fault, faults_of, read_copy

_WORKERS = 4
"""Decoding lets go of Python's lock; each worker holds a decoded picture."""


@dataclass(frozen=True)
class CheckedCopy:
    """What the check of a copy found.

    Attributes:
        copy: what was checked.
        faults: what is missing or odd; none where the copy is whole.
    """

    copy: Copy
    faults: tuple[Fault, ...]


def check_copy(
    copy: Copy, *, opened: bool = True, told: Callable[[int], None] = lambda _: None
) -> CheckedCopy:
    """Look for what is missing or odd in a copy: names, scores, counts, and every picture.

    Args:
        copy: from `entries.read_copy`.
        opened: whether every picture is decoded, which takes its time; otherwise it is only looked
            for.
        told: called with 1 after each picture.
    """
    faults = [*_wrong_counts(copy), *faults_of(copy)]
    if opened:
        unreadable = _unreadable(copy, told)
        if unreadable:
            faults.append(Fault("pictures that cannot be read", tuple(unreadable)))
    return CheckedCopy(copy, tuple(faults))


def check_set(description: Description, folder: str | Path) -> CheckedCopy:
    """`check_copy` of the copy in a folder.

    Raises:
        DataError: the folder does not exist, holds no known layout, or its label files cannot be
            read: there is nothing to check.
        MissingExtraError: labels are in a workbook, and nothing is installed that reads those.
    """
    return check_copy(read_copy(description, folder))


def _wrong_counts(copy: Copy) -> list[Fault]:
    description = copy.description
    references = {entry.group for entry in copy.entries} if copy.layout.reference else set()
    counts = [
        ("pictures", description.images, len(copy.entries)),
        ("references", description.references if references else 0, len(references)),
    ]
    wrong = [
        f"{found} {what}, not {expected}"
        for what, expected, found in counts
        if expected and found != expected
    ]
    return [Fault("counts that a whole copy does not have", tuple(wrong))] if wrong else []


def _unreadable(copy: Copy, told: Callable[[int], None]) -> list[str]:
    images = list(dict.fromkeys(entry.image for entry in copy.entries if entry.exists))

    def why_not(image: str) -> str | None:
        try:
            load_image(copy.folder / image, name=image)
        except ImageError as error:
            return str(error)
        return None

    found = []
    with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
        for reason in pool.map(why_not, images):
            told(1)
            if reason is not None:
                found.append(reason)
    return found
