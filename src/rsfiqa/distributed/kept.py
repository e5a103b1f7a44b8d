"""Which pictures need no work, in so little memory that every worker can know it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


class KeptPictures:
    """A set of pictures by name and hash: 8 bytes each, shared among processes by Ray.

    Args:
        pictures: name and SHA-256 of the file's bytes.

    Example:
        >>> kept = KeptPictures([("a.jpg", "00ff")])
        >>> ("a.jpg", "00ff") in kept, ("a.jpg", "ee11") in kept
        (True, False)
    """

    def __init__(self, pictures: Iterable[tuple[str, str]] = ()) -> None:
        digests = (_digest(name, sha256) for name, sha256 in pictures)
        self._digests = np.sort(np.fromiter(digests, dtype=np.uint64))

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, picture: tuple[str, str]) -> bool:
        if not len(self._digests):
            return False
        digest = np.uint64(_digest(*picture))
        place = int(np.searchsorted(self._digests, digest))
        return place < len(self._digests) and bool(self._digests[place] == digest)


def _digest(name: str, sha256: str) -> int:
    """Of a million pictures that have changed, one in 10^13 would be taken for unchanged."""
    data = f"{sha256} {name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
