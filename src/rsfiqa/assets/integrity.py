"""Checksums of cached files, and stamps that spare most of them.

Hashing a 100 MB file takes 0.1 to 0.3 s, too long for every start of a command line. So a file
is hashed when it enters the cache, and a stamp beside it (`FILE.json`) records the hash with the
file's size and modification time. A file that still has both is taken as intact; any other is
hashed again. A flipped bit that leaves size and time as they were is found by the full check only
(`rsfiqa assets verify`).
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from rsfiqa.atomic import replacing

_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def stamp_of(path: Path) -> Path:
    """Where the stamp of a cached file lies."""
    return path.with_name(f"{path.name}.json")


def write_stamp(path: Path, sha256: str, status: os.stat_result | None = None) -> None:
    """Record that `path` was found to have this sha256.

    Args:
        status: the file's status from before it was hashed; taken now when left out.

    Raises:
        OSError: the stamp cannot be written.
    """
    status = status or path.stat()
    stamp = {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    with replacing(stamp_of(path)) as partial:
        partial.write_text(json.dumps(stamp) + "\n", encoding="utf-8")


def recorded_sha256(path: Path) -> str | None:
    """The sha256 in the stamp of `path`, or None without a readable stamp."""
    sha256 = _read_stamp(path).get("sha256")
    return sha256 if isinstance(sha256, str) else None


def is_intact(path: Path, sha256: str, *, full: bool = False) -> bool:
    """Whether the file exists and has this sha256.

    A file found right gets a fresh stamp, one found wrong loses its stamp, so that nobody trusts
    it again. Where the folder cannot be written (a shared cache) nothing happens to stamps.

    Args:
        path: the cached file.
        sha256: what its hash must be.
        full: hash the file even when its stamp vouches for it.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    stamp = {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    stamped = _read_stamp(path) == stamp
    if stamped and not full:
        return True
    if sha256_of(path) != sha256:
        with suppress(OSError):
            stamp_of(path).unlink(missing_ok=True)
        return False
    if not stamped:
        with suppress(OSError):
            write_stamp(path, sha256, status)
    return True


def _read_stamp(path: Path) -> dict[str, Any]:
    try:
        stamp = json.loads(stamp_of(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}
