"""Files that are written whole or not at all, and what killed writers leave behind.

A file is written under a passing name beside its place, `.partial-01234567-NAME`, and renamed when
it is whole: whoever reads it sees the old file or the new one, never a part, and of two writers the
last one wins. Errors of the file system are left to the caller, who knows what the file is.
"""

from __future__ import annotations

import glob
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

STALE = 24 * 60 * 60
"""Seconds after which nobody can still be writing an unfinished file."""

_PARTIAL = re.compile(r"\.partial-[0-9a-f]{8}-")
_swept: set[Path] = set()
_sweeping = threading.Lock()


@contextmanager
def replacing(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place when the block ends well.

    When the block fails, the temporary file is removed and `target` stays as it was. The temporary
    name keeps the suffix of `target`, for writers that go by it.

    Args:
        target: the file; its folder is made when needed.
        durable: have the file on disk before it takes its place, so that it survives a power cut.
            A cache of thousands of files that are checked when they are read can do without.

    Raises:
        OSError: the file system refused.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder) / "note.txt") as partial:
        ...         _ = partial.write_text("whole")
        ...     [path.name for path in Path(folder).iterdir()]
        ['note.txt']
    """
    with replacing_all([target], durable=durable) as (partial,):
        yield partial


@contextmanager
def replacing_all(targets: Sequence[Path], *, durable: bool = True) -> Iterator[tuple[Path, ...]]:
    """As `replacing`, for files that belong together: none takes its place before all are whole.

    Raises:
        OSError: the file system refused.
    """
    folders = dict.fromkeys(target.parent for target in targets)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    partials = tuple(t.with_name(f".partial-{secrets.token_hex(4)}-{t.name}") for t in targets)
    try:
        yield partials
        for partial in partials if durable else ():
            with partial.open("r+b") as stream:
                os.fsync(stream.fileno())
        for partial, target in zip(partials, targets, strict=True):
            partial.replace(target)
    except BaseException:
        for partial in partials:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        raise
    for folder in folders if durable else ():
        sync_folder(folder)


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all; see `replacing`.

    Raises:
        OSError: the file system refused.
    """
    with replacing(path, durable=durable) as partial:
        partial.write_bytes(data)


def sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where folders can be synced at all."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep_partials(target: Path) -> None:
    """Remove what killed processes left beside `target`, however fresh: only where a lock says that
    nobody else writes it."""
    for partial in target.parent.glob(f".partial-????????-{glob.escape(target.name)}"):
        with suppress(OSError):
            partial.unlink()


def sweep_stale(folder: Path, older_than: float = STALE) -> int:
    """Remove what killed processes left in a folder and below it; call it where nothing else is kept
    than what can be made again.

    Args:
        folder: of a cache; it need not exist.
        older_than: leave files that were touched in so many seconds: somebody may be writing them.

    Returns:
        how many files were removed.
    """
    removed = 0
    latest = time.time() - older_than
    for place, _, names in os.walk(folder):
        for name in names:
            if _PARTIAL.match(name):
                partial = Path(place, name)
                with suppress(OSError):
                    if partial.stat().st_mtime < latest:
                        partial.unlink()
                        removed += 1
    return removed


def sweep_once(folder: Path) -> None:
    """`sweep_stale`, once in this process: for a cache that is about to be written to."""
    place = folder.absolute()
    with _sweeping:
        if place in _swept:
            return
        _swept.add(place)
    sweep_stale(place)
