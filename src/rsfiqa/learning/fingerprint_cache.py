"""Fingerprints of pictures, kept between runs: decoding thousands of pictures takes minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rsfiqa.contents import ContentFolder, content_key
from rsfiqa.images.files import hash_file
from rsfiqa.learning.leaks import Fingerprint, fingerprints

if TYPE_CHECKING:
    from rsfiqa.learning.datasets import ScoredImage

_KIND = "perceptual hashes/1"
_SHELVES = 16
"""Documents that the hashes are spread over by the first digit of the picture's checksum: one alone
would grow without bound, one a picture would be thousands of small files."""


def kept_fingerprints(
    rows: Iterable[ScoredImage], folder: Path, told: Callable[[int], None] = lambda _: None
) -> dict[Path, Fingerprint]:
    """As `rsfiqa.learning.leaks.fingerprints`; a file that was seen before is not decoded again.

    Args:
        rows: the pictures.
        folder: where perceptual hashes are kept, by checksum; where it cannot be written, none are.
        told: called with 1 after each picture.

    Raises:
        ImageError: a picture cannot be read.
    """
    kept = ContentFolder(folder, _KIND)
    paths = {row.path: row for row in rows}
    sums = {path: hash_file(path) for path in paths}
    shelves: dict[str, dict[str, int | None]] = {}
    for digit in sorted({total[0] for total in sums.values()}):
        shelves[digit] = kept.load(_key(digit)) or {}
    found, unknown = {}, []
    for path, total in sums.items():
        if total in shelves[total[0]]:
            found[path] = Fingerprint(total, shelves[total[0]][total])
            told(1)
        else:
            unknown.append(paths[path])
    made = fingerprints(unknown, told)
    for print_ in made.values():
        shelves[print_.sha256[0]][print_.sha256] = print_.looks
    for digit in {print_.sha256[0] for print_ in made.values()}:
        # What another run kept meanwhile is lost, and made again when it is wanted.
        kept.save(_key(digit), shelves[digit])
    return found | made


def _key(digit: str) -> str:
    return content_key("perceptual hashes", digit)
