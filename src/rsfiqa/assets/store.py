"""The cache folder: where it is, what goes wrong with it, and who may write at a time."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rsfiqa.errors import AssetError

_OFF_WORDS = frozenset({"", "0", "false", "no", "off"})
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def cache_folder() -> Path:
    """The folder that holds everything rsfiqa can make or fetch again; it may not exist yet.

    `RSFIQA_CACHE` if set; else `rsfiqa` in the user's cache folder of the platform:
    `$XDG_CACHE_HOME` or `~/.cache` (XDG Base Directory specification), `~/Library/Caches` on
    macOS, `%LOCALAPPDATA%` on Windows.

    Raises:
        AssetError: the user has no home folder and `RSFIQA_CACHE` is not set.
    """
    try:
        chosen = os.environ.get("RSFIQA_CACHE")
        return Path(chosen).expanduser().absolute() if chosen else _user_cache() / "rsfiqa"
    except RuntimeError as error:
        raise AssetError(
            "there is no home folder to keep the cache in; set RSFIQA_CACHE to a writable folder."
        ) from error


def _user_cache() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    # The specification says that a relative path is to be ignored.
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return chosen if chosen.is_absolute() else Path.home() / ".cache"


def is_offline(offline: bool | None = None) -> bool:
    """Whether network calls are forbidden: the argument, or `RSFIQA_OFFLINE` when it is None.

    Any value but an empty one, `0`, `false`, `no` and `off` forbids them: a misspelt switch
    must not open a connection.
    """
    if offline is not None:
        return offline
    return os.environ.get("RSFIQA_OFFLINE", "").strip().lower() not in _OFF_WORDS


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says while `path` is read or written into one sentence.

    Raises:
        AssetError: instead of any OSError.
    """
    try:
        yield
    except OSError as error:
        folder = path.parent
        if error.errno in _FULL:
            message = (
                f"the disk is full: {path.name} could not be written to {folder}; free some space "
                "or set RSFIQA_CACHE to a folder on another disk."
            )
        elif error.errno in _FORBIDDEN:
            message = (
                f"the cache folder {folder} may not be used ({error.strerror}); make it readable "
                "and writable or set RSFIQA_CACHE to another folder."
            )
        else:
            message = (
                f"{path} could not be read or written ({error.strerror or error}); set "
                "RSFIQA_CACHE to a folder where files can be kept."
            )
        raise AssetError(message) from error


@contextmanager
def locked(name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock called `name`: one process at a time, the others wait.

    The operating system frees the lock of a process that dies. Lock files are left in place on
    purpose: removing one lets two processes hold "the" lock on two files.

    Args:
        name: which lock.
        say: told one line when another process holds the lock and this one waits.

    Raises:
        AssetError: the cache folder cannot hold a lock file.
    """
    from filelock import FileLock, Timeout

    path = cache_folder() / "locks" / f"{name}.lock"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another process that is preparing {name} (lock: {path})")
            lock.acquire()
        except NotImplementedError as error:
            raise AssetError(
                f"the file system of {path.parent} has no file locks; set RSFIQA_CACHE to a "
                "folder on a local disk."
            ) from error
    try:
        yield
    finally:
        lock.release()
